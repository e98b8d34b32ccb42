"""What the faces of a clip say about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ggtalker_core.tracking.face_survey import FaceGrade, with_faces
from ggtalker_core.tracking.finder import FoundFaces
from ggtalker_core.types import ClipReport

from .synthetic import clip_of, moving_head


class KnownFaces:
    """Gives the landmarks that it was given, one frame after the other."""

    def __init__(self, points: list[torch.Tensor | None]):
        self.points = list(points)

    def detect_landmarks(self, frames: list[np.ndarray]) -> FoundFaces:
        points = self.points.pop(0)
        valid = torch.tensor([points is not None])
        shown = torch.zeros(1, 478, 2) if points is None else points[None]
        return FoundFaces(shown, valid.float(), valid, (), torch.tensor([1]), np.zeros((1, 24, 24), np.uint8))


def report_of(points: list[torch.Tensor | None], level: int = 128, config: FaceGrade | None = None) -> ClipReport:
    rng = np.random.default_rng(0)
    frames = [
        np.clip(rng.normal(level, 40, (480, 512, 3)), 0, 255).astype(np.uint8) for _ in points
    ]  # fmt: skip
    clip = clip_of(frames)
    return with_faces(clip, frames, config=config, finder=KnownFaces(points)).report  # type: ignore[arg-type]


def test_a_turning_head_is_measured() -> None:
    truth = moving_head(30)
    report = report_of(list(truth.landmarks_px))
    yaw = torch.atan2(truth.rotation[:, 0, 2], truth.rotation[:, 0, 0]).rad2deg()
    assert abs(report.numbers["yaw_high_deg"] - float(yaw.max())) < 6
    assert abs(report.numbers["yaw_low_deg"] - float(yaw.min())) < 6
    height = truth.landmarks_px[:, :468, 1].amax(1) - truth.landmarks_px[:, :468, 1].amin(1)
    assert abs(report.numbers["face_px"] / float(height.median()) - 1) < 0.2
    assert report.numbers["face_share"] == 1.0 and "come closer" in report.text()


def test_frames_without_a_face_are_counted_and_none_is_poor(tmp_path: Path) -> None:
    truth = moving_head(8)
    report = report_of([*truth.landmarks_px[:6], None, None])
    assert report.numbers["face_share"] == 0.75 and "25%" in report.text() and report.grade == "usable"
    nobody = report_of([None, None])
    assert nobody.grade == "poor" and "No face" in nobody.text()


def test_a_small_face_is_poor() -> None:
    truth = moving_head(6)
    small = [256 + 0.3 * (points - 256) for points in truth.landmarks_px]
    assert report_of(list(small)).grade == "poor"
