"""What was found on this machine, why something cannot be used, and the exact fix."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..files import sha256_of
from .console import give

if TYPE_CHECKING:
    import argparse

_ASSETS = Path(__file__).resolve().parent.parent / "assets"
_NEEDED = {
    "numpy": "numpy", "safetensors": "safetensors", "opencv-python": "cv2", "av": "av", "numba": "numba",
    "scipy": "scipy", "pillow": "PIL",
}  # fmt: skip
_OPTIONAL = {"gsplat": "the CUDA rasteriser", "transformers": "other speech encoders", "smplx": "checks against FLAME"}
_LEAST_FREE_GB = 2.0
_SHA256 = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    state: str  # "ok", "note" (works without it), "problem"
    found: str
    fix: str = ""


def doctor(options: argparse.Namespace) -> int:
    """Report; 1 when something that is needed is missing or damaged."""
    findings = [*_python(), *_torch(), *_packages(), *_backends(), *weights(_ASSETS), *_disk(), *_comfyui()]
    marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
    lines = [f"{marks[f.state]} {f.what}: {f.found}" + (f"\n        fix: {f.fix}" if f.fix else "") for f in findings]
    bad = [f for f in findings if f.state == "problem"]
    lines.append(f"{len(bad)} problem(s)." if bad else "All that is needed is here.")
    result: dict[str, Any] = {"ok": not bad, "version": __version__, "findings": [asdict(f) for f in findings]}
    give(result, "\n".join(lines), options.json)
    return 1 if bad else 0


def _python() -> list[Finding]:
    text = f"{platform.python_version()} at {sys.executable}, {platform.system()}, {os.cpu_count()} cores"
    return [Finding("Python", "ok", text), Finding("GGTalker", "ok", __version__)]


def _torch() -> list[Finding]:
    """Which torch, and what it can compute on. Only looks; starts no CUDA context beyond torch's own check."""
    try:
        import torch
    except Exception as error:  # a broken torch fails in many ways
        fix = "Install PyTorch as pytorch.org says for this machine; ComfyUI brings it."
        return [Finding("torch", "problem", f"{type(error).__name__}: {error}", fix)]
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    built = f"ROCm {torch.version.hip}" if torch.version.hip else built
    found = [Finding("torch", "ok", f"{torch.__version__}, built for {built}")]
    if torch.cuda.is_available():
        found.append(Finding("device", "ok", f"cuda: {torch.cuda.get_device_name(0)}"))
    else:
        why = "this torch is built without CUDA" if not torch.version.cuda else "no CUDA device or driver was found"
        found.append(Finding("device", "ok", f"cpu ({why}); every stage has a processor path"))
    return found


def _packages() -> list[Finding]:
    findings: list[Finding] = []
    for package, module in _NEEDED.items():
        try:
            importlib.import_module(module)
            findings.append(Finding(package, "ok", _version(package)))
        except Exception as error:
            fix = f'"{sys.executable}" -m pip install --upgrade {package}'
            findings.append(Finding(package, "problem", f"{type(error).__name__}: {error}", fix))
    for package, purpose in _OPTIONAL.items():
        version = _version(package)
        state = "note" if version == "not installed" else "ok"
        findings.append(Finding(package, state, f"{version} (optional: {purpose})"))
    return findings


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _backends() -> list[Finding]:
    try:
        from ..render import available_backends
        from ..render.select import auto_sentence

        backends = available_backends()
        chosen = auto_sentence()
    except Exception as error:
        return [Finding("rasteriser", "problem", f"{type(error).__name__}: {error}", "Mend the packages above.")]
    found = [
        Finding(f"rasteriser {name}", "ok" if a.ok else "note", a.why or "ready", a.how_to_fix)
        for name, a in backends.items()
    ]
    found.insert(0, Finding("rasteriser auto", "ok", chosen))
    if not any(a.ok for a in backends.values()):
        found.append(Finding("rasteriser", "problem", "none can be used", "Mend one of those above."))
    return found


def weights(folder: Path) -> list[Finding]:
    """Every bundled weight file against the checksum in the folder's README."""
    readme = folder / "README.md"
    rows = readme.read_text(encoding="utf-8").splitlines() if readme.is_file() else []
    known: dict[str, str] = {}
    for row in rows:
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        digest = _SHA256.search(row)
        if digest and "." in cells[0]:
            known[cells[0].strip("`")] = digest.group()
    files = {path.name for path in folder.glob("*.safetensors")}
    fix = "Reinstall the pack: the file is missing or was changed."
    findings: list[Finding] = []
    for name in sorted(known.keys() | files):
        path = folder / name
        if not path.is_file():
            findings.append(Finding(f"weights {name}", "problem", "missing", fix))
        elif name not in known:
            findings.append(Finding(f"weights {name}", "problem", "no checksum is known for it", fix))
        elif sha256_of(path) != known[name]:
            findings.append(Finding(f"weights {name}", "problem", "the checksum differs", fix))
        else:
            size = path.stat().st_size / 1e6
            findings.append(Finding(f"weights {name}", "ok", f"{size:.1f} MB, checksum agrees"))
    if not findings:
        findings.append(Finding("weights", "problem", f"none in {folder}", fix))
    return findings


def _disk() -> list[Finding]:
    findings: list[Finding] = []
    for label, folder in (("here", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free / 1e9
        state = "ok" if free >= _LEAST_FREE_GB else "problem"
        fix = (
            "" if state == "ok" else f"Free at least {_LEAST_FREE_GB:g} GB; generated frames are kept there meanwhile."
        )
        findings.append(Finding(f"free disk, {label}", state, f"{free:.1f} GB in {folder}", fix))
    return findings


def _comfyui() -> list[Finding]:
    """The ComfyUI around the pack, or the one named by COMFYUI_DIR, or the local one of the scripts."""
    root = Path(__file__).resolve().parents[2]
    places = [Path(os.environ["COMFYUI_DIR"])] if os.environ.get("COMFYUI_DIR") else []
    places += [root.parent.parent, root / ".comfyui" / "ComfyUI"]
    for place in places:
        file = place / "comfyui_version.py"
        if file.is_file():
            found = re.search(r"__version__\s*=\s*[\"']([^\"']+)", file.read_text(encoding="utf-8", errors="replace"))
            return [Finding("ComfyUI", "ok", f"{found.group(1) if found else 'of unknown version'} in {place}")]
    return [Finding("ComfyUI", "note", "not found; the command line works without it", "")]
