"""Run the benchmarks of one stage, or all, and write their rows as JSON.

python benchmarks/run.py NAME|all [--json OUT]
NAME: rasteriser, tracking, speech, training, adaptation, stages, manner, pipeline, provenance, house, bad_input
Each benchmarks/NAME.py has `rows()`: {ROW: {"value", "unit", "target", "ok", ...}}; a row that could not
be measured has value None and says why in "note".
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import signal
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NAMES = (
    "rasteriser",
    "tracking",
    "speech",
    "training",
    "adaptation",
    "stages",
    "manner",
    "pipeline",
    "provenance",
    "house",
    "bad_input",
)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import torch

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "cpu": cpu, "cores": os.cpu_count(), "gpu": gpu, "python": platform.python_version(),
        "torch": torch.__version__, "system": platform.system(),
    }  # fmt: skip


def load(name: str) -> Any:
    """The module benchmarks/NAME.py, without touching sys.path."""
    spec = importlib.util.spec_from_file_location(f"ggtalker_bench_{name}", HERE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"benchmarks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(name: str, out: Path) -> bool:
    """Run one benchmark, write its JSON, print its rows; True when no measured row misses its target."""
    report = {
        "benchmark": name,
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "command": f"python benchmarks/run.py {name}",
        "rows": load(name).rows(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"# {name} -> {out}")
    for row, entry in report["rows"].items():
        value = "not measured" if entry["value"] is None else f"{entry['value']:.4g} {entry.get('unit', '')}"
        flag = {True: "ok", False: "MISSED", None: ""}[entry.get("ok")]
        print(f"{row:60s} {value:>20s}  target {entry.get('target')}  {flag}  {entry.get('note', '')}")
    return all(entry.get("ok") is not False for entry in report["rows"].values())


def main() -> int:
    """Command line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what a benchmark started is stopped, too
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[*NAMES, "all"])
    parser.add_argument("--json", type=Path, help="where to write (default benchmarks/results/NAME.json)")
    args = parser.parse_args()
    names = NAMES if args.name == "all" else (args.name,)
    ok = True
    for name in names:
        if args.name == "all" and not (HERE / f"{name}.py").exists():
            continue
        ok &= run(name, args.json if args.json and len(names) == 1 else HERE / "results" / f"{name}.json")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))  # run as a script, outside any ComfyUI process
    raise SystemExit(main())
