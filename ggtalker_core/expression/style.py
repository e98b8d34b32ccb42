"""How somebody speaks, as 64 numbers: read from a few seconds of mouth motion, or from a named manner.

The denoiser takes this token as an input of its own (GGTalker's identity embedding). Both ways of making it are trained
together with the denoiser: the motion encoder sees another stretch of the same speaker than the one to be predicted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import PriorConfig

_INNER = 64


class StyleEncoder(nn.Module):
    """Motion -> token and manner -> token, into the same space."""

    def __init__(self, config: PriorConfig):
        super().__init__()
        self.first = nn.Conv1d(config.channels, _INNER, 5, stride=2, padding=2)
        self.second = nn.Conv1d(_INNER, _INNER, 5, stride=2, padding=2)
        self.leave = nn.Linear(2 * _INNER, config.style_width)
        self.manner_in = nn.Linear(config.manner_width, _INNER)
        self.manner_out = nn.Linear(_INNER, config.style_width)
        self.read_manner = nn.Linear(config.style_width, config.manner_width)
        self.unknown = nn.Parameter(torch.zeros(config.style_width))

    def of_motion(self, channels: Tensor) -> Tensor:
        """z-scored mouth channels [B, T, 13] (T about 100) -> [B, style_width]."""
        h = functional.gelu(self.first(channels.transpose(1, 2)))
        h = functional.gelu(self.second(h))
        return self.leave(torch.cat([h.mean(2), h.std(2)], 1))

    def of_manner(self, manner: Tensor) -> Tensor:
        """Manner.vector [B, 4] -> [B, style_width]."""
        return self.manner_out(functional.silu(self.manner_in(manner * 4)))

    def manner_of(self, token: Tensor) -> Tensor:
        """What a token says about the manner, [B, style_width] -> [B, 4]; approximate."""
        return self.read_manner(token) / 4
