"""Held-out frames: the motion is found again, what is shared stays what it was."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

from ggtalker_core.evaluate import held_out
from ggtalker_core.gaussians.synthetic import synthetic_track
from ggtalker_core.progress import silent
from ggtalker_core.tracking import track as tracking
from ggtalker_core.tracking.finder import FoundFaces
from ggtalker_core.types import ClipReport, ReferenceClip, Track

SIZE, FIT, TEST = (256, 256), 30, 12


class Finder:
    """A detector that knows the answer."""

    def __init__(self, track: Track, valid: torch.Tensor) -> None:
        self.track, self.valid = track, valid

    def __call__(self, device: str, **_: float) -> Finder:
        return self

    def detect_landmarks(self, frames, *, total=0, progress=silent, near_px=None) -> FoundFaces:
        points = self.track.landmarks_px * self.valid[:, None, None]
        n = len(self.valid)
        none = torch.full((n,), -1)
        return FoundFaces(points, self.valid.float(), self.valid, (), none, np.zeros((n, 24, 24), np.uint8))


@dataclasses.dataclass(frozen=True)
class Blank:
    count: int = TEST
    size_px: tuple[int, int] = SIZE

    def frames(self, start=0, stop=None):
        return iter(())


@pytest.fixture(scope="module")
def parts() -> tuple[Track, Track]:
    whole = synthetic_track(FIT + TEST, SIZE)
    return whole.slice(0, FIT), whole.slice(FIT, FIT + TEST)


def found_again(monkeypatch, parts, valid: torch.Tensor) -> Track:
    monkeypatch.setattr(tracking, "FaceFinder", Finder(parts[1], valid))
    clip = ReferenceClip(None, "c", Blank(), Fraction(25), 0.0, Fraction(TEST, 25), None, ClipReport("good", ()), "")
    return held_out.track_held_out(clip, parts[0], silent)


def test_motion_is_recovered_and_the_person_kept(monkeypatch, parts):
    fit, test = parts
    got = found_again(monkeypatch, parts, torch.ones(TEST, dtype=torch.bool))
    n = len(fit.shape)
    assert torch.equal(got.shape[:n], fit.shape) and not bool(got.shape[n:].any())
    assert torch.equal(got.intrinsics_px, fit.intrinsics_px)
    assert float(got.error_px.max()) < 1.0
    assert float((got.translation_m - test.translation_m).norm(dim=1).max()) < 0.02
    jaw = torch.corrcoef(torch.stack([got.jaw_rad[:, 0], test.jaw_rad[:, 0]]))[0, 1]
    assert float(jaw) > 0.95


def test_frames_without_a_face_are_marked(monkeypatch, parts):
    valid = torch.ones(TEST, dtype=torch.bool)
    valid[[0, 5, 6]] = False
    got = found_again(monkeypatch, parts, valid)
    assert torch.equal(got.valid, valid) and got.count == TEST
    assert bool(got.translation_m.isfinite().all()) and float(got.error_px[valid].max()) < 1.0


def test_no_face_at_all(monkeypatch, parts):
    got = found_again(monkeypatch, parts, torch.zeros(TEST, dtype=torch.bool))
    assert got.count == TEST and not bool(got.valid.any())
