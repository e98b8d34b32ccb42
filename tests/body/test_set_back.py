"""Setting the head back: identities, seams, an old chin that must not show."""

from __future__ import annotations

import numpy as np
import pytest

from ggtalker_core.body.masks import above_line, feathered, grown, outline
from ggtalker_core.body.plate import fill, median_plate, person_free
from ggtalker_core.body.set_back import seam_offset, set_back

H, W = 96, 80


def _body(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)


def _disc(radius: float, cy: float = 48, cx: float = 40) -> np.ndarray:
    y, x = np.mgrid[0:H, 0:W]
    return (np.hypot(y - cy, x - cx) < radius).astype(np.uint8) * 255


def test_no_mask_gives_the_frame_bit_for_bit():
    body = _body()
    rgb = np.full((H, W, 3), 9, np.uint8)
    out = set_back(body, body, rgb, np.full((H, W), 255, np.uint8), np.zeros((H, W), np.float32), match_px=10)
    assert np.array_equal(out, body) and out is not body


def test_outside_the_mask_nothing_changes():
    body, mask = _body(), feathered(_disc(20), 5)
    out = set_back(body, body, np.zeros((H, W, 3), np.uint8), _disc(15), mask, match_px=12)
    assert np.array_equal(out[mask == 0], body[mask == 0])


def test_alpha_zero_over_the_true_plate_gives_the_frame():
    body, mask = _body(), feathered(_disc(25), 6)
    nothing = np.zeros((H, W), np.uint8)
    assert np.array_equal(set_back(body, body, np.zeros_like(body), nothing, mask, match_px=10), body)


def test_full_cover_inside_is_the_rendered_head():
    body = np.full((H, W, 3), 40, np.uint8)
    rgb = np.full((H, W, 3), 200, np.uint8)
    mask = feathered(_disc(30), 6)
    out = set_back(body, body, rgb, np.full((H, W), 255, np.uint8), mask)
    assert (out[mask == 1] == 200).all() and (mask == 1).sum() > 500


def test_the_seam_has_no_hard_edge():
    """A head 60 levels brighter than the frame: no neighbouring pixels differ by more than a gentle slope."""
    body = np.full((H, W, 3), 100, np.uint8)
    rgb = np.full((H, W, 3), 160, np.uint8)
    full = np.full((H, W), 255, np.uint8)
    mask = feathered(_disc(32), 10)
    plain = set_back(body, body, rgb, full, mask).astype(int)
    step = max(np.abs(np.diff(plain, axis=0)).max(), np.abs(np.diff(plain, axis=1)).max())
    assert step <= 60 * 1.6 / 10 + 1  # smoothstep's slope over the feather
    hard = set_back(body, body, rgb, full, (_disc(32) / 255).astype(np.float32)).astype(int)
    assert np.abs(np.diff(hard, axis=0)).max() == 60  # what the feather removes


def test_the_colour_match_halves_a_step_at_the_seam_and_leaves_the_middle():
    body = np.full((H, W, 3), 120, np.uint8)
    rgb = np.full((H, W, 3), 140, np.uint8)
    full = np.full((H, W), 255, np.uint8)
    mask = feathered(_disc(36), 8)
    out = set_back(body, body, rgb, full, mask, match_px=10, match_limit=0.12).astype(float)
    ring = (mask > 0.3) & (mask < 0.9)
    plain = set_back(body, body, rgb, full, mask).astype(float)
    assert np.abs(out - 120)[ring].mean() < 0.5 * np.abs(plain - 120)[ring].mean()
    assert abs(out[48, 40] - 140).max() <= 1


def test_the_colour_match_is_limited():
    source, head = np.zeros((H, W, 3), np.float32), np.full((H, W, 3), 200, np.float32)
    offset = seam_offset(source, head, np.ones((H, W), np.float32), feathered(_disc(30), 8), 20, 25.0)
    assert np.abs(offset).max() <= 25.0


def test_background_shows_where_the_old_head_was():
    """The new head is smaller than the old one: between them lies the plate, not the old head."""
    body = np.full((H, W, 3), 90, np.uint8)
    body[_disc(30) > 0] = (220, 180, 160)  # the old head
    plate = np.full((H, W, 3), 90, np.uint8)
    alpha = _disc(20)
    rgb = np.zeros_like(body)
    rgb[alpha > 0] = (200, 170, 150)
    mask = feathered(grown(_disc(30), 8), 6)
    out = set_back(body, plate, rgb, alpha, mask)
    between = (_disc(28) > 0) & (_disc(22) == 0)
    assert np.abs(out[between].astype(int) - 90).max() <= 2


def test_masks_are_what_they_say():
    square = outline(np.array([[10, 10], [50, 10], [50, 60], [10, 60]], np.float32), H, W)
    assert square[30, 30] == 255 and square[5, 30] == 0 and abs(int((square > 127).sum()) - 2000) < 200
    wide = grown(square, 5)
    assert wide[30, 54] == 255 and wide[30, 57] == 0
    soft = feathered(square, 8)
    assert soft.max() == 1.0 and soft[30, 30] == 1.0 and 0 < soft[30, 12] < 1
    assert np.abs(np.diff(soft, axis=1)).max() < 1.6 / 8 + 0.02
    border = feathered(np.full((H, W), 255, np.uint8), 8)
    assert border.min() == 1.0  # the picture's border is no seam
    line = above_line(np.array([[0, 40], [80, 60]], np.float32), H, W, 4)
    assert line[30, 10] == 1 and line[70, 10] == 0 and line[52, 75] == 1


def test_masks_move_smoothly_with_sub_pixel_motion():
    """No flicker: shifting the outline by a tenth of a pixel changes the mask by no more than its slope allows."""
    points = np.array([[20, 15], [60, 15], [64, 50], [40, 80], [16, 50]], np.float32)
    masks = [feathered(grown(outline(points + [0.1 * k, 0.05 * k], H, W), 3), 10) for k in range(20)]
    assert max(np.abs(a - b).max() for a, b in zip(masks, masks[1:])) < 0.2


def test_fill_is_smooth_and_keeps_what_is_known():
    image = np.zeros((H, W, 3), np.uint8)
    image[:, :, 0] = np.linspace(0, 250, W).astype(np.uint8)
    known = _disc(22) == 0
    out = fill(image, known)
    assert np.array_equal(out[known], image[known])
    assert np.abs(out[48, 25:55, 0].astype(int) - image[48, 25:55, 0]).max() < 70
    assert np.array_equal(fill(image, np.ones((H, W), bool)), image)


def test_median_plate_finds_the_wall_behind_a_moving_person():
    rng = np.random.default_rng(1)
    wall = rng.integers(80, 160, (H, W, 3), dtype=np.uint8)
    frames, mattes = [], []
    for x in (10, 24, 38, 52, 66, 70):
        matte = _disc(12, 48, x)
        frame = wall.copy()
        frame[matte > 0] = (255, 0, 0)
        frames.append(frame)
        mattes.append(matte)
    plate, still = median_plate(frames, mattes)
    assert still > 0.9
    assert np.abs(plate.astype(int) - wall).mean() < 3
    noise = [rng.integers(0, 256, (H, W, 3), dtype=np.uint8) for _ in mattes]
    assert median_plate(noise, mattes)[1] < 0.05  # a background that moves has no plate
    assert person_free(mattes[0])[48, 10] == np.False_


@pytest.mark.parametrize("empty", [True, False])
def test_fill_of_everything_or_nothing(empty: bool):
    image = _body()
    assert np.array_equal(fill(image, np.full((H, W), not empty)), image)
