"""The torch networks against outputs recorded from LiteRT and MediaPipe (tools/face_networks/record_golden.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from ggtalker_core.errors import MissingWeightsError
from ggtalker_core.tracking.networks import FaceMesh, load, load_face_networks
from ggtalker_core.tracking.networks.face_mesh import region_frame, resample
from ggtalker_core.tracking.topology import REGION_LEFT_EYE, REGION_LIPS, REGION_RIGHT_EYE

from .drawn_face import drawn_face

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "face_networks.safetensors")


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


def test_detector_equals_litert() -> None:
    boxes, scores = load_face_networks().detector(tensor(drawn_face(128)) / 127.5 - 1)
    assert np.abs(boxes[0].numpy() - GOLDEN["detector_boxes"]).max() < 1e-3
    assert np.abs(scores[0].numpy() - GOLDEN["detector_scores"]).max() < 1e-3


def test_matte_equals_litert() -> None:
    matte = load_face_networks().matte(tensor(drawn_face(256)) / 255)
    assert np.ptp(GOLDEN["matte"]) > 0.9
    assert np.abs(matte[0, 0, ::4, ::4].numpy() - GOLDEN["matte"]).max() < 1e-4


def test_mesh_equals_mediapipe() -> None:
    crop = np.ascontiguousarray(drawn_face(320)[76:268, 64:256])
    points, score = load_face_networks().mesh(tensor(crop) / 255)
    assert points.shape == (1, 478, 3)
    assert float(score[0]) > 0.5
    assert np.abs(points[0].numpy() - GOLDEN["mesh"]).max() < 2e-3


def test_networks_do_not_mix_frames_of_a_batch() -> None:
    mesh = load_face_networks().mesh
    images = torch.cat([tensor(drawn_face(192, mouth_open=m)) / 255 for m in (0.0, 1.0)])
    together = mesh(images)[0]
    alone = torch.cat([mesh(image[None])[0] for image in images])
    assert (together - alone).abs().max() < 1e-3


def test_index_sets_are_mirrored_and_disjoint() -> None:
    assert len(REGION_LIPS) == len(set(REGION_LIPS)) == 80
    assert len(REGION_RIGHT_EYE) == len(REGION_LEFT_EYE) == 71
    assert not set(REGION_RIGHT_EYE) & set(REGION_LEFT_EYE) and not set(REGION_LIPS) & set(
        REGION_LEFT_EYE + REGION_RIGHT_EYE
    )


def test_region_frame_follows_a_turned_square() -> None:
    angle = 0.4
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float32)
    square = torch.tensor([[-20.0, -10], [20, -10], [20, 10], [-20, 10]]) @ turn.T + 96
    mesh = torch.zeros(1, 468, 2)
    mesh[0, [1, 2, 3, 4]] = square
    frame = region_frame(mesh, (1, 2), (1, 2, 3, 4))[0]
    corner = frame @ torch.tensor([0.0, 0.0, 1.0])
    expected = (torch.tensor([-30.0, -15]) @ turn.T + 96) / 4  # 1.5 times as large, in pixels of the features
    assert torch.allclose(corner, expected, atol=1e-4)


def test_resample_of_a_ramp_is_exact_and_zero_outside() -> None:
    ramp = torch.arange(48.0).expand(1, 1, 48, 48) + 0.5  # value = x of the pixel's centre
    inside = torch.tensor([[[2.0, 0, 5], [0, 2, 5]]])
    patch = resample(ramp, inside)[0, 0]
    assert torch.allclose(patch[0], (torch.arange(16) + 0.5) * 2 + 5, atol=1e-4)
    outside = torch.tensor([[[2.0, 0, 100], [0, 2, 5]]])
    assert float(resample(ramp, outside).abs().max()) == 0


def test_missing_weights_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "WEIGHTS", tmp_path / "face_networks.safetensors")
    load_face_networks.cache_clear()
    with pytest.raises(MissingWeightsError, match="reinstall the pack"):
        load_face_networks()
    load_face_networks.cache_clear()


def test_asset_is_small() -> None:
    assert load.WEIGHTS.stat().st_size < 5_000_000
    assert sum(p.numel() for p in FaceMesh().parameters()) * 2 < 3_000_000
