"""The closure head has a say over the sampled motion: lips shut where it is sure, and not by chance where it is not."""

from __future__ import annotations

import torch
from torch import Tensor

from .channels import lip_gap_mm
from .coarticulation import close_lips, near_lips

APART_BELOW = 0.5  # closure probability under which lips may not meet by accident
NEAR_MM = 2.0  # a sampled gap under this is looked at
NEAR_FROM, NEAR_SURE = 0.2, 0.6  # chance of an /f v/ or /w/ from which it counts, and counts in full
PEAK_REACH, PEAK_POWER = 2, 4  # frames to each side among which a closure stands out, and how much it must


def smoothstep(x: Tensor) -> Tensor:
    """0 below 0, 1 above 1, smooth between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def stand_out(closure: Tensor) -> Tensor:
    """Closure [T] lessened where a neighbour is surer: lips meet at the peak, not on the way there and back.

    A peak keeps its value, and so does a plateau (a long /m/); half as sure as the surest neighbour leaves a sixteenth.
    """
    highest = torch.nn.functional.max_pool1d(closure[None, None], 2 * PEAK_REACH + 1, 1, PEAK_REACH)[0, 0]
    return closure * (closure / highest.clamp(min=1e-6)) ** PEAK_POWER


def shut_lips(channels: Tensor, closure: Tensor, at: float) -> Tensor:
    """Blend channels [T, 13] into a full closure where `closure` [T] passes `at` (over a band of 0.3 around it)."""
    if at > 1:
        return channels
    shut = ((closure - at + 0.15) / 0.3).clamp(0, 1)
    return torch.from_numpy(close_lips(channels.numpy(), shut.numpy()))


def part_lips(sampled: Tensor, regression: Tensor, closure: Tensor) -> Tensor:
    """Take the regression's answer where the sampler shut the lips by chance.

    sampled and regression [T, 13], closure [T] probability. Weight 1 where the closure head is well under APART_BELOW
    and the sampled gap well under NEAR_MM; in pauses both answers rest, so nothing changes there.
    """
    apart = smoothstep((APART_BELOW - closure) / 0.2)
    near = smoothstep((NEAR_MM - lip_gap_mm(sampled)) / 1.0)
    return torch.lerp(sampled, regression, (apart * near)[:, None])


def bring_near(channels: Tensor, chance: Tensor, share: float) -> Tensor:
    """Channels [T, 13] with the lips near each other where an /f v/ or a /w/ is heard, chance [T, 2] (lips_near).

    `share` of the way to the shapes of NEAR_SHAPES is gone where it is sure; an average over many mouths, which the
    networks answer with, keeps them too open. See coarticulation.near_lips.
    """
    weight = share * ((chance - NEAR_FROM) / (NEAR_SURE - NEAR_FROM)).clamp(0, 1)
    return torch.from_numpy(near_lips(channels.numpy(), weight.numpy())).float()
