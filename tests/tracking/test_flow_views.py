"""Landmarks from several views, and steadied along the picture's motion: known answers."""

from __future__ import annotations

import numpy as np
import pytest

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.tracking import TrackConfig, flow
from ggtalker_core.tracking.crops import Square, to_crop, to_frame
from ggtalker_core.tracking.flow import Shift, Steadier, skin_shift, strengths
from ggtalker_core.tracking.topology import LIP_INNER, MESH_PX, N_MESH, OUTER_EYE_LEFT, OUTER_EYE_RIGHT
from ggtalker_core.tracking.views import VIEWS, View, mirror_order


def face(seed: int = 0) -> np.ndarray:
    """478 points over a square of 200 pixels, the outer eye corners level."""
    points = np.random.default_rng(seed).uniform(60, 260, (478, 2))
    points[OUTER_EYE_RIGHT], points[OUTER_EYE_LEFT] = (110, 130), (210, 130)
    return points


def texture(shift: tuple[float, float]) -> np.ndarray:
    """A smooth pattern [320, 320, 3] moved by `shift` pixels."""
    y, x = np.mgrid[:320, :320]
    x, y = x - shift[0], y - shift[1]
    rng, total = np.random.default_rng(1), np.zeros((320, 320))
    for _ in range(40):
        a, b, p = rng.normal(0, 0.12, 2).tolist() + [rng.uniform(0, 6.28)]
        total += np.sin(a * x + b * y + p)
    return np.repeat(np.clip(128 + 14 * total, 0, 255).astype(np.uint8)[..., None], 3, 2)


def test_a_moved_pattern_is_followed_to_hundredths_of_a_pixel():
    points = face()
    moved = skin_shift(texture((0, 0)), texture((2.3, -1.4)), points, points + (2.0, -1.0))
    good = moved.trust > 0.9
    assert good.mean() > 0.9
    assert np.abs(moved.moved_px[good] - (2.3, -1.4)).max(1).mean() < 0.05


def test_what_does_not_come_back_is_not_trusted():
    noise = np.random.default_rng(3).integers(0, 255, (320, 320, 3), dtype=np.uint8)
    assert skin_shift(texture((0, 0)), noise, face(), face()).trust.mean() < 0.2


def by_least_squares(points: np.ndarray, moved: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """The chain of one landmark [T] solved as one dense system."""
    n = len(points)
    a, b = np.eye(n), points.astype(float)
    for t in range(n - 1):
        d = np.zeros(n)
        d[t + 1], d[t] = 1, -1
        a += ties[t] * np.outer(d, d)
        b = b + ties[t] * d * moved[t]
    return np.linalg.solve(a, b)


@pytest.mark.parametrize("count", [3, 40, 230])
def test_the_chain_is_the_least_squares_answer(monkeypatch, count):
    rng = np.random.default_rng(count)
    points, moved = rng.normal(size=(count, 478, 2)), rng.normal(size=(count - 1, N_MESH, 2))
    trust = rng.uniform(0.2, 1, (count - 1, N_MESH))
    shifts = iter(Shift(m, t) for m, t in zip(moved, trust))
    monkeypatch.setattr(flow, "skin_shift", lambda *_: next(shifts))
    steadier, out, frame = Steadier(5.0), [], np.zeros((2, 2, 3), np.uint8)
    for p in points:
        out += steadier.add(frame, p, cut=False)
    out += steadier.rest()
    assert len(out) == count
    for k in (0, 100, 33, LIP_INNER[0]):
        wanted = by_least_squares(points[:, k, 0], moved[:, k, 0], 5.0 * strengths()[k] * trust[:, k])
        assert np.abs(np.array([o[k, 0] for o in out]) - wanted).max() < 2e-3
    assert np.array_equal(np.array(out)[:, N_MESH:], points[:, N_MESH:])


def test_cuts_and_lost_faces_break_the_chain(monkeypatch):
    monkeypatch.setattr(flow, "skin_shift", lambda *_: Shift(np.zeros((N_MESH, 2)), np.ones(N_MESH)))
    frame, a, b = np.zeros((2, 2, 3), np.uint8), np.zeros((478, 2)), np.ones((478, 2))
    steadier, out = Steadier(100.0), []
    for points, cut in ((a, False), (a, False), (b, True), (b, False), (None, False), (a, False)):
        out += steadier.add(frame, points, cut)
    out += steadier.rest()
    assert out[4] is None
    assert [float(p.mean()) for p in out if p is not None] == pytest.approx([0, 0, 1, 1, 0])


def test_noise_about_a_moving_face_shrinks():
    points, rng = face(), np.random.default_rng(0)
    steadier, out = Steadier(50.0), []
    for i in range(12):
        shift = (1.5 * i, 0.5 * i)
        out += steadier.add(texture(shift), points + shift + rng.normal(0, 0.5, points.shape), cut=False)
    out += steadier.rest()
    skin = strengths() == 1
    left = np.array([p[:N_MESH][skin] - points[:N_MESH][skin] - (1.5 * i, 0.5 * i) for i, p in enumerate(out)])
    assert left.std() < 0.25


def test_points_of_a_view_come_back():
    usual, points = Square(150, 140, 220, 0.2), face()
    for view in (*VIEWS[2], *VIEWS[4]):
        seen = to_crop(points, view.square(usual), MESH_PX)
        if view.mirrored:
            seen = (seen * (-1, 1) + (MESH_PX, 0))[mirror_order()]
        assert np.abs(view.placed(seen, usual) - points).max() < 1e-9
    assert np.abs(to_frame(to_crop(points, usual, 64), usual, 64) - points).max() < 1e-9


def test_the_mirror_swaps_sides():
    order = mirror_order()
    assert np.array_equal(order[order], np.arange(478))
    assert order[OUTER_EYE_RIGHT] == OUTER_EYE_LEFT and order[468] == 473 and order[1] == 1


def test_a_mirrored_crop_is_the_mirror_image():
    frame, usual = texture((0, 0)), Square(160, 160, 200)
    assert np.array_equal(View(mirrored=True).cut(frame, usual)[:, ::-1], View().cut(frame, usual))


def test_settings_are_checked():
    with pytest.raises(InvalidInputError, match="views"):
        TrackConfig(views=3)
