"""Gaussians ride on triangles: identities that hold for any rig."""

from __future__ import annotations

import dataclasses

import torch

from ggtalker_core.gaussians import quaternions
from ggtalker_core.gaussians.config import GaussianConfig
from ggtalker_core.gaussians.rigging import (
    bind,
    bind_texels,
    make_rig,
    surface_points,
    triangle_areas,
    triangle_frames,
)
from ggtalker_core.gaussians.texels import Texels, initial_texels, read_map, write_map
from ggtalker_core.head import load_head, uv_layout
from ggtalker_core.head.pose import axis_angle_to_matrix, matrix_to_quaternion_wxyz


def _random_texels(n: int, seed: int = 0) -> Texels:
    rng = torch.Generator().manual_seed(seed)
    return Texels(
        torch.randn(n, 3, generator=rng) * 1e-3, torch.randn(n, 3, generator=rng) * 0.3 - 7,
        torch.randn(n, 4, generator=rng), torch.rand(n, 3, generator=rng), torch.randn(n, generator=rng),
    )  # fmt: skip


def _setup(size: int = 16):
    head, layout = load_head(), uv_layout(size)
    rig = make_rig(layout, head.faces, head.template_m)
    return head, layout, rig, _random_texels(layout.count)


def test_frames_are_rotations_and_hold_edge_and_normal():
    vertices = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [0.5, 1, 0]]])
    frame = triangle_frames(vertices, torch.tensor([[0, 1, 2]]))[0, 0]
    assert torch.allclose(frame[:, 0], torch.tensor([1.0, 0, 0]))
    assert torch.allclose(frame[:, 1], torch.tensor([0.0, 0, 1]))  # counter-clockwise seen from +z
    assert torch.allclose(frame.T @ frame, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(frame) > 0.999
    assert torch.allclose(triangle_areas(vertices, torch.tensor([[0, 1, 2]]))[0], torch.tensor([1.0]))


def test_rotation_is_face_times_local_not_the_other_way_round():
    _, _, rig, texels = _setup()
    rng = torch.Generator().manual_seed(1)
    vertices = torch.randn(1, int(rig.used.max()) + 1, 3, generator=rng)
    bound = bind_texels(texels, rig, vertices)
    faces = triangle_frames(vertices, rig.used)[0, rig.texel_triangle]
    wanted = faces @ quaternions.to_matrix(texels.quaternion)
    assert torch.allclose(quaternions.to_matrix(bound.quats[0]), wanted, atol=2e-5)
    reversed_product = quaternions.to_matrix(texels.quaternion) @ faces
    assert (wanted - reversed_product).abs().max() > 0.5  # the test can tell the two apart


def test_rigid_motion_moves_means_and_turns_covariances():
    head, _, rig, texels = _setup()
    turn = axis_angle_to_matrix(torch.tensor([0.3, -0.8, 0.5]))
    shift = torch.tensor([0.1, -0.2, 0.7])
    rest = bind_texels(texels, rig, head.template_m[None])
    moved = bind_texels(texels, rig, (head.template_m @ turn.T + shift)[None])
    assert torch.allclose(moved.means, rest.means @ turn.T + shift, atol=1e-6)
    assert torch.allclose(moved.scales, rest.scales, rtol=1e-3)
    covariance = [
        r @ torch.diag_embed(g.scales[0] ** 2) @ r.transpose(1, 2)
        for g, r in ((g, quaternions.to_matrix(g.quats[0])) for g in (rest, moved))
    ]
    assert torch.allclose(covariance[1], turn @ covariance[0] @ turn.T, atol=1e-9)


def test_offset_is_metric_in_the_triangle_frame():
    head, layout, rig, texels = _setup()
    along_normal = torch.zeros_like(texels.offset_m)
    along_normal[:, 1] = 0.004
    texels = dataclasses.replace(texels, offset_m=along_normal)
    big = 2.0 * head.template_m[None]  # a larger head does not stretch offsets
    bound = bind_texels(texels, rig, big)
    lift = bound.means - surface_points(rig, big)
    normals = triangle_frames(big, rig.used)[0, rig.texel_triangle][:, :, 1]
    assert torch.allclose(lift[0], 0.004 * normals, atol=1e-6)


def test_scale_grows_with_the_root_of_the_area_within_limits():
    head, _, rig, texels = _setup()
    rest = bind_texels(texels, rig, head.template_m[None]).scales
    grown = bind_texels(texels, rig, 1.5 * head.template_m[None]).scales
    assert torch.allclose(grown, 1.5 * rest, rtol=1e-3)
    huge = bind_texels(texels, rig, 50 * head.template_m[None]).scales
    assert torch.allclose(huge, GaussianConfig().area_ratio_max * rest, rtol=1e-3)


def test_gradients_reach_map_and_vertices_and_are_right():
    head, layout, rig, texels = _setup(8)
    rng = torch.Generator().manual_seed(2)
    page = write_map(texels, layout).double().requires_grad_(True)
    vertices = head.template_m.double()[None].requires_grad_(True)
    rig = dataclasses.replace(rig, barycentric=rig.barycentric.double(), rest_area_m2=rig.rest_area_m2.double())
    pull = torch.randn(1, layout.count, 3, generator=rng, dtype=torch.float64)

    def loss(page: torch.Tensor, vertices: torch.Tensor) -> torch.Tensor:
        bound = bind_texels(read_map(page, layout), rig, vertices)
        return (bound.means * pull).sum() + bound.scales.sum() + (bound.colors * pull).sum() + bound.opacities.sum()

    value = loss(page, vertices)
    value.backward()
    assert page.grad is not None and vertices.grad is not None
    used = page.grad[:, layout.row_col[:, 0], layout.row_col[:, 1]]
    assert (used[[0, 1, 2, 3, 4, 5, 10, 11, 12, 13]].abs().sum(1) > 0).all()
    assert page.grad[:, ~layout.valid].abs().sum() == 0
    # The vertex gradient of the means against a finite difference (scale and rotation carry none by design).
    direction = torch.randn(vertices.shape, generator=rng, dtype=torch.float64)
    step = 1e-6

    def means_only(v: torch.Tensor) -> torch.Tensor:
        return (bind_texels(read_map(page.detach(), layout), rig, v).means * pull).sum()

    numeric = (means_only(vertices.detach() + step * direction) - means_only(vertices.detach() - step * direction)) / (
        2 * step
    )
    assert torch.isclose((vertices.grad * direction).sum(), numeric, rtol=1e-4)


def test_degenerate_triangle_stays_finite():
    head, _, rig, texels = _setup()
    flat = head.template_m[None].clone()
    flat[:, :, 1] = 0.0
    flat[:, :, 2] = 0.0  # everything on a line
    bound = bind_texels(texels.parameters(), rig, flat.requires_grad_(True))
    total = bound.means.sum() + bound.scales.sum() + bound.quats.sum()
    total.backward()
    assert torch.isfinite(bound.quats).all() and flat.grad is not None and torch.isfinite(flat.grad).all()


def test_bind_in_one_call_equals_the_prepared_rig():
    head, layout, rig, texels = _setup()
    vertices = head.template_m[None] * 1.1
    one = bind(write_map(texels, layout), layout, vertices, head.faces, head.template_m)
    two = bind_texels(texels, rig, vertices)
    for name in ("means", "quats", "scales", "opacities", "colors"):
        assert torch.allclose(getattr(one, name), getattr(two, name), atol=1e-7)


def test_map_round_trip_and_unused_texels_are_zero():
    _, layout, _, texels = _setup(32)
    page = write_map(texels, layout)
    assert page.shape == (14, 32, 32) and page[:, ~layout.valid].abs().sum() == 0
    back = read_map(page, layout)
    for item in dataclasses.fields(Texels):
        assert torch.equal(getattr(back, item.name), getattr(texels, item.name))


def test_initial_texels_are_flat_discs_of_the_spacing():
    layout = uv_layout(64)
    texels = initial_texels(layout)
    scale = texels.log_scale.exp()
    assert torch.allclose(scale[:, 0], 0.8 * layout.spacing_m.clamp_min(1.25e-6), rtol=1e-4)
    assert (scale[:, 1] <= 0.4e-3 + 1e-9).all()
    assert torch.allclose(texels.opacity_logit.sigmoid(), torch.tensor(0.802), atol=1e-3)


def test_quaternion_product_against_matrices():
    rng = torch.Generator().manual_seed(3)
    a, b = (torch.nn.functional.normalize(torch.randn(50, 4, generator=rng), dim=-1) for _ in range(2))
    product = quaternions.to_matrix(quaternions.multiply(a, b))
    assert torch.allclose(product, quaternions.to_matrix(a) @ quaternions.to_matrix(b), atol=1e-5)
    back = matrix_to_quaternion_wxyz(quaternions.to_matrix(a))
    assert torch.allclose(back.abs(), a.abs(), atol=1e-4)
