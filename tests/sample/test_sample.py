"""The shipped sample: small, whole, and such that every stage can work on it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from ggtalker_core.provenance import SearchConfig, verify
from ggtalker_core.tracking.finder import FaceFinder
from ggtalker_core.video import open_clip, read_audio

FOLDER = Path(__file__).resolve().parents[2] / "ggtalker_core" / "assets" / "sample"
CLIP, VOICE = FOLDER / "sample_clip.mp4", FOLDER / "sample_voice.wav"


def test_it_is_small_and_as_long_as_promised():
    clip = open_clip(CLIP)
    assert clip.size_px == (512, 512) and clip.fps == Fraction(25)
    assert 8 <= clip.duration_s <= 10 and clip.audio is not None
    assert abs(clip.audio.duration_s - clip.duration_s) < Fraction(1, 10)
    assert CLIP.stat().st_size < 1_500_000
    voice = read_audio(VOICE)
    assert 6 <= voice.duration_s <= 8.5 and voice.sample_rate == 16000 and voice.waveform.shape[0] == 1
    assert 0.3 < float(voice.waveform.abs().max()) <= 1.0


def test_it_says_that_nobody_was_filmed_and_carries_no_mark():
    report = verify(CLIP, search=SearchConfig(flip=False, geometry=False))
    assert report.state == "declared_only" and "Nobody was filmed" in report.metadata["comment"]


def test_a_face_and_a_person_are_found_throughout():
    frames = [f for i, f in enumerate(open_clip(CLIP).frames()) if i % 12 == 0]
    finder = FaceFinder()
    found = finder.detect_landmarks(frames)
    assert bool(found.valid.all()) and float(found.score.min()) > 0.9
    width = np.ptp(found.landmarks_px[:, :468, 0].numpy(), axis=1)
    assert width.min() > 100  # large enough for a good track
    for frame, points in list(zip(frames, found.landmarks_px.numpy()))[:: len(frames) // 3]:
        matte = finder.matte(frame, points)
        left, top = points[:, 0].min(), points[:, 1].min()
        assert matte[int(points[:, 1].mean()), int(points[:, 0].mean())] > 250
        assert matte[int(top) - 30, int(points[10, 0])] > 200  # hair
        assert (matte[500] > 200).mean() > 0.8 and (matte[:40] > 50).mean() < 0.01  # shoulders, and no wall
        assert matte[200, max(int(left) - 90, 5)] < 50


def test_the_mouth_follows_the_voice():
    clip = open_clip(CLIP)
    found = FaceFinder().detect_landmarks(clip.frames(0, 100))
    points = found.landmarks_px.numpy()
    gap = np.linalg.norm(points[:, 13] - points[:, 14], axis=1) / np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
    assert gap.max() > 0.08 and gap.min() < 0.02
    assert clip.audio is not None
    step = clip.audio.sample_rate // 25
    sound = clip.audio.mono().numpy()[: 100 * step].reshape(100, step)
    loud = np.sqrt((sound**2).mean(1))
    smooth = np.ones(5) / 5
    together = np.corrcoef(np.convolve(gap, smooth, "valid"), np.convolve(loud, smooth, "valid"))[0, 1]
    assert together > 0.25
