"""Flecks: what lies behind the skin may not show through it."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ggtalker_core.adapt.colors import FirstLook
from ggtalker_core.adapt.losses import MapPrior
from ggtalker_core.adapt.prior import _side_slack
from ggtalker_core.adapt.solid import fleck_loss, painted
from ggtalker_core.render import render
from ggtalker_core.types import Camera, Gaussians

SIDE, SKIN = 64, 20 * 20
FAR_AWAY = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])  # a mouth in the corner of the picture


def _wall(depth_m: float, sigma_m: float) -> Gaussians:
    """20 x 20 flat discs, 4 mm apart, facing the camera."""
    place = (torch.arange(20) - 9.5) * 4e-3
    y, x = torch.meshgrid(place, place, indexing="ij")
    means = torch.stack([x.flatten(), y.flatten(), torch.full((SKIN,), depth_m)], dim=1)
    scales = torch.tensor([sigma_m, sigma_m, 2e-4]).expand(SKIN, 3)
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(SKIN, 4)
    return Gaussians(means[None], quats[None], scales[None], torch.full((1, SKIN), 0.97), torch.zeros(1, SKIN, 3))


def _joined(front: Gaussians, behind: Gaussians) -> Gaussians:
    pairs = {f.name: (getattr(front, f.name), getattr(behind, f.name)) for f in dataclasses.fields(front)}
    return Gaussians(**{name: torch.cat(pair, dim=1) for name, pair in pairs.items()})


def _prior(inner: Tensor, flat: Tensor) -> MapPrior:
    n, page = len(inner), torch.zeros(1, 1)
    one, zero = torch.ones(n), torch.zeros(n)
    return MapPrior(
        offset_max_m=one, scale_max_m=one, scale_min_m=torch.zeros(n, 2), scale_most_m=one, flat=flat, face=flat,
        inner=inner, opaque=zero, color=torch.zeros(n, 3), color_slack=one, cell=torch.arange(n), across=page,
        down=page, level_across=page, level_down=page, hue_across=page, hue_down=page,
    )  # fmt: skip


def _seen(sigma_m: float, behind_faces_camera: bool = True, behind_is_inner: bool = True) -> tuple[Tensor, Gaussians]:
    """A painted rendering of skin in front of a closed wall, and the Gaussians with gradients that it came from."""
    both = _joined(_wall(0.6, sigma_m), _wall(0.61, 3.5e-3))
    both = dataclasses.replace(
        both, scales=both.scales.clone().requires_grad_(True), opacities=both.opacities.clone().requires_grad_(True)
    )
    second = torch.cat([torch.zeros(SKIN), torch.ones(SKIN)])
    normals = torch.tensor([0.0, 0.0, -1.0]).repeat(2 * SKIN, 1)
    if not behind_faces_camera:
        normals[SKIN:] *= -1
    paint = painted(both, normals, _prior(second * behind_is_inner, 1 - second))
    intrinsics = torch.tensor([[[600.0, 0, 32], [0, 600.0, 32], [0, 0, 1]]])
    camera = Camera(torch.eye(4)[None], intrinsics, SIDE, SIDE)
    image = render(paint, camera, torch.zeros(3), backend="torch", antialiased=True)
    assert float(image.alpha[0, 20:44, 20:44].detach().min()) > 0.97  # for the outline there is no hole
    return image.rgb[0], both


def test_the_lining_of_the_mouth_behind_thin_skin_costs_and_behind_closed_skin_does_not():
    assert float(fleck_loss(_seen(3.2e-3)[0], FAR_AWAY).detach()) < 2e-3
    assert float(fleck_loss(_seen(1.6e-3)[0], FAR_AWAY).detach()) > 0.02


def test_the_back_of_the_head_is_no_cover_but_hair_behind_that_faces_the_camera_is():
    back = float(fleck_loss(_seen(1.6e-3, behind_faces_camera=False, behind_is_inner=False)[0], FAR_AWAY).detach())
    front = float(fleck_loss(_seen(1.6e-3, behind_is_inner=False)[0], FAR_AWAY).detach())
    assert back > 0.02 and front < 2e-3


def test_skin_grows_and_the_lining_neither_vanishes_nor_comes_forward():
    paint, both = _seen(1.6e-3)
    fleck_loss(paint, FAR_AWAY).backward()
    sizes, cover = both.scales.grad, both.opacities.grad
    assert sizes is not None and cover is not None
    middle = torch.arange(SKIN).view(20, 20)[6:14, 6:14].flatten()
    assert bool((sizes[0, middle][:, :2].sum(1) < 0).all())
    assert bool((cover[0, SKIN:] == 0).all())


def test_the_opening_of_the_mouth_and_what_is_below_the_chin_are_left_out():
    paint, _ = _seen(1.6e-3)
    mouth = torch.tensor([[0.0, 0.0], [64.0, 0.0], [64.0, 64.0], [0.0, 64.0]])
    assert float(fleck_loss(paint, mouth).detach()) == 0.0
    assert float(fleck_loss(paint, FAR_AWAY, rows=0).detach()) == 0.0


def test_colours_are_free_where_frames_look_and_held_where_none_does():
    unseen, glimpsed, seen = _side_slack(FirstLook(torch.zeros(3, 3), torch.tensor([0.0, 0.001, 0.05]))).tolist()
    assert unseen < 0.3 and glimpsed < 0.5  # hair at the back does not turn white
    assert seen > 1
