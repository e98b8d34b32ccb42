"""Write docs/benchmarks.md from benchmarks/results/*.json, so that every quoted figure comes from a file.

python benchmarks/report.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
METRICS = (
    ("full_psnr_db", "full frame PSNR, dB", 2),
    ("head_psnr_db", "head PSNR, dB", 2),
    ("mouth_psnr_db", "mouth PSNR, dB", 2),
    ("edge_psnr_db", "silhouette band PSNR, dB", 2),
    ("head_ssim", "head SSIM", 3),
    ("mouth_lmd_px", "mouth landmark distance, px", 2),
    ("lip_gap_correlation", "lip gap correlation", 3),
    ("seam_error_ratio", "error in the seam band / in the head", 2),
    ("flicker_ratio", "flicker in still stretches / the original's own", 2),
)
INTRO = """# Benchmarks

Written by `python benchmarks/report.py` from `benchmarks/results/*.json`; each file names its command and date. The
machine has two processor cores and no GPU; it is shared, so wall times vary, and ratios and processor seconds are the
figures to compare. **GPU: not measured** (`benchmarks/gpu/` holds the one command that measures it). The paper's own
figures are not ours and are not quoted here. The clips and voices show real people and are not part of the project;
set `GGTALKER_MEDIA` to a folder of your own.
"""
PROTOCOL = """## Self-reenactment

`python -m ggtalker_core.cli evaluate --video CLIP --json OUT`: the first 10/11 of the frames are fitted, the last
1/11 are only tracked from landmarks and then drawn. "Refined": the test frames' motion is also fitted to their own
pictures, the avatar held still (what re-enactment may do; it looks at the test frames). Baseline: the fitted frame
whose landmarks are nearest, pasted the same way. The full frame also holds copied pixels; judge by the head: the
person's matte above a neck line, without shoulders beside it; a collar next to the neck is still counted, although
the head can hold little of it. "Not solid": share of the silhouette seen from the side with coverage below 0.9.
"""


def number(value: float | None, digits: int = 4) -> str:
    """A figure for a table."""
    if value is None:
        return "not measured"
    return f"{value:.{digits}g}" if abs(value) < 10000 else f"{value:.0f}"


def rows_section(path: Path) -> str:
    """One benchmark as a table."""
    report: dict[str, Any] = json.loads(path.read_text())
    machine = report["machine"]
    lines = [
        f"## {report['benchmark'].capitalize()}\n",
        f"`{report['command']}`, {report['date']}, {machine['cpu']}, {machine['cores']} cores, "
        f"torch {machine['torch']}.\n",
        "| row | value | target | reached | note |",
        "|---|---|---|---|---|",
    ]
    for name, row in report["rows"].items():
        target = row.get("target")
        text = target if isinstance(target, str) else "" if target is None else number(target)
        reached = {True: "yes", False: "**no**", None: ""}[row.get("ok")]
        unit = row.get("unit", "")
        value = number(row["value"]) + (f" {unit}" if row["value"] is not None else "")
        lines.append(f"| {name} | {value} | {text} | {reached} | {row.get('note', '')} |")
    return "\n".join(lines) + "\n"


def outcomes_section(path: Path) -> str:
    """What came of each bad input, in the words that the user reads."""
    report: dict[str, Any] = json.loads(path.read_text())
    lines = [
        "## Bad input\n",
        f"`{report['command']}`, {report['date']}. A result where one is possible, else a refusal that names the "
        "file, the problem and the remedy; never a half-written file.\n",
        "| input | as wanted | what came | in whose words |",
        "|---|---|---|---|",
    ]
    for name, row in report["rows"].items():
        words = " ".join(row["note"].split())
        lines.append(f"| {name} | {'yes' if row['ok'] else '**no**'} | {row['outcome']} | {words} |")
    return "\n".join(lines) + "\n"


def evaluation_section(paths: list[Path]) -> str:
    """The self-reenactment results, one table for each clip."""
    return PROTOCOL + "\n" + "\n".join(evaluation_table(json.loads(path.read_text())) for path in paths)


def evaluation_table(report: dict[str, Any]) -> str:
    """One clip: ours, ours with refined test frames, the nearest frame; what it cost."""
    columns = [("ours", report["ours"]), ("nearest frame", report["nearest_frame"])]
    if report.get("ours_refined"):
        columns.insert(1, ("ours, test frames refined", report["ours_refined"]))
    lines = [
        f"### {report['clip']} ({report['preset']}, {report['device']})\n",
        "| | " + " | ".join(name for name, _ in columns) + " |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for key, label, digits in METRICS:
        values = [scores.get(key) for _, scores in columns]
        cells = ("" if value is None else f"{value:.{digits}f}" for value in values)
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    times = ", ".join(f"{part} {report['cpu_seconds'][part]:.0f} ({s:.0f})" for part, s in report["seconds"].items())
    facts = (
        f"{report['frames_fit']} frames fitted, {report['frames_scored']} scored. Processor (wall) seconds: {times}. "
    )
    views = ", ".join(f"{100 * share:.2f} % from {yaw}" for yaw, share in report.get("open_share", {}).items())
    facts += f"Peak memory {report['peak_memory_mb']:.0f} MB." + (f" Not solid: {views}." if views else "")
    grain = ", ".join(f"{ratio:.2f} from {yaw}" for yaw, ratio in report.get("color_grain_ratio", {}).items())
    facts += f" Speckled colours over the film's own: {grain}." if grain else ""
    return "\n".join([*lines, "", facts]) + "\n"


def main() -> None:
    """Write the page."""
    parts = [INTRO]
    evaluations = sorted(RESULTS.glob("evaluate_*.json"))
    if evaluations:
        parts.append(evaluation_section(evaluations))
    for path in sorted(RESULTS.glob("*.json")):
        if not path.name.startswith("evaluate_"):
            parts.append(outcomes_section(path) if path.name == "bad_input.json" else rows_section(path))
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
