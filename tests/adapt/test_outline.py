"""The outline: mattes refined by colours, hair with a motion of its own, heads that are solid from the side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ggtalker_core.adapt.frames import FrameCollector, FrameStore
from ggtalker_core.adapt.geometry import NeckLine, frame_vertices, plan_crops, project
from ggtalker_core.adapt.hair import vertex_normals
from ggtalker_core.adapt.matting import refined_matte
from ggtalker_core.adapt.prior import stretch
from ggtalker_core.adapt.solid import hole_loss, turned
from ggtalker_core.adapt.sway import hair_sway
from ggtalker_core.body.parts import chin_height_m
from ggtalker_core.gaussians.sway import pose_features, sway_offset
from ggtalker_core.gaussians.synthetic import synthetic_track
from ggtalker_core.head import HeadModel, load_head
from ggtalker_core.types import HairSway, Track

OWN, BEHIND = np.array([60.0, 30.0, 20.0]), np.array([220.0, 230.0, 240.0])


def _disc(radius: float, soft: float = 2.0, size: int = 128) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    return np.clip((radius - np.hypot(x, y)) / soft + 0.5, 0, 1)


def _picture(cover: np.ndarray) -> np.ndarray:
    return (cover[..., None] * OWN + (1 - cover[..., None]) * BEHIND).round().astype(np.uint8)


@pytest.mark.parametrize("plate", [True, False])
def test_a_matte_that_ends_too_early_grows_to_where_the_colours_have_the_edge(plate: bool):
    true, early = _disc(40), _disc(37)
    matte = (early * 255).astype(np.uint8)
    behind = np.broadcast_to(BEHIND, (128, 128, 3)).astype(np.uint8) if plate else None
    found, fringe = refined_matte(_picture(true), matte, behind, 1.0)
    before, after = (np.abs(m / 255 - true).sum() for m in (early * 255, found))
    assert after < 0.25 * before
    rows, cols = np.divmod(fringe.place, 128)
    solid = true[rows, cols] > 0.3
    assert solid.any() and np.abs(fringe.color[solid] - OWN).max() < 25  # the background's light is out of them


def test_a_matte_stays_where_the_colours_tell_nothing():
    matte = (_disc(37) * 255).astype(np.uint8)
    flat = np.full((128, 128, 3), 90, np.uint8)
    found, _ = refined_matte(flat, matte, None, 1.0)
    assert np.abs(found.astype(int) - matte).max() < 60 and abs(found.sum() / matte.sum() - 1) < 0.01
    empty = np.zeros((128, 128), np.uint8)
    assert len(refined_matte(flat, empty, None, 1.0)[1].place) == 0


def _moving(count: int = 60) -> tuple[HeadModel, Track]:
    """A head that rolls from side to side."""
    track = synthetic_track(count, (320, 320), sway=0.4)
    rotation = track.rotation_rad.clone()
    rotation[:, 1] += 0.24 * torch.sin(torch.arange(count) * 0.7)  # beside pi about x a little of y is a roll
    return load_head(), dataclasses.replace(track, rotation_rad=rotation)


def _swaying(truth: HairSway | None) -> tuple[HeadModel, Track, FrameStore]:
    """Frames whose mattes show the bare head, moved by what `truth` tells."""
    import cv2

    head, track = _moving()
    count = track.count
    chin = chin_height_m(head, track.shape)
    plan = plan_crops(head, track, 320, chin)
    collector = FrameCollector(range(count), plan, track.intrinsics_px)
    neck = NeckLine.under(chin)
    for i in range(count):
        points = project(frame_vertices(head, track, [i], sway=truth), track.intrinsics_px)[0].numpy()
        matte = np.zeros((320, 320), np.uint8)
        for triangle in head.faces.numpy():
            cv2.fillConvexPoly(matte, points[triangle].round().astype(np.int32), 255)
        image = np.where(matte[..., None] > 0, 40, 220).astype(np.uint8).repeat(3, -1)
        collector.add(i, image, matte, track.landmarks_px[i].numpy(), neck.pixels(track, i))
    return head, track, collector.store()


def test_hair_that_moves_with_the_head_has_no_motion_of_its_own():
    head, track, store = _swaying(None)
    found = hair_sway(head, track, store)
    assert found is None or float(found.basis_m.norm(dim=-1).max()) < 2e-3


def test_hair_that_follows_the_pose_in_its_own_way_is_found_from_the_matte():
    head, track = _moving()
    rest = HairSway(
        torch.zeros(6, head.n_vertices, 3), track.rotation_rad.mean(0), track.translation_m.mean(0),
        torch.tensor([0.1] * 3 + [0.05] * 3),
    )  # fmt: skip
    spread = pose_features(rest, track.rotation_rad, track.translation_m).std(0)
    strongest = int(spread[:3].argmax())
    scalp = head.regions.vertices("scalp") & (head.template_m[:, 1] > 0.05)
    basis = rest.basis_m.clone()
    basis[strongest, scalp, 0] = 0.005  # the hair slides sideways as the head turns
    truth = dataclasses.replace(rest, basis_m=basis)
    head, track, store = _swaying(truth)
    found = hair_sway(head, track, store)
    assert found is not None
    edge = vertex_normals(head.template_m[None], head.faces)[0][:, 0].abs() > 0.95
    sides = scalp & edge & (head.template_m[:, 1] > 0.06)
    true, ours = (sway_offset(s, track.rotation_rad, track.translation_m)[:, sides, 0] for s in (truth, found))
    true, ours = true - true.mean(0), ours - ours.mean(0)
    assert float((ours - true).square().mean()) < 0.5 * float(true.square().mean())


def test_sway_vanishes_at_rest_and_is_bounded_far_from_it():
    basis = torch.rand(6, 5, 3)
    sway = HairSway(basis, torch.tensor([3.0, 0.1, 0.0]), torch.tensor([0.0, 0.1, 0.6]), torch.full((6,), 0.05))
    assert sway_offset(sway, sway.rotation_rad[None], sway.translation_m[None]).abs().max() < 1e-5
    far = sway_offset(sway, sway.rotation_rad[None], sway.translation_m[None] + 5.0)
    assert torch.allclose(far[0], 2 * basis[3:].sum(0), atol=1e-4)


def test_holes_inside_an_outline_cost_and_pull_coverage_up():
    cover = torch.from_numpy(_disc(50, 1.0)).float()
    assert float(hole_loss(cover)) < 1e-3
    cover[60:70, 60:70] = 0.4
    cover.requires_grad_(True)
    loss = hole_loss(cover)
    loss.backward()
    assert cover.grad is not None
    assert float(loss.detach()) > 1e-3 and bool((cover.grad[60:70, 60:70] < 0).all())
    assert float(hole_loss(torch.zeros(32, 32))) == 0.0


def test_turned_heads_keep_their_middle_and_their_size():
    points = torch.rand(1, 50, 3)
    moved = turned(points, np.random.default_rng(0))
    assert torch.allclose(moved.mean(1), points.mean(1), atol=1e-5)
    before, after = ((p[:, 1:] - p[:, :-1]).norm(dim=-1) for p in (points, moved))
    assert torch.allclose(before, after, atol=1e-5)
    assert float((moved - points).norm(dim=-1).max()) > 0.02


def test_stretched_triangles_tell_by_how_much_in_both_directions():
    flat = torch.tensor([[0.0, 0, 0], [2.0, 0, 0], [0.5, 1.0, 0]])
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    wide = (flat * torch.tensor([3.0, 0.5, 1.0])) @ turn.T
    triangles = torch.tensor([[0, 1, 2]])
    assert torch.allclose(stretch(flat, wide, triangles), torch.tensor([[3.0, 0.5]]), atol=1e-5)
    assert torch.allclose(stretch(flat, flat @ turn.T, triangles), torch.ones(1, 2), atol=1e-5)
