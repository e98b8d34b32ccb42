"""What a motion is compared by: channels, their speed, and the lip gap, where closed lips count most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import IncompatibleFileError
from .channels import N_CHANNELS, lip_gap_mm, to_expression
from .config import LossWeights

STILL = 0.01  # z-scored change per frame under which the mouth counts as standing still


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


@lru_cache(maxsize=1)
def lip_motion_mm() -> Tensor:
    """How far every channel moves the lip vertices of the default head, [13, 22 * 3] millimetres per unit.

    Linearised at speech-like weights (0.2); the jaw turns so little that the rest is under half a millimetre.
    """
    from ..head.model import load_head

    head = load_head()
    if head.arkit is None:
        raise IncompatibleFileError("The default head carries no ARKit map; reinstall the pack.")
    part = head.subset(head.lip_pairs.flatten().unique())
    size, n = 0.2, N_CHANNELS + 1
    channels = torch.cat([torch.zeros(1, N_CHANNELS), torch.eye(N_CHANNELS) * size])
    expression, jaw = to_expression(channels, head.arkit)
    still = torch.zeros(n, 3)
    vertices = part.vertices(torch.zeros(n, head.n_shape), expression, jaw, still, torch.zeros(n, 6))
    return ((vertices[1:] - vertices[:1]) * 1000 / size).flatten(1)


def motion_loss(predicted: Tensor, true: Tensor, scale: Scale, weights: LossWeights) -> Tensor:
    """Loss of z-scored channels [B, T, 13], always in float32: bfloat16 would blur the lip gap by tenths of a mm.

    The terms are those of `_motion_loss`.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        return _motion_loss(predicted.float(), true.float(), scale, weights)


def _motion_loss(predicted: Tensor, true: Tensor, scale: Scale, weights: LossWeights) -> Tensor:
    """Loss of z-scored channels [B, T, 13]: error of expression, velocity, jerk, lips, lip gap, stillness.

    The gap term weighted by exp(-gap / 2 mm) follows NVIDIA's Audio2Face-3D: a missed closure is seen at once, a
    millimetre more or less in a vowel is not. The Huber loss of second differences and the lip-vertex term are the
    paper's; stillness asks for no motion where the true mouth has none (silence).
    """
    restored, true_restored = scale.restore(predicted), scale.restore(true)
    gap, true_gap = lip_gap_mm(restored), lip_gap_mm(true_restored)
    square = (gap - true_gap) ** 2
    speed, true_speed = predicted.diff(dim=1), true.diff(dim=1)
    standing = (true_speed.abs().amax(-1, keepdim=True) < STILL).to(speed.dtype)
    lips = (restored - true_restored) @ lip_motion_mm().to(predicted)
    return (
        functional.mse_loss(predicted, true)
        + weights.velocity * functional.mse_loss(speed, true_speed)
        + weights.jerk * functional.huber_loss(speed.diff(dim=1), true_speed.diff(dim=1))
        + weights.lips * (lips**2).mean()
        + weights.closed_gap * (square * torch.exp(-true_gap.clamp(min=0) / 2)).mean()
        + weights.gap * square.mean()
        + weights.still * (standing * speed**2).mean()
    )


def closure_loss(logit: Tensor, closure: Tensor) -> Tensor:
    """Cross-entropy of the closure head; closures are rare and count double."""
    return functional.binary_cross_entropy_with_logits(logit, closure, pos_weight=logit.new_tensor(2.0))
