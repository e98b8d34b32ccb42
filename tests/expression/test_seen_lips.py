"""Small gaps between the lips are widened so that they can be seen; closed and wide ones stay."""

from __future__ import annotations

from fractions import Fraction

import torch

from ggtalker_core.expression.seen_lips import lip_height_mm, seen_lips
from ggtalker_core.head import load_head
from ggtalker_core.types import MotionTrack


def test_small_gaps_are_widened_and_closed_and_wide_ones_stay():
    head = load_head()
    shape, jaw = torch.zeros(head.n_shape), torch.zeros(80, 3)
    jaw[:, 0] = torch.linspace(-0.01, 0.12, 80)
    motion = MotionTrack(torch.zeros(80, 50), jaw, Fraction(25))
    seen = seen_lips(motion, head, shape)
    before = lip_height_mm(head, shape, motion.expression, motion.jaw_rad)
    after = lip_height_mm(head, shape, seen.expression, seen.jaw_rad)
    assert before.min() < 0.3 and before.max() > 8
    closed, small, wide = before < 0.3, (before > 0.8) & (before < 2.5), before > 8
    assert torch.equal(seen.jaw_rad[closed], jaw[closed]) and torch.equal(seen.jaw_rad[wide], jaw[wide])
    widened = (after - before)[small]
    assert float(widened.min()) > 1.0 and float(widened.max()) < 1.9
    assert bool((after.diff() > 0).all()), "who opens further must still be seen to open further"
    assert torch.equal(seen.expression, motion.expression) and torch.equal(motion.jaw_rad, jaw)
