"""The regression trunk: speech features -> mouth channels and closure, one answer per frame.

It gives the denoiser its starting point and its view of the sound; alone it is a usable, deterministic prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import PriorConfig


@dataclass(frozen=True)
class Heard:
    """What the trunk makes of the sound."""

    channels: Tensor  # [B, T, 13] z-scored mouth channels
    closure: Tensor  # [B, T] logit of "the lips are shut"
    hidden: Tensor  # [B, T, trunk_width]


class RegressionTrunk(nn.Module):
    """Three dilated convolutions (12 frames to each side) over normalised features."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, config: PriorConfig):
        super().__init__()
        width = config.trunk_width
        self.register_buffer("feature_mean", torch.zeros(config.feature_width))
        self.register_buffer("feature_std", torch.ones(config.feature_width))
        self.norm = nn.LayerNorm(config.feature_width)
        self.enter = nn.Linear(config.feature_width, width)
        self.convolutions = nn.ModuleList([nn.Conv1d(width, width, 5, padding=2 * k, dilation=k) for k in (1, 2, 3)])
        self.drop = nn.Dropout(config.trunk_dropout)
        self.leave = nn.Linear(width, config.channels)
        self.closure = nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Heard:
        """features [B, T, feature_width] at 25 fps."""
        x = self.norm((features - self.feature_mean) / self.feature_std)
        h = self.enter(self.drop(x)).transpose(1, 2)
        for convolution in self.convolutions:
            h = h + functional.gelu(self.drop(convolution(h)))
        h = h.transpose(1, 2)
        return Heard(self.leave(h), self.closure(h)[..., 0], h)
