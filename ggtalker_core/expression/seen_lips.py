"""Lips that are apart must also look apart: a rendered avatar shows the first millimetres of an opening as closed.

Its lips are soft discs with some thickness. Measured on two avatars that spoke five languages: with the head's lips 2
to 3 mm apart the landmarks found in the picture are as far apart as those of the filmed person at 0.8 mm, with 3 to 4
mm as at 2.1 mm, and nearly alike from 5 mm on. So a small gap is widened by what the picture will take from it; closed
lips stay closed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..head.measure import MIDDLE_LIP
from ..types import MotionTrack

if TYPE_CHECKING:
    from ..head import HeadModel

_GAP_MM = (0.3, 0.8, 1.5, 2.5, 3.5, 4.5, 5.5, 8.0)  # what is meant: height of the upper over the lower lip
_TAKEN_MM = (0.0, 1.5, 1.6, 1.05, 0.6, 0.45, 0.4, 0.0)  # what the picture takes from it
_TURN_RAD = 0.1  # of the jaw, to see how far it opens the lips


def seen_lips(motion: MotionTrack, head: HeadModel, shape: Tensor) -> MotionTrack:
    """`motion` with small gaps between the lips widened by the jaw, as far as pictures of the face `shape` [S] need."""
    gap_mm = lip_height_mm(head, shape, motion.expression, motion.jaw_rad)
    taken = np.interp(gap_mm.double().numpy(), _GAP_MM, _TAKEN_MM)
    still = torch.zeros(2, motion.expression.shape[1])
    turned = torch.tensor([[0.0, 0.0, 0.0], [_TURN_RAD, 0.0, 0.0]])
    closed, opened = lip_height_mm(head, shape, still, turned).tolist()
    jaw_rad = motion.jaw_rad.clone()
    jaw_rad[:, 0] += torch.from_numpy(taken).to(jaw_rad) * (_TURN_RAD / max(opened - closed, 1e-3))
    return dataclasses.replace(motion, jaw_rad=jaw_rad)


def lip_height_mm(head: HeadModel, shape: Tensor, expression: Tensor, jaw_rad: Tensor) -> Tensor:
    """Height of the upper over the lower lip at the mid-line, [T] millimetres, negative where they overlap.

    shape [S], expression [T, 50], jaw_rad [T, 3].
    """
    lips, count = head.subset(head.lip_pairs[MIDDLE_LIP]), len(expression)
    neck, eyes = torch.zeros(count, 3), torch.zeros(count, 6)
    vertices = lips.vertices(shape.expand(count, -1), expression, jaw_rad, neck, eyes)  # [T, 2, 3]
    return (vertices[:, 0, 1] - vertices[:, 1, 1]) * 1000
