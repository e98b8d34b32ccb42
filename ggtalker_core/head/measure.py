"""How far the lips and the lids are open, in metres, from vertices that truly face each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .model import HeadModel

MIDDLE_LIP = 5  # row of lip_pairs on the mid-line
_MIDDLE_LIDS = (2, 3)  # columns of lid_pairs over the pupil


def lip_gap_m(vertices: Tensor, head: HeadModel | None = None) -> Tensor:
    """Distance between the lips at the mid-line. vertices [B, V, 3] metres in any rigid frame -> [B] metres.

    The pair of the default head is upper 474, lower 523; the closed neutral mouth measures under 1.5 mm.
    """
    pair = _head(head).lip_pairs[MIDDLE_LIP]
    return (vertices[:, pair[0]] - vertices[:, pair[1]]).norm(dim=-1)


def lip_opening_m(vertices: Tensor, head: HeadModel | None = None) -> Tensor:
    """Height of the upper over the lower lip at the mid-line, negative where they overlap. [B, V, 3] head axes -> [B].

    Unlike `lip_gap_m` it does not count how far one lip lies behind the other, which no single picture tells.
    """
    pair = _head(head).lip_pairs[MIDDLE_LIP]
    return vertices[:, pair[0], 1] - vertices[:, pair[1], 1]


def lip_gaps_m(vertices: Tensor, head: HeadModel | None = None) -> Tensor:
    """Distances of all eleven lip pairs, the person's right to left. [B, V, 3] -> [B, 11] metres."""
    pairs = _head(head).lip_pairs
    return (vertices[:, pairs[:, 0]] - vertices[:, pairs[:, 1]]).norm(dim=-1)


def lip_width_m(vertices: Tensor, head: HeadModel | None = None) -> Tensor:
    """Distance between the corners of the mouth. [B, V, 3] -> [B] metres."""
    right, left = _head(head).lip_corners
    return (vertices[:, right] - vertices[:, left]).norm(dim=-1)


def lid_gap_m(vertices: Tensor, head: HeadModel | None = None) -> Tensor:
    """Height of the upper over the lower lid above the pupil, left and right eye. [B, V, 3] in head axes -> [B, 2].

    Signed heights clamped at zero: a blink lets the upper lid overshoot the lower one, which is closed, not open.
    """
    pairs = _head(head).lid_pairs[:, list(_MIDDLE_LIDS)]  # [2, 2, 2]
    height = vertices[..., 1]
    return (height[:, pairs[..., 0]] - height[:, pairs[..., 1]]).mean(-1).clamp(min=0)


def _head(head: HeadModel | None) -> HeadModel:
    if head is not None:
        return head
    from .model import load_head

    return load_head("default")
