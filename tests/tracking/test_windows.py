"""Long clips in windows: the same answer as in one piece, and no face at a window's edge."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from ggtalker_core.head import load_head
from ggtalker_core.head.pose import matrix_to_axis_angle
from ggtalker_core.tracking import TrackConfig, fit, windows
from ggtalker_core.tracking.fit import Landmarks, fit_landmarks

from .synthetic import moving_head

CONFIG = dataclasses.replace(TrackConfig.tiny(), n_shape=20, keyframes=8, person_iterations=5, motion_iterations=6)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip is long from 60 frames on here."""
    for module in (windows, fit):
        monkeypatch.setattr(module, "LONG", 60)
    monkeypatch.setattr(windows, "WINDOW", 50)
    monkeypatch.setattr(windows, "OVERLAP", 24)


def landmarks(valid: torch.Tensor | None = None) -> Landmarks:
    truth = moving_head(140, noise_iod=0.004)
    seen = torch.ones(140, dtype=torch.bool) if valid is None else valid
    return Landmarks(truth.landmarks_px * seen[:, None, None], seen, torch.ones(139, dtype=torch.bool), truth.size_px)


def test_windows_cover_every_frame_once():
    valid = torch.ones(140, dtype=torch.bool)
    kept = [k for _, keep, _ in windows.windows(valid) for k in range(keep.start, keep.stop)]
    assert kept == list(range(140))


def test_a_window_without_a_face_reaches_to_the_next_one():
    valid = torch.ones(140, dtype=torch.bool)
    valid[20:130] = False
    for start, keep, stop in windows.windows(valid):
        assert start <= keep.start and keep.stop <= stop and bool(valid[start:stop].any())


def test_the_pieces_fit_together(monkeypatch: pytest.MonkeyPatch):
    ticks: list[float] = []
    pieces = fit_landmarks(load_head(), landmarks(), CONFIG, tick=ticks.append)
    assert ticks == sorted(ticks) and ticks[-1] == 1.0
    monkeypatch.setattr(fit, "LONG", 1000)
    whole = fit_landmarks(load_head(), landmarks(), CONFIG, start=pieces)
    turn = matrix_to_axis_angle(whole.motion.rotation @ pieces.motion.rotation.mT).norm(dim=1)
    assert float(turn.max().rad2deg()) < 0.15
    assert float((whole.motion.translation_m - pieces.motion.translation_m).norm(dim=1).max()) < 2e-3
    assert float((whole.motion.jaw_rad - pieces.motion.jaw_rad).abs().max()) < 0.01
    assert float((whole.eyes_rad - pieces.eyes_rad).abs().max()) < 0.02
    truth = moving_head(140, noise_iod=0.004)
    assert float(pieces.error_px.float().mean()) < 0.012 * truth.iod_px


def test_a_lost_stretch_across_windows_is_bridged():
    valid = torch.ones(140, dtype=torch.bool)
    valid[40:110] = False
    fitted = fit_landmarks(load_head(), landmarks(valid), CONFIG)
    assert bool(fitted.motion.translation_m.isfinite().all())
    step = (fitted.motion.translation_m[1:] - fitted.motion.translation_m[:-1]).norm(dim=1)
    assert float(step.max()) < 0.02


def test_colours_of_a_long_clip_are_matched_in_pieces(monkeypatch: pytest.MonkeyPatch):
    from ggtalker_core.tracking.fit import refined

    from .synthetic import clip_of

    seen = landmarks().part(0, 100)
    width, height = seen.size_px
    noise = np.random.default_rng(3).uniform(0, 255, (height // 8, width // 8, 3)).astype(np.float32)
    picture = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    clip = clip_of([picture] * 100)
    config = dataclasses.replace(CONFIG, photometric=True, photo_keyframes=4, photo_rounds=1, photo_iterations=1)
    start = fit_landmarks(load_head(), seen, config)
    pieces, look = refined(load_head(), seen, start, config, clip)
    monkeypatch.setattr(fit, "LONG", 1000)
    whole, _ = refined(load_head(), seen, start, config, clip, known=look)
    turn = matrix_to_axis_angle(whole.motion.rotation @ pieces.motion.rotation.mT).norm(dim=1)
    assert float(turn.max().rad2deg()) < 0.1 and pieces.error_px.dtype == torch.float16
    assert float((whole.motion.jaw_rad - pieces.motion.jaw_rad).abs().max()) < 0.01
    assert float((whole.eyes_rad - pieces.eyes_rad).abs().max()) < 0.02
    assert torch.allclose(whole.mean_error_px(), pieces.mean_error_px(), rtol=0.02, atol=0.02)
