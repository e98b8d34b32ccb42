"""A disturbed track finds back to the truth by the pictures alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ggtalker_core.adapt.config import RefineConfig
from ggtalker_core.adapt.geometry import frame_vertices, project
from ggtalker_core.adapt.refine import refine_track
from ggtalker_core.head import load_head
from ggtalker_core.head.measure import lip_gap_m
from ggtalker_core.types import Track


def _disturbed(track: Track) -> Track:
    rng = torch.Generator().manual_seed(3)

    def noise(value: torch.Tensor, size: float) -> torch.Tensor:
        return value + size * torch.randn(value.shape, generator=rng)

    return dataclasses.replace(
        track, rotation_rad=noise(track.rotation_rad, 8e-3), translation_m=noise(track.translation_m, 1.5e-3),
        jaw_rad=noise(track.jaw_rad, 0.01),
    )  # fmt: skip


def _face_error_px(track: Track, truth: Track) -> float:
    """How far the face's vertices lie from their true pixels, mean."""
    head = load_head()
    face = head.regions.vertices("face", "lips", "nose")
    frames = list(range(truth.count))
    ours, true = (
        project(frame_vertices(head, t, frames)[:, face], truth.intrinsics_px)
        for t in (track, dataclasses.replace(truth))
    )
    return float((ours - true).norm(dim=-1).mean())


def test_pose_is_recovered(scene):
    """The face of a disturbed track comes back to less than half of the disturbance, in pixels."""
    track = scene.track.slice(0, 4)
    start = _disturbed(track)
    config = RefineConfig(steps=25, first_steps=40, carry=0.0, max_box_px=64)
    seen: list[int] = []
    found = refine_track(
        scene.truth, scene.clip, start, config, matte_of=scene.matte_of(),
        progress=lambda done, total, message="", preview=None: seen.append(done),
    )  # fmt: skip
    before, after = _face_error_px(start, track), _face_error_px(found, track)
    assert after < 0.5 * before
    assert seen == list(range(4))
    head = load_head()
    gap = lambda t: lip_gap_m(head.vertices(t.shape, t.expression, t.jaw_rad, t.neck_rad, t.eyes_rad))  # noqa: E731
    assert np.abs((gap(found) - gap(track)).numpy()).mean() < 2e-3


def test_frames_without_a_face_stay_and_the_input_is_not_touched(scene):
    track = scene.track.slice(0, 3)
    start = dataclasses.replace(_disturbed(track), valid=torch.tensor([True, False, True]))
    copy = {name: getattr(start, name).clone() for name in ("rotation_rad", "expression", "translation_m")}
    with torch.inference_mode():
        found = refine_track(scene.truth, scene.clip, start, RefineConfig.tiny(), matte_of=scene.matte_of())
    for name, value in copy.items():
        assert torch.equal(getattr(start, name), value)
        assert torch.equal(getattr(found, name)[1], value[1])
        assert not torch.equal(getattr(found, name)[0], value[0])


def test_it_can_be_stopped(scene):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    config = RefineConfig.tiny()
    with pytest.raises(KeyboardInterrupt):
        refine_track(scene.truth, scene.clip, scene.track, config, matte_of=scene.matte_of(), progress=stop)
