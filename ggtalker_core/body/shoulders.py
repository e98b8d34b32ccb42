"""Shoulders are no part of a head, but of the person's matte: where one ends and the other begins.

From the mouth downwards a head is hardly wider than it is at the mouth; what the matte shows further out is a shoulder,
unless hair hangs beside the mouth: then nothing can be told on that side. In a film from near by or from below,
shoulders reach the chin: taken for hair they would turn with the head, and be wiped off the body when it is set back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .masks import grown, outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MESH = 468  # landmarks of the face; the rest is iris
_ABOVE, _BELOW = 2, 17  # landmarks under the nose and under the lower lip: rows in between tell how wide the head is
_MARGIN = 0.06  # of the face's width
_WIDEN, _WIDEN_HAIR = (math.tan(math.radians(angle)) for angle in (15, 40))
_HAIR = (1.2, 1.3)  # times the face's own width at that side: from where on hair may hang there, and does
_SOFT = 0.03  # of the face's width
_CUT = 100  # of 255


@dataclass(frozen=True)
class HeadSides:
    """Two lines that leave the level of the mouth downwards, in pixels: beyond them is no head."""

    column: float  # of the mouth
    row: float
    left: float  # columns at the row; infinite where nothing can be told
    right: float
    hair: tuple[
        float, float
    ]  # how surely hair hangs on the picture's left and right, 0..1; 1 where nothing can be told
    soft: float  # the lines' width, at least a pixel

    def outside(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float32]:
        """How far beyond a line places of the picture lie, in pixels; negative for the head's own. Any shape."""
        down = y - self.row
        on_left, on_right = ((_WIDEN + h * (_WIDEN_HAIR - _WIDEN)) * np.maximum(down, 0) for h in self.hair)
        beyond = np.maximum(self.left - on_left - x, x - self.right - on_right)
        return np.where(down > 0, beyond, np.minimum(beyond, down)).astype(np.float32)


def head_sides(matte: NDArray[np.uint8], landmarks_px: NDArray[np.float32]) -> HeadSides:
    """The lines of one frame from the person's matte [H, W] and the landmarks [478, 2] in its pixels."""
    face = landmarks_px[:_MESH]
    low, high = face[:, 0].min(), face[:, 0].max()
    width = max(float(high - low), 1.0)
    column, soft = float(landmarks_px[_BELOW, 0]), max(_SOFT * width, 1.0)
    top, bottom = sorted((float(landmarks_px[_ABOVE, 1]), float(landmarks_px[_BELOW, 1])))
    middle = float(landmarks_px[[_ABOVE, _BELOW], 0].mean())
    ends = [
        end
        for row in range(max(0, math.floor(top)), min(matte.shape[0], math.ceil(bottom) + 1))
        if (end := _run(matte[row], round(middle))) is not None
    ]
    if not ends:
        return HeadSides(column, bottom, -math.inf, math.inf, (1.0, 1.0), soft)
    left, right = np.median(np.array(ends), axis=0)
    own = max(middle - low, high - middle, 1.0)  # a head that turns hides one side of its face, but not of its hair
    (a, hair_a), (b, hair_b) = (_side(float(side), own, width) for side in (middle - left, right - middle))
    return HeadSides(column, bottom, middle - a, middle + b, (hair_a, hair_b), soft)


def without_shoulders(
    matte: NDArray[np.uint8], landmarks_px: NDArray[np.float32], sides: HeadSides | None = None
) -> NDArray[np.uint8]:
    """The matte [H, W] of the head and what is below it, without shoulders beside it."""
    sides = sides or head_sides(matte, landmarks_px)
    height, width = matte.shape
    x = np.arange(width, dtype=np.float32) + 0.5
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    keep = np.clip(0.5 - sides.outside(x, y) / sides.soft, 0, 1)
    return (matte * keep).round().astype(np.uint8)


def cut_away(matte: NDArray[np.uint8], head: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a matte [H, W] shows the person, but not what was kept of it as `head` [H, W]."""
    return matte.astype(np.int16) - head > _CUT


def head_alone(
    cover: NDArray[np.uint8], sides: HeadSides, fitted_px: Sequence[NDArray[np.float32]], reach_px: float
) -> NDArray[np.uint8]:
    """What is the head's of a coverage [H, W]: below the mouth, on sides where no hair hangs, no more than the fitted
    parts (points [P, 2] each, their convex outlines grown by `reach_px`) hold; the rest is a collar or a shoulder."""
    held = grown(np.max([outline(points, *cover.shape) for points in fitted_px], axis=0), reach_px)
    column, row = (max(round(v), 0) for v in (sides.column, sides.row))
    for hair, half in zip(sides.hair, (np.s_[:column], np.s_[column:])):
        if hair > 0.5:
            held[:, half] = 255
    own = cover.copy()
    own[row:] = np.minimum(own[row:], held[row:])
    return own


def _side(reach: float, own: float, width: float) -> tuple[float, float]:
    """How far from the mouth a head may lie that reaches `reach` at its level, and how surely hair hangs there."""
    hair = max((reach / own - _HAIR[0]) / (_HAIR[1] - _HAIR[0]), 0.0)
    return (math.inf, 1.0) if hair >= 1 else (max(reach, own) + _MARGIN * width, hair)


def _run(row: NDArray[np.uint8], column: int) -> tuple[int, int] | None:
    """Where the stretch of person around a column of one row begins and ends; None where there is none."""
    if not 0 <= column < len(row) or row[column] <= 127:
        return None
    person = row > 127
    gaps = np.flatnonzero(~person)
    at = int(np.searchsorted(gaps, column))
    return (int(gaps[at - 1]) + 1 if at > 0 else 0, int(gaps[at]) if at < len(gaps) else len(row))
