"""Metrics against their formulas in float64, and hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.evaluate.config import LIPS, EvaluateConfig
from ggtalker_core.evaluate.masks import head_mask, mouth_box, nearest_frame, paste
from ggtalker_core.evaluate.metrics import (
    correlation,
    lip_gap_px,
    mouth_distance_px,
    psnr_db,
    squared_error,
    ssim_map,
)

RNG = np.random.default_rng(0)
CONFIG = EvaluateConfig()


def noise(shape=(40, 50, 3)) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def test_psnr_of_a_constant_difference():
    a = np.full((8, 9, 3), 100, np.uint8)
    b = a + 10
    assert psnr_db(squared_error(a, b)) == pytest.approx(-20 * math.log10(10 / 255), abs=1e-9)
    assert psnr_db(squared_error(a, a)) == 100.0


def test_psnr_in_a_mask_is_the_formula():
    a, b = noise(), noise()
    mask = np.zeros(a.shape[:2], bool)
    mask[3:20, 5:30] = True
    d = (a[mask].astype(np.float64) - b[mask].astype(np.float64)) / 255
    assert psnr_db(squared_error(a, b), mask) == pytest.approx(10 * math.log10(1 / (d**2).mean()), abs=1e-9)
    assert math.isnan(psnr_db(squared_error(a, b), np.zeros_like(mask)))
    c = b.copy()
    c[~mask] = 0
    assert psnr_db(squared_error(a, c), mask) == psnr_db(squared_error(a, b), mask)


def slow_ssim(a: np.ndarray, b: np.ndarray, row: int, column: int) -> float:
    """The formula at one inner pixel, with an explicit window."""
    t = np.arange(-5, 6)
    g = np.exp(-(t**2) / (2 * 1.5**2))
    w = np.outer(g, g) / g.sum() ** 2
    values = []
    for c in range(3):
        x = a[row - 5 : row + 6, column - 5 : column + 6, c].astype(np.float64) / 255
        y = b[row - 5 : row + 6, column - 5 : column + 6, c].astype(np.float64) / 255
        mx, my = (w * x).sum(), (w * y).sum()
        vx, vy, vxy = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
        c1, c2 = 0.01**2, 0.03**2
        values.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


def test_ssim_equals_the_formula():
    a = noise()
    b = np.clip(a.astype(int) + RNG.integers(-30, 30, a.shape), 0, 255).astype(np.uint8)
    fast = ssim_map(a, b)
    for row, column in ((5, 5), (20, 25), (34, 44), (12, 30)):
        assert fast[row, column] == pytest.approx(slow_ssim(a, b, row, column), abs=1e-9)
    assert np.allclose(ssim_map(a, a), 1)
    assert ssim_map(a, 255 - a).mean() < 0


def test_images_must_agree():
    for a, b in ((noise(), noise((40, 51, 3))), (noise(), noise().astype(float)), (noise((4, 4)), noise((4, 4)))):
        with pytest.raises(InvalidInputError):
            squared_error(a, b)


def test_mouth_distance_ignores_where_the_mouth_is():
    p = RNG.uniform(0, 512, (478, 2)).astype(np.float32)
    assert mouth_distance_px(p, p + np.float32(7)) == pytest.approx(0, abs=1e-4)
    q = p.copy()
    q[LIPS[0]] += (0, 40)  # one point of 40 moves by 40: the centre follows by 1
    assert mouth_distance_px(p, q) == pytest.approx((39 + 39 * 1) / 40, abs=1e-4)
    r = p.copy()
    r[200] += 100  # no lip point
    assert 200 not in LIPS and mouth_distance_px(p, r) == 0


def test_lip_gap_and_correlation():
    p = np.zeros((478, 2), np.float32)
    p[13], p[14] = (10, 10), (13, 14)
    assert lip_gap_px(p) == 5
    assert correlation([1, 2, 3, 4], [2, 4, 6, 8.0]) == pytest.approx(1)
    assert correlation([1, 2, 3, 4], [4, 3, 2, 1.0]) == pytest.approx(-1)
    assert math.isnan(correlation([1, 2], [1, 2])) and math.isnan(correlation([1, 1, 1], [1, 2, 3]))
    with pytest.raises(InvalidInputError):
        correlation([1.0], [1.0, 2.0])


def disc(size=512, radius=120) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return (((x - size / 2) ** 2 + (y - size / 2) ** 2 < radius**2) * 255).astype(np.uint8)


def test_masks():
    matte = disc()
    above = np.zeros_like(matte)
    above[:330] = 255
    points = np.full((478, 2), 256, np.float32)
    points[list(LIPS)] = [(240, 280)] * 20 + [(270, 290)] * 20
    mask = head_mask(matte, above, points, CONFIG)
    assert np.array_equal(mask.head, (matte > 0) & (above > 0))
    y, x = np.nonzero(mask.edge)
    depth = 120 - np.hypot(x - 256, y - 256)
    assert depth.max() < 11 and mask.edge.sum() > 3000
    assert not mask.edge[320, 256], "the neck line is no silhouette"
    assert mask.paste[256, 256] > 0.99 and mask.paste[256 - 128, 256] > 0.2 and mask.paste[60, 60] == 0
    assert not mask.paste[331:].any()
    rows, columns = np.nonzero(mask.mouth)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (274, 296, 234, 276)


def test_shoulders_are_not_scored_and_nothing_is_pasted_on_them():
    matte = disc()
    matte[340:, 20:490] = 255  # the disc ends at 376
    angle = np.linspace(0, 2 * np.pi, 478)
    points = np.stack([256 + 110 * np.sin(angle), 250 - 118 * np.cos(angle)], axis=1).astype(np.float32)
    points[2], points[17] = (256, 290), (256, 320)
    mask = head_mask(matte, np.full_like(matte, 255), points, CONFIG)
    assert mask.head[:335].sum() == (matte[:335] > 0).sum()
    assert not mask.head[345:400, 40:100].any() and mask.paste[345:400, 40:100].max() < 0.01
    assert mask.paste[256 - 128, 256] > 0.2  # outside the outline there is background on both sides


def test_mouth_box_outside_the_picture():
    points = np.full((478, 2), -50, np.float32)
    assert not mouth_box(points, (20, 20), 0.2).any()


def test_paste_keeps_the_frame_outside():
    frame, picture, plate = (np.full((512, 512, 3), v, np.uint8) for v in (10, 200, 90))
    above = np.full((512, 512), 255, np.uint8)
    mask = head_mask(disc(), above, np.full((478, 2), 256, np.float32), CONFIG)
    out = paste(frame, picture, mask)
    assert (out[256, 256] == 200).all() and (out[20, 20] == 10).all()
    half = np.full((512, 512), 127, np.uint8)
    out = paste(frame, picture // 2, mask, plate, half)
    assert abs(int(out[256, 256, 0]) - (100 + 90 * 128 / 255)) <= 1 and (out[20, 20] == 10).all()


def test_nearest_frame_looks_at_the_lips_most():
    base = RNG.uniform(0, 512, (478, 2)).astype(np.float32)
    other = base + 0.2  # a slight shift everywhere
    lips = base.copy()
    lips[list(LIPS)] += 5
    assert nearest_frame(base, np.stack([lips, other, base + 30])) == 1
    assert nearest_frame(base, np.stack([lips, other, base])) == 2
