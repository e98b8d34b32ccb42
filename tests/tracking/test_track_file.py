"""Track files and the overlay."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ggtalker_core.errors import IncompatibleFileError, InvalidInputError, UnreadableFileError
from ggtalker_core.tracking import TrackConfig, draw_overlay, load_track, save_track, track_clip
from ggtalker_core.types import Track

from .synthetic import blank_clip, moving_head


@pytest.fixture(scope="module")
def track() -> Track:
    truth = moving_head(12)
    points = truth.landmarks_px.clone()
    points[5] = 0
    return track_clip(blank_clip(truth), TrackConfig.tiny(), landmarks=points)


def test_a_track_survives_the_file(track: Track, tmp_path: Path) -> None:
    assert track.mesh_turn_rad is None  # nothing was said of depth
    track = dataclasses.replace(track, mesh_turn_rad=torch.tensor([0.04, 0.0, -0.01]))
    path = save_track(track, tmp_path / "clip.safetensors")
    assert path.name == "clip.track.safetensors"
    back = load_track(path)
    assert (back.head_model, back.fps, back.size_px, back.report) == (
        track.head_model, track.fps, track.size_px, track.report,
    )  # fmt: skip
    for name in ("expression", "jaw_rad", "rotation_rad", "landmarks_px", "valid", "shape", "mesh_turn_rad"):
        assert torch.equal(getattr(back, name), getattr(track, name))
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused(track: Track, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"nowhere"):
        load_track(tmp_path / "nowhere.track.safetensors")
    damaged = tmp_path / "damaged.track.safetensors"
    damaged.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(UnreadableFileError):
        load_track(damaged)
    path = save_track(track, tmp_path / "good")
    tensors = load_file(path)
    facts = {"kind": "ggtalker.track", "version": 99}
    save_file(tensors, path, {"ggtalker": json.dumps(facts)})
    with pytest.raises(IncompatibleFileError, match="version 99"):
        load_track(path)
    save_file(tensors, path, {})
    with pytest.raises(IncompatibleFileError, match="not a track"):
        load_track(path)
    del tensors["jaw_rad"]
    save_file(tensors, path, {"ggtalker": json.dumps({**facts, "version": 1})})
    with pytest.raises(IncompatibleFileError, match="lacks jaw_rad"):
        load_track(path)


def test_overlay_draws_the_mesh_where_the_face_is(track: Track) -> None:
    frame = np.full((480, 512, 3), 30, np.uint8)
    good, lost = draw_overlay(track, 0, frame), draw_overlay(track, 5, frame)
    assert good.shape == frame.shape and int(frame.max()) == 30
    drawn = np.argwhere((good != frame).any(-1))
    centre = track.landmarks_px[0].mean(0).numpy()
    assert np.abs(drawn.mean(0)[::-1] - centre).max() < 40
    blue, red = good.astype(int)[..., 2] - good[..., 0], lost.astype(int)[..., 0] - lost[..., 2]
    assert blue.max() > 40 and red.max() > 40  # cool where fitted, warm where interpolated
    half = draw_overlay(track, 0, frame[::2, ::2])
    assert half.shape == (240, 256, 3) and (half != 30).any()
    with pytest.raises(InvalidInputError, match="0 to 11"):
        draw_overlay(track, 12, frame)
