"""Noise schedule and the deterministic DDIM sampler, in windows that continue each other.

Cosine schedule: Nichol & Dhariwal 2021. DDIM with eta 0: Song et al. 2021. Guidance: Ho & Salimans 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..progress import Progress, silent

# (noisy [1, P + W, C], known [1, P + W], step [1], first frame, frames) -> clean [1, P + W, C]
Predict = Callable[[Tensor, Tensor, Tensor, int, int], Tensor]


def cosine_schedule(steps: int) -> Tensor:
    """Share of signal power left after 0 .. steps noise steps, [steps + 1], from 1 down to 1e-4."""
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    power = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return (power / power[0]).clamp(1e-4, 1.0).float()


def add_noise(clean: Tensor, noise: Tensor, power: Tensor) -> Tensor:
    """clean and noise [B, T, C] mixed by the signal power [B]."""
    a = power[:, None, None]
    return a.sqrt() * clean + (1 - a).sqrt() * noise


def sample_window(
    predict: Callable[[Tensor, Tensor, Tensor], Tensor],  # (noisy, known, step [1]) -> clean
    noise: Tensor,  # [1, W, C]
    previous: Tensor,  # [1, P, C] clean
    schedule: Tensor,
    steps: int,
) -> Tensor:
    """Denoise one window after `previous`; returns the new frames [1, W, C]."""
    p = previous.shape[1]
    total = schedule.shape[0] - 1
    times = torch.linspace(total, 0, min(steps, total) + 1).round().long()
    x = noise
    known = torch.zeros(1, p + noise.shape[1])
    known[:, :p] = 1
    for now, after in zip(times[:-1], times[1:]):
        clean = predict(torch.cat([previous, x], 1), known, now[None])[:, p:]
        left = (x - schedule[now].sqrt() * clean) / (1 - schedule[now]).sqrt().clamp(min=1e-4)
        x = schedule[after].sqrt() * clean + (1 - schedule[after]).sqrt() * left
    return x


def sample(
    predict: Predict,
    frames: int,
    start: Tensor,  # [1, P, C] the frames before the first one
    *,
    window: int,
    schedule: Tensor,
    steps: int,
    seed: int,
    variation: float = 1.0,
    progress: Progress = silent,
) -> Tensor:
    """Any number of frames [frames, C]: windows of `window` frames, each shown the last P frames of the one before.

    The noise of a frame depends only on the seed and the frame, never on the length.
    """
    generator = torch.Generator().manual_seed(seed)
    out: list[Tensor] = []
    previous = start
    for first in range(0, frames, window):
        noise = torch.randn(1, window, start.shape[2], generator=generator) * variation
        count = min(window, frames - first)

        def step(noisy: Tensor, known: Tensor, t: Tensor, first: int = first, count: int = count) -> Tensor:
            return predict(noisy, known, t, first, count)

        new = sample_window(step, noise[:, :count], previous, schedule, steps)
        out.append(new[0])
        previous = torch.cat([previous, new], 1)[:, -start.shape[1] :]
        progress(first + count, frames, "speaking")
    return torch.cat(out)
