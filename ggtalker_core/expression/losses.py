"""What a motion is compared by: channels, their speed, and the lip gap, where closed lips count most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .channels import lip_gap_mm
from .config import LossWeights


@dataclass(frozen=True)
class Scale:
    """z-scoring of the mouth channels."""

    mean: Tensor  # [13]
    std: Tensor  # [13]

    def normalise(self, channels: Tensor) -> Tensor:
        """Channels [..., 13] -> z-scores."""
        return (channels - self.mean) / self.std

    def restore(self, scores: Tensor) -> Tensor:
        """z-scores [..., 13] -> channels."""
        return scores * self.std + self.mean


def motion_loss(predicted: Tensor, true: Tensor, scale: Scale, weights: LossWeights) -> Tensor:
    """Loss of z-scored channels [B, T, 13]: squared error, squared velocity error, and lip gap error.

    The gap term weighted by exp(-gap / 2 mm) follows NVIDIA's Audio2Face-3D: a missed closure is seen at once, a
    millimetre more or less in a vowel is not.
    """
    gap, true_gap = lip_gap_mm(scale.restore(predicted)), lip_gap_mm(scale.restore(true))
    square = (gap - true_gap) ** 2
    return (
        functional.mse_loss(predicted, true)
        + weights.velocity * functional.mse_loss(predicted.diff(dim=1), true.diff(dim=1))
        + weights.closed_gap * (square * torch.exp(-true_gap.clamp(min=0) / 2)).mean()
        + weights.gap * square.mean()
    )


def closure_loss(logit: Tensor, closure: Tensor) -> Tensor:
    """Cross-entropy of the closure head; closures are rare and count double."""
    return functional.binary_cross_entropy_with_logits(logit, closure, pos_weight=logit.new_tensor(2.0))
