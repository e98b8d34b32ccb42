"""Blinks at random but repeatable times."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from .config import BlinkConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..types import MotionTrack


def blink_times_s(duration_s: float, seed: int, config: BlinkConfig | None = None) -> list[float]:
    """When blinks begin, in seconds: a Poisson process with a shortest pause; the same for the same seed."""
    import numpy as np

    config = config or BlinkConfig()
    if config.per_minute < 0 or config.per_minute > 120:
        raise InvalidInputError(f"The blink rate must lie in 0..120 per minute, got {config.per_minute}.")
    if config.per_minute == 0:
        return []
    pause = config.length_s + config.shortest_pause_s
    mean_extra = max(60.0 / config.per_minute - pause, 1e-3)
    random = np.random.default_rng(seed)
    times: list[float] = []
    moment = float(random.exponential(mean_extra + pause))
    while moment + config.length_s <= duration_s:
        times.append(moment)
        moment += pause + float(random.exponential(mean_extra))
    return times


def blink_closure(count: int, fps: Fraction, times_s: list[float], config: BlinkConfig | None = None) -> Tensor:
    """Closure of the lids in [0, 1] for `count` frames, [T, 2] left and right: fast down, slow up.

    The frame nearest to the middle of each closed phase is fully closed, whatever the frame rate.
    """
    import torch

    config = config or BlinkConfig()
    moments = torch.arange(count, dtype=torch.float64) / float(fps)
    closure = torch.zeros(count, dtype=torch.float64)
    for start in times_s:
        after = moments - start
        down = (after / config.closing_s).clamp(0, 1)
        up = ((after - config.closing_s - config.closed_s) / config.opening_s).clamp(0, 1)
        closure = torch.maximum(closure, _ease(down) * (1 - _ease(up)))
        middle = round((start + config.closing_s + config.closed_s / 2) * float(fps))
        if middle < count:
            closure[middle] = 1.0
    return closure.float()[:, None].repeat(1, 2)


def _ease(x: torch.Tensor) -> torch.Tensor:
    """0 to 1 without corners."""
    return x * x * (3 - 2 * x)


def add_blinks(motion: MotionTrack, *, seed: int = 0, config: BlinkConfig | None = None) -> MotionTrack:
    """The motion with blinks of its own, instead of those of the avatar's body loop."""
    import torch

    times = blink_times_s(float(motion.count / motion.fps), seed, config)
    closure = blink_closure(motion.count, motion.fps, times, config)
    if motion.eyelids is not None:
        closure = torch.maximum(motion.eyelids, closure.to(motion.eyelids))
    return dataclasses.replace(motion, eyelids=closure)
