"""Finding and following a face in drawn pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ggtalker_core.errors import NoFaceError
from ggtalker_core.head import load_head
from ggtalker_core.head.measure import lip_gap_m
from ggtalker_core.tracking import FaceFinder, TrackConfig, track_clip
from ggtalker_core.tracking.crops import Square, cut_out, square_of_points, to_frame
from ggtalker_core.tracking.cuts import CutDetector
from ggtalker_core.tracking.detection import find_faces, overlap
from ggtalker_core.tracking.networks import load_face_networks
from ggtalker_core.tracking.people import breaks_of, shots_of
from ggtalker_core.tracking.track import _without_short_runs

from .drawn_face import drawn_face
from .synthetic import clip_of


def on_canvas(face: NDArray[np.uint8], width: int, height: int, x: int, y: int) -> NDArray[np.uint8]:
    out = np.full((height, width, 3), 90, np.uint8)
    out[y : y + face.shape[0], x : x + face.shape[1]] = face
    return out


def test_points_return_from_a_turned_crop() -> None:
    square = Square(200.0, 150.0, 120.0, 0.5)
    frame = np.zeros((300, 400, 3), np.uint8)
    frame[140, 210] = 255
    crop = cut_out(frame, square, 120)
    y, x = np.argwhere(crop.sum(-1) > 60).mean(0) + 0.5
    assert np.abs(to_frame(np.array([[x, y]]), square, 120)[0] - (210.5, 140.5)).max() < 0.6


def test_square_of_points_is_level_with_the_eyes() -> None:
    points = np.array([[0.0, 0], [10, 0], [10, 6], [0, 6]])
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    square = square_of_points(points @ turn.T + 50, 0, 1)
    assert square.roll_rad == pytest.approx(0.7)
    assert square.side_px == pytest.approx(15.0)
    assert (square.x_px, square.y_px) == pytest.approx(tuple(turn @ (5, 3) + 50))


def test_large_squares_are_shrunk_without_aliasing() -> None:
    frame = np.zeros((800, 800, 3), np.uint8)
    frame[::2] = 255  # the finest stripes: their mean is grey
    crop = cut_out(frame, Square(400, 400, 700), 100)
    assert np.abs(crop.astype(int) - 127).max() < 30  # seven rows hold four stripes or three


def test_faces_in_a_wide_frame() -> None:
    detector = load_face_networks().detector
    frame = on_canvas(drawn_face(200), 1600, 400, 1200, 150)
    (near,) = find_faces([frame], detector, min_score=0.5, closer=True, device="cpu")
    assert len(near) == 1
    x0, y0, x1, y1 = near[0].box_px
    assert abs((x0 + x1) / 2 - 1300) < 25 and abs((y0 + y1) / 2 - 262) < 35
    assert near[0].points_px[0, 0] < near[0].points_px[1, 0]  # the person's right eye is left in the picture


def test_overlap() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0


def test_a_moving_face_is_followed_and_lost() -> None:
    face = drawn_face(240)
    frames = [on_canvas(face, 480, 300, 20 + 6 * i, 30) for i in range(20)]
    blank = [np.full((300, 480, 3), 90, np.uint8)] * 6
    found = FaceFinder().detect_landmarks([*frames, *blank])
    assert found.valid.tolist() == [True] * 20 + [False] * 6
    nose = found.landmarks_px[:20, 1]
    step = nose[1:, 0] - nose[:-1, 0]
    assert float((step - 6).abs().max()) < 3
    assert float((nose[-1, 0] - nose[0, 0] - 114).abs()) < 6


def test_the_larger_of_two_faces_is_followed() -> None:
    frame = on_canvas(drawn_face(200), 640, 320, 20, 60)
    frame[10:310, 320:620] = drawn_face(300)
    found = FaceFinder().detect_landmarks([frame] * 3)
    assert bool(found.valid.all())
    assert float(found.landmarks_px[:, :468, 0].min()) > 320
    assert int(found.faces_seen.max()) == 2


def test_the_smaller_face_is_followed_where_it_is_the_one_that_is_meant() -> None:
    frame = on_canvas(drawn_face(200), 640, 320, 20, 60)
    small = FaceFinder().detect_landmarks([frame]).landmarks_px[0]
    frame[10:310, 320:620] = drawn_face(300)
    found = FaceFinder().detect_landmarks([frame] * 3, near_px=small.numpy())
    assert bool(found.valid.all()) and float(found.landmarks_px[:, :468, 0].max()) < 320
    elsewhere = FaceFinder().detect_landmarks([frame] * 3, near_px=(small - torch.tensor([0.0, 900.0])).numpy())
    assert bool(elsewhere.valid.all())  # nobody there: whoever is found


def test_no_face_is_an_error_that_names_the_clip() -> None:
    with pytest.raises(NoFaceError, match="'pictures': no face"):
        track_clip(clip_of([np.full((120, 160, 3), 90, np.uint8)] * 10), TrackConfig.tiny())


def test_a_drawn_face_is_tracked() -> None:
    frames = [drawn_face(256, mouth_open=0.5 + 0.5 * np.sin(i / 2)) for i in range(16)]
    track = track_clip(clip_of(frames), TrackConfig.tiny())
    assert bool(track.valid.all()) and track.count == 16
    opening = (track.landmarks_px[:, 13] - track.landmarks_px[:, 14]).norm(dim=-1)
    vertices = load_head().vertices(track.shape, track.expression, track.jaw_rad, track.neck_rad, track.eyes_rad)
    assert float(torch.corrcoef(torch.stack([lip_gap_m(vertices), opening]))[0, 1]) > 0.9


def test_matte_keeps_the_person_under_the_landmarks() -> None:
    finder = FaceFinder()
    frame = on_canvas(drawn_face(256), 520, 256, 0, 0)
    frame[:, 264:] = drawn_face(256)
    found = finder.detect_landmarks([frame])
    both, one = finder.matte(frame), finder.matte(frame, found.landmarks_px[0].numpy())
    left = bool(found.landmarks_px[0, 0, 0] < 260)
    own, other = (slice(0, 256), slice(264, 520)) if left else (slice(264, 520), slice(0, 256))
    assert both.shape == (256, 520) and both.dtype == np.uint8
    if both[100:180, other].mean() > 100:  # the network saw both
        assert one[:, other].mean() < 0.5 * both[:, other].mean()
    assert one[100:180, own].mean() > 0.5 * both[100:180, own].mean()


def test_cuts_are_sudden_changes_only() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 255, (90, 120, 3), dtype=np.uint8) // 2 + k for k in (0, 100))
    detector = CutDetector()
    fades = [np.uint8(a + i) for i in range(8)]
    assert [detector.is_cut(f) for f in [*fades, b, b, b, a]] == [False] * 8 + [True, False, False, True]


def test_shots_group_people() -> None:
    rng = np.random.default_rng(0)
    anna, bert = (rng.integers(0, 255, (24, 24)) for _ in range(2))
    faces = [anna] * 20 + [bert] * 12 + [anna] * 10
    portraits = np.stack([np.clip(f + rng.normal(0, 20, f.shape), 0, 255) for f in faces]).astype(np.uint8)
    shots = shots_of((20, 32), np.ones(42, bool), portraits)
    assert [(s.start, s.stop, s.person) for s in shots] == [(0, 20, 0), (20, 32, 1), (32, 42, 0)]


def test_a_face_elsewhere_may_be_another_person() -> None:
    rng = np.random.default_rng(0)
    face = rng.random((468, 2)) * 100
    points = np.stack([face + 2 * i for i in range(30)])
    points[12:] += (150, 0)  # the next face, without a frame in between
    valid = np.ones(30, bool)
    valid[20:25] = False
    valid[5] = False  # one lost frame is no break
    assert breaks_of(points, valid) == {12, 25}


def test_short_runs_are_mistakes() -> None:
    valid = torch.tensor([1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1], dtype=torch.bool)
    assert _without_short_runs(valid, 3).int().tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1]


def test_importing_the_tracking_stays_light() -> None:
    root = Path(__file__).resolve().parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import ggtalker_core.tracking; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
