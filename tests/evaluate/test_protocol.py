"""The protocol on a painted person with a known track: it measures, and the test frames stay out of the fit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ggtalker_core.adapt import AdaptConfig
from ggtalker_core.adapt.config import Stage
from ggtalker_core.errors import InvalidInputError, NoFaceError
from ggtalker_core.evaluate import EvaluateConfig, self_reenactment
from ggtalker_core.evaluate.protocol import fit
from ggtalker_core.evaluate.split import split
from ggtalker_core.evaluate.tools import Tools
from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_clip, synthetic_track
from ggtalker_core.types import Track

FRAMES, SIZE = 33, (96, 96)
METRICS = (
    "full_psnr_db", "head_psnr_db", "mouth_psnr_db", "edge_psnr_db", "head_ssim", "mouth_lmd_px", "lip_gap_correlation",
)  # fmt: skip


class Person:
    """A painted person: clip, true track, true mattes."""

    def __init__(self) -> None:
        self.track: Track = synthetic_track(FRAMES, SIZE)
        self.clip, self.mattes = synthetic_clip(synthetic_avatar(64, 4, SIZE), self.track)
        self.images = list(self.clip.frames())

    def tools(self) -> Tools:
        """The truth: tracks by place, mattes and landmarks by the picture they belong to."""

        def matte(image: np.ndarray, points: np.ndarray) -> np.ndarray:
            gaps = [float(np.abs(points - p).sum()) for p in self.track.landmarks_px.numpy()]
            return self.mattes[int(np.argmin(gaps))]

        def landmarks(image: np.ndarray) -> np.ndarray:
            errors = [float(np.abs(image.astype(int) - original).mean()) for original in self.images]
            return self.track.landmarks_px[int(np.argmin(errors))].numpy()

        return Tools(
            track=lambda clip, progress: self.track.slice(0, clip.count),
            track_held_out=lambda clip, shared, progress: self.track.slice(shared.count, shared.count + clip.count),
            matte=matte,
            landmarks=landmarks,
        )


@pytest.fixture(scope="module")
def person() -> Person:
    return Person()


@dataclasses.dataclass(frozen=True)
class Corrupted:
    """The frames of a clip, those from `first` on replaced by noise; notes which ones are asked for."""

    images: list
    first: int
    asked: set

    @property
    def count(self) -> int:
        return len(self.images)

    @property
    def size_px(self) -> tuple[int, int]:
        return SIZE

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(1)
        for i in range(start, self.count if stop is None else stop):
            self.asked.add(i)
            yield self.images[i] if i < self.first else rng.integers(0, 256, self.images[i].shape, dtype=np.uint8)


def quick() -> AdaptConfig:
    stages = (Stage("map", 60), Stage("map+parameters", 40, fit_parameters=True))
    return dataclasses.replace(AdaptConfig.tiny(), uv_size=64, max_box_px=96, stages=stages)


def test_report_and_pictures(person, tmp_path):
    steps = []
    result = self_reenactment(
        person.clip, quick(), EvaluateConfig.tiny(), tools=person.tools(),
        progress=lambda done, total, message="", preview=None: steps.append(done / total),
    )  # fmt: skip
    report = json.loads(json.dumps(result.report()))
    assert (report["frames_fit"], report["frames_test"], report["frames_scored"]) == (30, 3, 2)
    # A Body Inpainter is kept only where it helps.
    assert set(report["seconds"]) - {"inpaint"} == {"track", "adapt", "refine", "render"}
    assert report["peak_memory_mb"] > 50
    for name in ("ours", "ours_refined", "nearest_frame"):
        assert set(METRICS) <= set(report[name])
        assert all(np.isfinite(report[name][m]) for m in METRICS if m != "lip_gap_correlation")
    assert report["ours"]["head_psnr_db"] > 20 and report["ours"]["full_psnr_db"] > report["ours"]["head_psnr_db"]
    assert set(report["open_share"]) == set(report["color_grain_ratio"]) == {"-30 deg", "+30 deg"}
    assert all(0 < ratio < 100 for ratio in report["color_grain_ratio"].values())
    assert steps == sorted(steps)
    files = result.save_pictures(tmp_path, "x")
    assert {f.name for f in files} == {f"x.{kind}.png" for kind in ("sheet", "closeups", "plots", "views")}
    assert all(f.stat().st_size > 1000 for f in files)
    assert "head PSNR" in result.text()


def test_the_fit_beats_the_nearest_frame_where_the_test_pose_is_new(person):
    """Poses of the last eleventh that the first part has not: copying cannot follow, rendering can."""
    turned = person.track.rotation_rad.clone()
    turned[30:, 2] += 0.2
    new = Person.__new__(Person)
    new.track = synthetic_track(FRAMES, SIZE)
    new.track = dataclasses.replace(new.track, rotation_rad=turned)
    from ggtalker_core.gaussians.synthetic import _landmarks
    from ggtalker_core.head import load_head

    new.track = dataclasses.replace(new.track, landmarks_px=_landmarks(load_head(), new.track))
    new.clip, new.mattes = synthetic_clip(synthetic_avatar(64, 4, SIZE), new.track)
    new.images = list(new.clip.frames())
    result = self_reenactment(new.clip, quick(), EvaluateConfig.tiny(), tools=new.tools()).report()
    assert result["ours"]["head_psnr_db"] > result["nearest_frame"]["head_psnr_db"] + 2


def test_test_frames_cannot_leak_into_the_fit(person):
    """Noise in place of the test frames: the avatar must be the same to the bit, and no test frame is ever read."""
    made = []
    for corrupted in (False, True):
        source = Corrupted(person.images, 30 if corrupted else FRAMES, set())
        clip = dataclasses.replace(person.clip, source=source)
        part, _ = split(clip, EvaluateConfig())
        avatar = fit(part, AdaptConfig.tiny(), tools=person.tools()).avatar
        assert source.asked <= set(range(30)), "the fit read test frames"
        made.append(avatar)
    a, b = made
    assert torch.equal(a.gaussian_map, b.gaussian_map) and torch.equal(a.offset_m, b.offset_m)
    assert torch.equal(a.body.track.expression, b.body.track.expression)
    assert a.body.frames_jpeg == b.body.frames_jpeg and a.body.plate_jpeg == b.body.plate_jpeg
    assert torch.equal(a.style.rest_expression, b.style.rest_expression)
    assert np.array_equal(a.thumbnail, b.thumbnail)


def test_the_fit_part_does_not_know_its_file(person, tmp_path):
    clip = dataclasses.replace(person.clip, path=tmp_path / "whole.mp4")
    part, _ = split(clip, EvaluateConfig())
    assert part.path is None


def test_no_face_in_the_test_part(person):
    tools = person.tools()

    def lost(clip, shared, progress):
        track = tools.track_held_out(clip, shared, progress)
        return dataclasses.replace(track, valid=torch.zeros(track.count, dtype=torch.bool))

    with pytest.raises(NoFaceError, match="last part"):
        self_reenactment(person.clip, AdaptConfig.tiny(), tools=dataclasses.replace(tools, track_held_out=lost))


def test_too_short_a_clip(person):
    clip = dataclasses.replace(person.clip, source=Corrupted(person.images[:1], 1, set()))
    with pytest.raises(InvalidInputError, match="too few"):
        self_reenactment(clip, AdaptConfig.tiny(), tools=person.tools())
