"""The commands that check something: evaluate, verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from .console import Bar, give

if TYPE_CHECKING:
    import argparse


def evaluate(options: argparse.Namespace) -> int:
    """Self-reenactment on held-out frames; numbers as JSON, pictures beside it."""
    from ..evaluate import EvaluateConfig, self_reenactment
    from ..pipeline import adapt_config, choose_device
    from ..video import open_clip

    clip = open_clip(options.video, start_s=options.start, end_s=options.end, fps=options.fps)
    bar = Bar("evaluating", quiet=options.quiet)
    result = self_reenactment(
        clip, adapt_config(options.preset, options.backend), EvaluateConfig(test_step=options.test_step),
        device=choose_device(options.device), progress=bar,
    )  # fmt: skip
    bar.close()
    files = result.save_pictures(_picture_folder(options), options.video.stem)
    report = result.report()
    report["pictures"] = [str(file) for file in files]
    give(report, result.text() + "".join(f"\n{file}" for file in files), options.json)
    return 0


def _picture_folder(options: argparse.Namespace) -> Path:
    """Where sheet and plots go: as told, else beside the JSON file, else here."""
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        return options.pictures
    return Path(options.json).resolve().parent if options.json not in (None, "-") else Path.cwd()


def verify(options: argparse.Namespace) -> int:
    """What marks a file carries. Finding none is a result too, not an error."""
    from ..provenance import verify as read_marks

    report = read_marks(options.file, store=options.store)
    give(json.loads(report.to_json()), report.text(), options.json)
    return 0
