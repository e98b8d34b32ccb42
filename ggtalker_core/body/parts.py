"""Parts of the head that are looked at when it is set back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel

_CHIN = 152  # landmark
_COLLAR_M = (0.03, 0.09)  # a neck is looked at from so far below the chin to so far above it
_MOVED_M, _WIDE_JAW_RAD = 2.5e-3, 0.25  # what a wide open, speaking mouth moves by more than this belongs to it
_SPEECH = ("mouthPucker", "mouthFunnel", "mouthStretchLeft", "mouthStretchRight", "mouthClose", "mouthShrugLower")


def moved_by_speech(head: HeadModel) -> Tensor:
    """Vertices that open jaw and lips move visibly, [V] bool."""
    import torch

    still = head.vertices(**head.rest())[0]
    rest = head.rest()
    rest["jaw_rad"] = torch.tensor([[_WIDE_JAW_RAD, 0.0, 0.0]])
    moved = (head.vertices(**rest)[0] - still).norm(dim=1)
    if head.arkit is not None:
        for name in _SPEECH:
            expression, _ = head.arkit.expression(**{name: 0.7})
            shifted = head.vertices(**{**head.rest(), "expression": expression})[0]
            moved = torch.maximum(moved, (shifted - still).norm(dim=1))
    return moved > _MOVED_M


def collar_vertices(head: HeadModel, shape: Tensor, chin_m: float) -> Tensor:
    """Indices of the vertices of neck, ears and hair at the height of a chin at `chin_m` and of the mouth, [C]."""
    rest = head.rest()
    rest["shape"] = shape[None]
    height = head.vertices(**rest)[0, :, 1] - chin_m
    lowest, highest = _COLLAR_M
    near = (height > -lowest) & (height < highest)
    return (head.regions.vertices("neck", "scalp", "ears") & near).nonzero().flatten()


def chin_height_m(head: HeadModel, shape: Tensor) -> float:
    """The height of the person's chin at rest, in head axes."""
    rest = head.rest()
    rest["shape"] = shape[None]
    return float(head.landmarks.points(head.vertices(**rest))[0, _CHIN, 1])
