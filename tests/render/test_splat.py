"""What is handed to other programs: the axes stay, place and scale move, what is never seen is left out."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.render import render
from ggtalker_core.render.splat import SH_C0, sh_of, to_splat_frame
from ggtalker_core.types import Camera


def test_seen_from_the_moved_camera_it_is_the_same_picture(cloud) -> None:
    """Moved by the origin and ten times as large: a camera that moves and grows along sees no difference."""
    origin = torch.tensor([0.3, -0.2, 1.1])
    splat = to_splat_frame(cloud.gaussians, origin_m=origin, units_per_m=10.0)
    view = cloud.camera.viewmat.clone()
    view[0, :3, 3] = 10.0 * (view[0, :3, 3] + view[0, :3, :3] @ origin)
    there = Camera(view, cloud.camera.intrinsics_px, cloud.camera.width, cloud.camera.height)
    want = dataclasses.replace(cloud.gaussians, colors=cloud.gaussians.colors.clamp(0, 1))
    got = render(splat, there, backend="numba").rgb
    assert (got - render(want, cloud.camera, backend="numba").rgb).abs().max() < 1e-4


def test_values_are_those_a_file_may_hold(cloud) -> None:
    faint = cloud.gaussians.opacities.clone()
    faint[0, :7] = 0.003
    splat = to_splat_frame(dataclasses.replace(cloud.gaussians, opacities=faint))
    assert splat.means.shape[1] == int((faint >= 1 / 255).sum()) < 300
    assert (splat.quats.norm(dim=-1) - 1).abs().max() < 1e-6
    assert splat.colors.min() >= 0 and splat.colors.max() <= 1
    assert torch.equal(splat.means, cloud.gaussians.means[:, faint[0] >= 1 / 255])
    with pytest.raises(InvalidInputError, match="frame 3"):
        to_splat_frame(cloud.gaussians, 3)


def test_colours_come_back_from_the_harmonics(cloud) -> None:
    colors = cloud.gaussians.colors
    sh = sh_of(colors)
    assert sh.shape == (1, 300, 1, 3)
    assert (sh[:, :, 0] * SH_C0 + 0.5 - colors).abs().max() < 1e-6
