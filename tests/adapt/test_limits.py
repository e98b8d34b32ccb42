"""Discs of skin stay in the surface, so that it is closed from every side."""

from __future__ import annotations

import dataclasses
import math

import torch

from ggtalker_core.adapt import limits
from ggtalker_core.adapt.limits import Limits, upright
from ggtalker_core.adapt.losses import MapPrior
from ggtalker_core.gaussians.texels import Texels
from ggtalker_core.render import render
from ggtalker_core.render.projection_torch import quaternion_to_matrix
from ggtalker_core.types import Camera, Gaussians


def _about(axis: list[float], degrees: float) -> torch.Tensor:
    half = math.radians(degrees) / 2
    return torch.tensor([[math.cos(half), *(math.sin(half) * x for x in axis)]])


def _lean_deg(quaternion: torch.Tensor) -> torch.Tensor:
    normal = quaternion_to_matrix(torch.nn.functional.normalize(quaternion, dim=-1))[:, :, 1]
    return torch.rad2deg(normal[:, 1].clamp(-1, 1).arccos())


def test_a_tilt_is_cut_and_a_turn_in_the_surface_is_free():
    tilted = torch.cat([_about([0.6, 0.0, 0.8], 40.0), _about([1.0, 0.0, 0.0], 180.0)])
    kept = upright(3.0 * tilted, math.radians(6.0))
    assert torch.allclose(_lean_deg(kept), torch.tensor([6.0, 6.0]), atol=0.05)
    assert math.isclose(float(kept[0, 1] / kept[0, 3]), 0.6 / 0.8, rel_tol=1e-4)  # it leans to the same side
    free = torch.cat([_about([0.0, 1.0, 0.0], 130.0), _about([1.0, 0.0, 0.0], 3.0)])
    assert torch.allclose(upright(free, math.radians(6.0)), free)


def test_a_surface_of_tilted_discs_leaks_at_a_slant_and_one_of_flat_discs_does_not():
    """The cause of specks on a turned cheek, in small: a wall seen at 60 degrees whose discs are seen on edge."""
    side, spacing = 40, 0.002
    place = (torch.arange(side) - side / 2) * spacing
    grid = torch.stack(torch.meshgrid(place, place, indexing="ij"), dim=-1).reshape(-1, 2)
    tilted = _about([1.0, 0.0, 0.0], -30.0).expand(len(grid), 4)

    def least(quaternion: torch.Tensor) -> float:
        """Of the coverage in the middle of the picture."""
        slant = math.radians(60.0)
        turn = torch.tensor(
            [[1.0, 0, 0], [0, math.sin(slant), -math.cos(slant)], [0, math.cos(slant), math.sin(slant)]]
        )
        # in the surface lie the first and the third axis
        points = torch.stack([grid[:, 0], torch.zeros(len(grid)), grid[:, 1]], dim=1)
        whole = _about([1.0, 0.0, 0.0], 90.0 - math.degrees(slant))[0]
        from ggtalker_core.gaussians.quaternions import multiply

        gaussians = Gaussians(
            means=(points @ turn.T + torch.tensor([0, 0, 0.6]))[None],
            quats=multiply(whole[None, None], torch.nn.functional.normalize(quaternion, dim=-1)[None]),
            scales=torch.tensor([0.8 * spacing, 1e-4, 0.8 * spacing]).expand(1, len(grid), 3),
            opacities=torch.full((1, len(grid)), 0.95), colors=torch.ones(1, len(grid), 3),
        )  # fmt: skip
        intrinsics = torch.tensor([[[900.0, 0, 32], [0, 900.0, 32], [0, 0, 1]]])
        camera = Camera(torch.eye(4)[None], intrinsics, 64, 64)
        alpha = render(gaussians, camera, None, backend="torch", antialiased=True).alpha[0, ..., 0]
        return float(alpha[28:36, 12:52].min())

    assert least(tilted) < 0.6
    assert least(upright(tilted)) > 0.9


def test_steps_between_neighbours_of_skin_cost_and_slopes_elsewhere_do_not():
    """Only pairs that are both bare skin are held level."""
    n = 4
    zero, page = torch.zeros(n), torch.zeros(2, 1)
    prior = MapPrior(
        offset_max_m=torch.ones(n), scale_max_m=torch.ones(n), scale_min_m=torch.zeros(n, 2),
        scale_most_m=torch.ones(n), flat=torch.tensor([1.0, 1.0, 0.0, 0.0]), face=zero, inner=zero, opaque=zero,
        color=torch.zeros(n, 3), color_slack=torch.ones(n),
        cell=torch.arange(n), across=page, down=torch.zeros(1, 2), level_across=torch.tensor([[1.0], [0.0]]),
        level_down=torch.zeros(1, 2), hue_across=page, hue_down=torch.zeros(1, 2),
    )  # fmt: skip

    def texels(normal_m: list[float]) -> Texels:
        offset = torch.zeros(n, 3)
        offset[:, 1] = torch.tensor(normal_m)
        return Texels(offset, torch.zeros(n, 3), torch.zeros(n, 4), torch.zeros(n, 3), torch.full((n,), 9.0))

    from ggtalker_core.adapt.config import Weights

    weights = dataclasses.replace(Weights(), level=1.0)
    flat, step, hair = (
        float(prior.loss(texels(v), weights)) for v in ([0.001] * 4, [0.001, 0.003, 0, 0], [0, 0, 0.001, 0.003])
    )
    assert math.isclose(step - flat, 0.04, rel_tol=1e-3)
    assert math.isclose(hair, flat, rel_tol=1e-6)


def test_compiled_limits_do_what_those_in_torch_do(monkeypatch):
    n = 400
    rng = torch.Generator().manual_seed(0)
    zero, page = torch.zeros(n), torch.zeros(1, 1)
    prior = MapPrior(
        offset_max_m=zero, scale_max_m=zero, scale_min_m=torch.rand(n, 2, generator=rng) * 1e-3,
        scale_most_m=torch.full((n,), 6e-3), flat=(torch.rand(n, generator=rng) > 0.5).float(), face=zero, inner=zero,
        opaque=zero, color=torch.zeros(n, 3), color_slack=zero, cell=torch.arange(n), across=page, down=page,
        level_across=page, level_down=page, hue_across=page, hue_down=page,
    )  # fmt: skip
    texels = Texels(
        zero[:, None].expand(n, 3), torch.randn(n, 3, generator=rng) * 2 - 6, torch.randn(n, 4, generator=rng),
        zero[:, None].expand(n, 3), zero,
    )  # fmt: skip
    texels.quaternion[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # upside down: no turn is left to keep
    ours, plain = texels.parameters(), texels.parameters()
    Limits(prior, 6e-3, 128).hold(ours)
    monkeypatch.setattr(limits, "kernels", lambda: None)
    Limits(prior, 6e-3, 128).hold(plain)
    assert torch.allclose(ours.log_scale, plain.log_scale) and not torch.allclose(ours.log_scale, texels.log_scale)
    assert torch.allclose(ours.quaternion, plain.quaternion, atol=1e-5)
    assert float(_lean_deg(ours.quaternion[prior.flat > 0].detach()).max()) < 6.1
    assert torch.equal(ours.quaternion[prior.flat == 0], texels.quaternion[prior.flat == 0])
