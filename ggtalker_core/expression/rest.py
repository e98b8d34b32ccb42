"""Where nothing is said, the lips rest: finding silence and easing in and out of it."""

from __future__ import annotations

import torch
from torch import Tensor


def silent_frames(level_db: Tensor, below_db: float, after_frames: int) -> Tensor:
    """Frames inside stretches of at least `after_frames` frames whose sound stays below `below_db`. [T] -> [T] bool."""
    quiet = (level_db < below_db).tolist()
    out = torch.zeros(len(quiet), dtype=torch.bool)
    start = 0
    for i in range(len(quiet) + 1):
        if i < len(quiet) and quiet[i]:
            continue
        if i - start >= after_frames or (start == 0 and i == len(quiet)):
            out[start:i] = True
        start = i + 1
    return out


def rest_weight(silence: Tensor, close_frames: int = 4, open_frames: int = 4) -> Tensor:
    """How much every frame belongs to the rest pose: 1 inside silence, eased at both ends. [T] bool -> [T] in [0, 1].

    The mouth needs `close_frames` to come to rest and leaves it `open_frames` before sound sets in, because lips part
    before a voice is heard. A silence too short for both stays under 1.
    """
    count = len(silence)
    weight = torch.zeros(count)
    index = torch.arange(count, dtype=torch.float32)
    edges = torch.diff(
        silence.int(), prepend=torch.zeros(1, dtype=torch.int32), append=torch.zeros(1, dtype=torch.int32)
    )
    for a, b in zip(torch.nonzero(edges == 1)[:, 0].tolist(), torch.nonzero(edges == -1)[:, 0].tolist()):
        rising = torch.ones(count) if a == 0 else ((index - a + 1) / (close_frames + 1)).clamp(0, 1)
        falling = torch.ones(count) if b == count else ((b - index) / (open_frames + 1)).clamp(0, 1)
        inside = torch.minimum(rising, falling)
        inside[:a] = 0
        inside[b:] = 0
        weight = torch.maximum(weight, inside)
    return weight * weight * (3 - 2 * weight)
