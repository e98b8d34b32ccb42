"""Long clips in windows, so that memory does not grow with their length: the person once, then the motion by pieces.

Neighbouring windows overlap by more than the temporal prior reaches, so the pieces fit together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LONG = 1024  # frames; shorter clips are solved as one
SAMPLES = 512  # frames of a long one, among which the keyframes of the person are chosen
WINDOW, OVERLAP = 224, 32  # frames that are kept of a window, and how many more are solved on either side


def windows(valid: Tensor) -> Iterator[tuple[int, slice, int]]:
    """(first frame, frames to be kept, end) of each window; every one holds frames with a face (valid [T])."""
    total, good = len(valid), valid.nonzero()[:, 0]
    for begin in range(0, total, WINDOW):
        end = min(begin + WINDOW, total)
        start, stop = max(begin - OVERLAP, 0), min(end + OVERLAP, total)
        before, after = good[good < start], good[good >= stop]
        # A window that opens or ends without a face reaches to the next one, from which its motion is bridged.
        if len(before) and not bool(valid[start]):
            start = int(before[-1])
        if len(after) and not bool(valid[stop - 1]):
            stop = int(after[0]) + 1
        yield start, slice(begin, end), stop


def samples(valid: Tensor, most: int = SAMPLES) -> Tensor:
    """Frames [K] with a face, spread evenly, from which the person is found."""
    import torch

    good = valid.nonzero()[:, 0]
    if len(good) <= most:
        return good
    return good[torch.linspace(0, len(good) - 1, most).round().long()]


def share_of(tick: Callable[[float], None] | None, begin: float, end: float) -> Callable[[float], None] | None:
    """A `tick` for the part begin..end of the whole."""
    return None if tick is None else lambda x: tick(begin + (end - begin) * x)
