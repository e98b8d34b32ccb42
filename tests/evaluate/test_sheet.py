"""Close-ups show the mouth and the seam below the head, and nothing else."""

from __future__ import annotations

import numpy as np

from ggtalker_core.evaluate.masks import HeadMask
from ggtalker_core.evaluate.sheet import Row, close_ups

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def row(mouth: np.ndarray, seam: np.ndarray) -> Row:
    original = np.zeros((120, 160, 3), np.uint8)
    original[mouth], original[seam] = RED, GREEN
    ours = original.copy()
    ours[mouth] = BLUE
    mask = HeadMask(head=mouth, edge=mouth, mouth=mouth, paste=mouth.astype(np.float32), seam=seam)
    return Row(7, original, ours, original, np.zeros((120, 160)), mask)


def test_close_ups_hold_mouth_and_lower_seam():
    mouth, seam = np.zeros((120, 160), bool), np.zeros((120, 160), bool)
    mouth[60:70, 70:90] = True
    seam[10:100, 40:42] = True
    picture = close_ups([row(mouth, seam)], "a person")
    height, width, _ = picture.shape
    assert width == 4 * 256 and height == 2 * 22 + 256
    cells = [picture[44:, k * 256 : (k + 1) * 256] for k in range(4)]
    for cell, colour in zip(cells, (RED, BLUE, GREEN, GREEN)):
        assert (cell == colour).all(-1).mean() > 0.05
    assert not any((cell == RED).all(-1).any() for cell in cells[1:])


def test_close_ups_of_a_frame_without_mouth_and_seam_show_all_of_it():
    nothing = np.zeros((120, 160), bool)
    assert close_ups([row(nothing, nothing)], "nobody").shape == (2 * 22 + 256, 4 * 256, 3)
