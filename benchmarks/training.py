"""What the two commands of docs/training.md cost, and what their prior is worth on real voices beside the bundled one.

GGTALKER_OWN_RUN names the folder in which they were run as written: it holds out's own.safetensors and, from
`/usr/bin/time -v -o NAME`, corpus.time and train.time. Closures are counted on the dev half of the real voices, as
benchmarks/speech.py does (GGTALKER_MEDIA, GGTALKER_PROMPTS), by `speak()` with its defaults, mean of two seeds.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1)
Row = dict[str, Any]


def rows() -> dict[str, Row]:
    """Seconds of both commands; closures of both priors."""
    folder = Path(os.environ.get("GGTALKER_OWN_RUN", "/nowhere"))
    if not (folder / "own.safetensors").is_file():
        return {"training": _row(None, "", "needs a finished run of docs/training.md: set GGTALKER_OWN_RUN")}
    out = time_rows(folder)
    bench = _speech()
    bench.core()
    media = bench.CLIPS.media_root()
    if media is None:
        return out | {"closures": _row(None, "", "needs the real voices: set GGTALKER_MEDIA")}
    from ggtalker_core.expression import load_prior

    bench.hear_once()
    clips = [c for c in bench.CLIPS.load_clips(media) + bench.CLIPS.load_prompts() if c.half == "dev"]
    for title, prior in (("own", load_prior(folder / "own.safetensors")), ("bundled", load_prior())):
        out |= closure_rows(bench, clips, prior, title)
    return out


def time_rows(folder: Path) -> dict[str, Row]:
    """Processor and wall seconds and memory of both commands, from what `time -v` wrote."""
    out: dict[str, Row] = {}
    for command in ("corpus", "train"):
        path = folder / f"{command}.time"
        if not path.is_file():
            out[f"{command}: processor"] = _row(None, "s", f"no {path.name}")
            continue
        text = path.read_text()
        user, system, memory = (float(re.search(rf"{what}.*: ([\d.]+)", text)[1]) for what in _FIELDS)  # type: ignore[index]
        clock = re.search(r"Elapsed.*: ([\d:.]+)\n", text)
        parts = [float(p) for p in clock[1].split(":")] if clock else [float("nan")]
        out[f"{command}: processor"] = _row(user + system, "s")
        out[f"{command}: wall"] = _row(sum(p * 60**i for i, p in enumerate(reversed(parts))), "s", _SHARED)
        out[f"{command}: memory"] = _row(memory / 1024, "MB", "peak")
    return out


_FIELDS = ("User time", "System time", "Maximum resident set size")
_SHARED = "one thread beside other work: the processor seconds are the figure to keep"


def closure_rows(bench: ModuleType, clips: list[Any], prior: Any, title: str) -> dict[str, Row]:
    """Closures, vowels, likeness to the rules and the digital silence of one prior."""
    import torch

    from ggtalker_core.expression import speak
    from ggtalker_core.types import AudioTrack

    def gap(audio: Any, seed: int) -> Any:
        return bench.CLIPS.lip_gap_mm(speak(audio, prior=prior, seed=seed))

    out: dict[str, Row] = {}
    for group in ("English", "other languages", "prompts"):
        chosen = [c for c in clips if _group(c) == group]
        if not chosen:
            continue
        rules = [bench.SCORES.rules_gap(c) for c in chosen]
        spoken = [[gap(c.audio, seed) for c in chosen] for seed in SEEDS]
        counts = [bench.SCORES.count(chosen, gaps) for gaps in spoken]
        like = np.mean([[bench.SCORES.likeness(c, g, r) for c, g, r in zip(chosen, gaps, rules)] for gaps in spoken])
        n, made = len(counts[0].hits), np.mean([len(c.right) for c in counts])
        name = f"{title} prior, {group}, dev half"
        out[f"{name}: closure recall"] = _row(float(np.mean([c.recall for c in counts])), "", f"of {n}")
        out[f"{name}: closure precision"] = _row(float(np.mean([c.precision for c in counts])), "", f"of {made:.1f}")
        out[f"{name}: lips shut in vowel frames"] = _row(float(np.mean([c.shut_in_vowels for c in counts])), "")
        out[f"{name}: likeness to the rules"] = _row(float(like), "")
    zeros = gap(AudioTrack(torch.zeros(1, 64000), 16000), 0) - bench.neutral_gap_mm()
    out[f"{title} prior: digital silence, lip gap away from neutral, max"] = _row(float(np.abs(zeros).max()), "mm")
    return out


def _group(clip: Any) -> str:
    if clip.name.split("/")[0] not in ("audio", "video"):
        return "prompts"
    return "English" if clip.language == "en" else "other languages"


def _speech() -> ModuleType:
    """benchmarks/speech.py, without touching sys.path."""
    import importlib.util
    import sys

    spec = importlib.util.spec_from_file_location("ggtalker_bench_speech", HERE / "speech.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _row(value: float | None, unit: str, note: str = "") -> Row:
    return {"value": value, "unit": unit, "target": None, "ok": None, "note": note}
