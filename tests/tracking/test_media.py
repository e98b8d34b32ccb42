"""Real clips, easy and hard. Skipped without them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.errors import NoFaceError
from ggtalker_core.head import load_head
from ggtalker_core.head.pose import axis_angle_to_matrix, matrix_to_axis_angle
from ggtalker_core.tracking import FaceFinder, TrackConfig, track_clip
from ggtalker_core.tracking.fit import Landmarks, fit_landmarks
from ggtalker_core.types import Track
from ggtalker_core.video import open_clip

pytestmark = pytest.mark.media
FAST = TrackConfig.fast()


def track(path: Path, stop_s: float | None = None, start_s: float = 0.0) -> Track:
    return track_clip(open_clip(path, start_s=start_s, end_s=stop_s), FAST)


@pytest.mark.parametrize(
    "name", ["latentsync_man_crop512", "congress_woman_A_512", "congress_woman_B_512", "azure_zh_woman_crop512"]
)
def test_left_out_landmarks_within_two_percent(media: Path, name: str) -> None:
    found = track(media / "video" / f"{name}.mp4", 2.0)
    assert bool(found.valid.all())
    joined = torch.ones(found.count - 1, dtype=torch.bool)
    landmarks = Landmarks(found.landmarks_px, found.valid, joined, found.size_px)
    fitted = fit_landmarks(load_head(), landmarks, FAST, used=torch.arange(0, 468, 2))
    assert float(fitted.error_px[:, 1::2].median()) / landmarks.iod_px() < 0.02
    gap, seen = ((p[:, 13] - p[:, 14]).norm(dim=-1) for p in (fitted.flat_px, found.landmarks_px))
    assert float(torch.corrcoef(torch.stack([gap, seen]))[0, 1]) > 0.96


def test_no_face(media: Path) -> None:
    with pytest.raises(NoFaceError, match=r"pyfeat_no_face\.mp4.*Trim|pyfeat_no_face\.mp4.*no face"):
        track(media / "hard" / "pyfeat_no_face.mp4")


def test_face_then_title_card(media: Path) -> None:
    clip = media / "hard" / "pyfeat_face_then_noface_vfr_hevc.mov"  # the card comes at 2.4 s
    with pytest.raises(NoFaceError, match="20 of 60 frames.*20-59"):
        track(clip, 4.0, 1.6)
    found = track(clip, 3.0, 1.0)
    assert 30 < int(found.valid.sum()) < 40 and bool(found.valid[:30].all())
    assert "interpolated" in found.report


def test_two_faces(media: Path) -> None:
    found = track(media / "hard" / "derived_two_faces_1024x512.mp4", 1.0)
    assert bool(found.valid.all()) and "2 faces" in found.report
    side = found.landmarks_px[:, 1, 0] < 512
    assert bool(side.all()) or not bool(side.any())  # always the same person


def test_another_person_after_a_cut(media: Path) -> None:
    found = track(media / "hard" / "derived_hard_cuts_two_people.mp4", 4.4)
    assert (
        "2 hard cuts (at frame 50, 100)" in found.report and "Another person is in view in frames 50-99" in found.report
    )
    assert found.valid.int().tolist() == [1] * 50 + [0] * 50 + [1] * 10


def test_face_nearly_lost_in_a_bow(media: Path) -> None:
    found = track(media / "hard" / "azure_zh_woman_bow_face_lost_1080p.mp4")
    assert int(found.valid.sum()) >= 40
    assert bool(found.translation_m.isfinite().all())
    assert 0.6 < float(found.intrinsics_px[0, 0]) / max(found.size_px) < 4.3


@pytest.mark.parametrize("name", ["derived_odd_size_501x377_yuv444.mp4", "derived_vfr_512.mp4"])
def test_odd_sizes_and_variable_rates(media: Path, name: str) -> None:
    found = track(media / "hard" / name, 1.0)
    assert bool(found.valid.all()) and found.count == 25


def test_a_head_lying_on_its_side(media: Path) -> None:
    found = track(media / "hard" / "derived_rotation_metadata_90.mp4", 1.0)
    assert bool(found.valid.all())
    error = float(
        found.error_px.median() / (found.landmarks_px[:, 33] - found.landmarks_px[:, 263]).norm(dim=-1).median()
    )
    assert error < 0.02


def test_the_mesh_s_depth_turns_with_the_head(media: Path) -> None:
    """What it says follows the head through its turns; a frame without a face says nothing."""
    clip = open_clip(media / "video" / "latentsync_man_crop512.mp4", end_s=3.0)
    found = FaceFinder().detect_landmarks([*clip.frames(), np.zeros((512, 512, 3), np.uint8)])
    rotation = found.mesh_rotation
    assert rotation is not None and rotation.shape == (clip.count + 1, 3, 3) and not bool(rotation[-1].any())
    assert torch.allclose(rotation[:-1] @ rotation[:-1].mT, torch.eye(3).expand(clip.count, 3, 3), atol=1e-4)
    fitted = track_clip(clip, dataclasses.replace(FAST, mesh_turn=0.0))
    head = axis_angle_to_matrix(fitted.rotation_rad)
    apart = matrix_to_axis_angle(head.mT @ rotation[:-1])
    apart = (apart - apart.median(0).values).norm(dim=1)
    assert float(matrix_to_axis_angle(head[0].T @ head).norm(dim=1).max()) > math.radians(8)
    assert float(apart.median()) < math.radians(2.5)
