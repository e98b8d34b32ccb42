"""The photometric stage recovers what is known; steadying moves the pose only."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.head import load_head
from ggtalker_core.head.pose import axis_angle_to_matrix
from ggtalker_core.tracking.face_model import face_model
from ggtalker_core.tracking.photometric import Seen, Strength, equations, learn, look
from ggtalker_core.tracking.pictures import SIDE, Pictures, box_of, cut_picture, pictures
from ggtalker_core.tracking.relief import ReliefPrior, relief_step
from ggtalker_core.tracking.skin import Appearance, appearance_of, harmonics, shading, skin_of
from ggtalker_core.tracking.solver import JAW, Motion, project
from ggtalker_core.tracking.steady import steadied

FOCAL = 900.0


def heads(turns: list[float]) -> Motion:
    """Heads 0.8 m away, turned about the vertical by so much."""
    count = len(turns)
    turn = axis_angle_to_matrix(torch.tensor([[0.0, y, 0.0] for y in turns]))
    rotation = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ turn
    place = torch.tensor([0.0, 0.05, 0.8]).expand(count, 3).clone()
    return Motion(rotation, place, torch.zeros(count, 3), torch.zeros(count, 50))


def misfit(seen: Seen) -> float:
    """Mean square, where something is seen."""
    return float((seen.error.square().mean(-1) * seen.weights).sum() / seen.weights.sum())


def soft_noise(seed: int = 0) -> np.ndarray:
    import cv2

    noise = np.random.default_rng(seed).uniform(0, 255, (480, 512, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 5.0)
    return np.clip(127 + (soft - 127) * 9, 0, 255).astype(np.uint8)


def seen_by(motion: Motion, frame: np.ndarray) -> Pictures:
    model = face_model(load_head(), torch.arange(468))
    boxes = torch.stack([box_of(p) for p in project(model, motion, FOCAL)])
    return pictures([cut_picture(frame, box, (512, 480)) for box in boxes], boxes)


@pytest.mark.parametrize("side", [100.0, 144.0, 400.0])
def test_a_cut_picture_shows_what_the_frame_shows(side: float) -> None:
    y, x = np.mgrid[0:480, 0:512] + 0.5
    frame = np.stack([4 * (x - 226), 4 * (y - 225), np.full_like(x, 60)], -1).clip(0, 255).round().astype(np.uint8)
    box = torch.tensor([-40.0, -30.0, side])
    found = pictures([cut_picture(frame, box, (512, 480))], box[None])
    points = torch.tensor([[[0.0, 0.0], [10.0, 20.0], [-20.0, 5.0]]])
    colors, slope, inside = found.look(points)
    wanted = 4 * (points + torch.tensor([30.0, 15.0])) / 255
    assert bool(inside.all()) and float((colors[..., :2] - wanted).abs().max()) < 0.006
    assert torch.allclose(slope[..., 0, 0], torch.full((1, 3), 4 / 255), atol=2e-3)
    assert float(slope[..., 2, :].abs().max()) < 1e-6 and found.stack.shape[-1] == SIDE


def test_a_displaced_head_is_pulled_back_by_its_colours() -> None:
    true, frame = heads([0.0, 0.2]), soft_noise()
    skin = skin_of(load_head(), torch.zeros(10))
    shown = seen_by(true, frame)
    for k in range(2):  # each frame has colours of its own here
        own, picture = true.part(k, k + 1), shown.part(k, k + 1)
        appearance = learn(skin, picture, own, FOCAL)
        moved = dataclasses.replace(
            own, translation_m=own.translation_m + torch.tensor([0.001, -0.0008, 0.0]),
            rotation=axis_angle_to_matrix(torch.tensor([[0.003, 0.004, -0.004]])) @ own.rotation,
            jaw_rad=torch.tensor([[0.01, 0.0, 0.0]]),
        )  # fmt: skip
        before = misfit(look(skin, appearance, picture, moved, FOCAL, Strength(1.0)))
        for _ in range(12):
            hessian, gradient = equations(skin, appearance, picture, moved, FOCAL, Strength(1.0))
            hessian = hessian + torch.diag(torch.tensor([1.0] * 9 + [1e4] * 50))
            moved = moved.stepped(-torch.linalg.solve(hessian, gradient[..., None])[..., 0])
        after = misfit(look(skin, appearance, picture, moved, FOCAL, Strength(1.0)))
        assert after < 0.2 * before
        model = face_model(load_head(), torch.arange(468))
        off = (project(model, moved, FOCAL) - project(model, own, FOCAL)).norm(dim=-1)
        assert float(off.mean()) < 0.3  # it was more than a pixel
        assert abs(float(moved.jaw_rad[0, 0])) < 0.006


def test_albedo_and_light_are_told_apart() -> None:
    g = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(40, 300, 3, generator=g), dim=-1)
    albedo = 0.2 + 0.6 * torch.rand(300, 3, generator=g)
    light = torch.zeros(9, 3)
    light[0], light[1], light[3] = 1.0, 0.25, torch.tensor([-0.2, -0.1, 0.1])
    colors = Appearance(albedo, light).colors(normals)
    colors[3, ::7] = 0.0  # something lies in front
    found = appearance_of(colors, normals, torch.ones(40, 300), rounds=8)
    assert float((found.colors(normals) - Appearance(albedo, light).colors(normals)).abs().mean()) < 0.012
    assert harmonics(normals).shape == (40, 300, 9) and float(shading(normals, light).min()) >= 0.1


def test_a_bump_is_found_from_several_sides_and_lips_stay() -> None:
    """Frames drawn on the surface of a head with a bump on the cheek: the relief grows towards it."""
    head, motion = load_head(), heads([-0.4, -0.2, 0.0, 0.2, 0.4])
    cheek = head.template_m[head.regions.vertices("face")]
    centre = cheek[(cheek - torch.tensor([0.045, 0.0, 0.09])).norm(dim=1).argmin()]
    near = torch.exp(-(((head.template_m - centre).norm(dim=1) / 0.018) ** 2))
    flat = skin_of(head, torch.zeros(10))
    bumpy = skin_of(head, torch.zeros(10), 0.002 * near[:, None] * torch.tensor([0.4, 0.0, 0.9]))
    texture = torch.sin(flat.model.mean_m.sum(0) * 250)
    appearance = Appearance(0.5 + 0.3 * texture, torch.eye(9, 3) * 0 + torch.tensor([[1.0]] + [[0.0]] * 8))
    slope = torch.randn(5, len(flat.normals), 3, 2, generator=torch.Generator().manual_seed(1)) * 0.05
    shown = seen_by(motion, soft_noise())
    seen = look(flat, appearance, shown, motion, FOCAL, Strength(1.0))
    there = project(bumpy.model, motion, FOCAL) - project(flat.model, motion, FOCAL)
    error = -(slope / 0.04 @ there[..., None])[..., 0]
    seen = dataclasses.replace(seen, slope=slope / 0.04, error=error, weights=torch.ones_like(seen.weights))
    height, offset = relief_step(head, torch.zeros(10), flat, seen, torch.zeros(head.n_vertices), ReliefPrior())
    assert 0.0008 < float(height[near > 0.8].mean()) < 0.0026
    assert float(height[near < 0.01].abs().mean()) < 0.0001
    assert float(offset[head.regions.vertices("lips")].norm(dim=1).mean()) < 0.0001


def test_steadying_moves_the_pose_alone_and_spares_a_jump() -> None:
    g = torch.Generator().manual_seed(2)
    still = heads([0.0] * 40)
    shaken = dataclasses.replace(
        still, translation_m=still.translation_m + 0.001 * torch.randn(40, 3, generator=g), jaw_rad=torch.rand(40, 3)
    )
    shaken.translation_m[20:] += torch.tensor([0.05, 0.0, 0.0])
    stiffness = torch.diag(torch.tensor([1e6, 1e6, 1e6, 1e8, 1e8, 1e6])).expand(40, 6, 6)
    calm = steadied(shaken, stiffness, torch.ones(39, dtype=torch.bool), 1.0)

    def bend(x: torch.Tensor) -> float:
        return float((x[2:18] - 2 * x[1:17] + x[:16]).abs().mean())

    assert bend(calm.translation_m[:, 2]) < 0.3 * bend(shaken.translation_m[:, 2])
    assert torch.equal(calm.jaw_rad, shaken.jaw_rad) and torch.equal(calm.expression, shaken.expression)
    assert float(calm.translation_m[20, 0] - calm.translation_m[19, 0]) > 0.04
    cut = torch.ones(39, dtype=torch.bool)
    cut[19] = False
    apart = steadied(shaken, stiffness, cut, 1.0)
    assert float((apart.translation_m[:20].mean(0) - shaken.translation_m[:20].mean(0)).abs().max()) < 1e-4
    assert JAW.start == 6


def test_full_mode_from_clip_to_track_and_a_known_person(tmp_path: Path) -> None:
    from ggtalker_core.tracking import TrackConfig, load_track, save_track, track_clip

    from .synthetic import clip_of, moving_head

    truth = moving_head(14, noise_iod=0.003)
    width, height = truth.size_px
    clip = clip_of([np.ascontiguousarray(soft_noise(3)[:height, :width])] * 14)
    config = dataclasses.replace(TrackConfig.tiny(), photometric=True, photo_keyframes=4, photo_rounds=1)
    told: list[str] = []
    track = track_clip(
        clip, config, landmarks=truth.landmarks_px, progress=lambda _d, _t, m="", _p=None: told.append(m)
    )  # fmt: skip
    assert track.albedo is not None and track.light is not None and track.offset_m is not None
    assert any("colours" in message for message in told) and "skin colours" in config.stages
    again = load_track(save_track(track, tmp_path / "a"))
    assert torch.equal(again.albedo, track.albedo) and torch.equal(again.bias_m, track.bias_m)  # type: ignore[arg-type]
    other = track_clip(clip, config, landmarks=truth.landmarks_px, shared=again)
    assert torch.equal(other.shape, track.shape) and torch.equal(other.offset_m, track.offset_m)  # type: ignore[arg-type]
    assert float(other.intrinsics_px[0, 0]) == float(track.intrinsics_px[0, 0])
