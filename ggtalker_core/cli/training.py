"""`train`: priors of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import Bar, give

if TYPE_CHECKING:
    import argparse


def train(options: argparse.Namespace) -> int:
    """Train, or go on with a stopped run."""
    from ..expression.training_run import read_settings, train_audio_prior

    bar = Bar("train", quiet=options.quiet)
    path = train_audio_prior(read_settings(options.config), progress=bar)
    bar.close()
    give({"prior": str(path), "model_card": str(path.with_suffix(".md"))}, f"Written: {path}", options.json)
    return 0
