"""Parts of the head, and where its chin is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel

CHIN = 152  # landmark
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
    height = _at_rest(head, shape)[0, :, 1] - chin_m
    lowest, highest = _COLLAR_M
    near = (height > -lowest) & (height < highest)
    return (head.regions.vertices("neck", "scalp", "ears") & near).nonzero().flatten()


def chin_height_m(head: HeadModel, shape: Tensor) -> float:
    """The height of the person's chin at rest, in head axes."""
    return float(head.landmarks.points(_at_rest(head, shape))[0, CHIN, 1])


def _at_rest(head: HeadModel, shape: Tensor) -> Tensor:
    """The person's neutral head [1, V, 3], head axes."""
    return head.vertices(**{**head.rest(), "shape": shape[None]})
