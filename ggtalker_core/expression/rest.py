"""Where nothing is said, the lips rest: finding silence and easing in and out of it."""

from __future__ import annotations

import torch
from torch import Tensor

from .channels import lip_gap_mm

FIRST_SHAPE = 7  # frames after the onset of a voice among which its first open shape is looked for
LEAST_OPEN_MM = 2.0  # less than this is no opening


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


def lead_in(channels: Tensor, closure: Tensor, quiet: Tensor, frames: int, share: float) -> Tensor:
    """Let the mouth open ahead of a voice that follows a pause, as people do.

    The lips part 100 to 300 ms before the voice sets in (Chandrasekaran et al. 2009), sooner than in the training
    targets. channels [T, 13] at rest 0, closure [T] probability of shut lips, quiet [T] bool: frames of pauses that
    are long enough. In the last `frames` frames of a pause the mouth goes over to `share` of the first open shape that
    follows, unless the lips must meet before it (a voice that sets in with /p b m/).
    """
    if frames < 1 or share <= 0:
        return channels
    out, count = channels.clone(), len(channels)
    gap = lip_gap_mm(channels)
    edges = torch.diff(quiet.int(), append=torch.zeros(1, dtype=torch.int32))
    for last in torch.nonzero(edges == -1)[:, 0].tolist():
        onset = last + 1
        ahead = gap[onset : onset + FIRST_SHAPE]
        if onset >= count or float(ahead.max()) < LEAST_OPEN_MM:
            continue
        shape = onset + int(torch.nonzero(ahead >= 0.8 * ahead.max())[0])
        if bool((closure[last : shape + 1] > 0.5).any()):
            continue
        first = max(onset - frames, 0, *(torch.nonzero(~quiet[:onset])[-1:, 0] + 1).tolist())
        way = torch.arange(1, onset - first + 1) / (onset - first + 1)
        aim = share * channels[shape] * (way * way * (3 - 2 * way))[:, None]
        wider = lip_gap_mm(aim) > gap[first:onset]
        out[first:onset] = torch.where(wider[:, None], aim, channels[first:onset])
    return out
