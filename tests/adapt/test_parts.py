"""The parts of an adaptation, each against a known answer."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from ggtalker_core.adapt.body_loop import choose_loop, encode_jpeg, encode_png, find_loop, unbroken_runs
from ggtalker_core.adapt.colors import INNER_COLORS, FirstLook, first_colors, lined_mouth
from ggtalker_core.adapt.config import Rates, Weights
from ggtalker_core.adapt.frame_parameters import NAMES, FrameParameters
from ggtalker_core.adapt.frames import FrameCollector, FrameStore, choose_frames, emphasis_map, head_weight
from ggtalker_core.adapt.geometry import NeckLine, above_neck, frame_vertices, fresh, plan_crops, project
from ggtalker_core.adapt.hair import hair_offset, vertex_normals
from ggtalker_core.adapt.losses import picture_loss, window_ssim
from ggtalker_core.adapt.matte import keep_person
from ggtalker_core.adapt.prior import drawn_texels, map_prior, region_mask
from ggtalker_core.adapt.style import mouth_opening, speaking_style
from ggtalker_core.body.parts import CHIN, chin_height_m
from ggtalker_core.gaussians.config import GaussianConfig
from ggtalker_core.gaussians.rigging import make_rig
from ggtalker_core.gaussians.synthetic import painted_texels, synthetic_avatar, synthetic_clip, synthetic_track
from ggtalker_core.gaussians.texels import initial_texels
from ggtalker_core.head import load_head, uv_layout
from ggtalker_core.types import Track


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise_and_blur():
    rng = torch.Generator().manual_seed(0)
    a = torch.rand(40, 52, 3, generator=rng)
    assert window_ssim(a, a) == pytest.approx(1.0, abs=1e-5)
    noisy = (a + 0.1 * torch.randn(a.shape, generator=rng)).clamp(0, 1)
    noisier = (a + 0.3 * torch.randn(a.shape, generator=rng)).clamp(0, 1)
    assert 1 > window_ssim(a, noisy) > window_ssim(a, noisier) > 0
    assert window_ssim(a, torch.full_like(a, 0.5)) < 0.2


def test_picture_loss_is_zero_at_the_truth_and_blind_below_the_neck():
    rng = torch.Generator().manual_seed(1)
    image, matte = torch.rand(32, 32, 3, generator=rng), (torch.rand(32, 32, generator=rng) > 0.5).float()
    background = torch.tensor([0.2, 0.9, 0.4])
    right = matte[..., None] * image + (1 - matte[..., None]) * background
    ones = torch.ones(32, 32)
    assert picture_loss(right, matte, image, matte, ones, ones, background, Weights()).total < 1e-5
    wrong = right.clone()
    wrong[20:] += 0.5
    alpha = matte.clone()
    alpha[20:] = 1 - alpha[20:]
    weight = ones.clone()
    assert picture_loss(wrong, alpha, image, matte, weight, ones, background, Weights()).total > 0.1
    weight[20:] = 0
    assert picture_loss(wrong, alpha, image, matte, weight, ones, background, Weights()).total < 1e-5
    # A transparent head over the random background is wrong, however the colours look.
    bare = picture_loss(background.expand(32, 32, 3), 0 * matte, image, matte, ones, ones, background, Weights())
    assert bare.total > 0.1


def test_map_prior_knows_limits_neighbours_and_blind_spots():
    head, layout = load_head(), uv_layout(32)
    points = layout.points(head.template_m[None], head.faces)[0]
    n = layout.count
    drawn = drawn_texels(layout, head, points, -0.0715)
    assert 0.85 < drawn.float().mean() < 1
    visibility = torch.ones(n)
    scalp = region_mask(layout, head, "scalp")
    visibility[scalp] = 0.0
    look = FirstLook(torch.full((n, 3), 0.5), visibility)
    prior = map_prior(
        layout, head, drawn, points, torch.zeros(n), torch.full((n, 2), 1e-3), look, GaussianConfig(), Weights()
    )
    assert prior.cell.shape == (int(drawn.sum()),) and int(prior.cell.max()) < layout.size**2
    shown = torch.zeros(layout.size**2, dtype=torch.bool)
    shown[prior.cell] = True
    page = shown.view(layout.size, layout.size)
    assert bool((prior.across > 0).any()) and not bool(prior.across[~(page[:, 1:] & page[:, :-1])].any())
    assert bool((prior.down > 0).any()) and not bool(prior.down[~(page[1:] & page[:-1])].any())
    start = initial_texels(layout)
    rows = dataclasses.replace(start, **{f.name: getattr(start, f.name)[drawn] for f in dataclasses.fields(start)})
    base = float(prior.loss(rows, Weights()))
    rng = torch.Generator().manual_seed(0)
    noise = torch.rand(int(drawn.sum()), 1, generator=rng) * 0.5  # of brightness

    def with_noise(where: torch.Tensor) -> float:
        changed = dataclasses.replace(rows, color=rows.color + noise * where[drawn][:, None])
        return (float(prior.loss(changed, Weights())) - base) / float(where[drawn].sum())

    assert with_noise(scalp) > 10 * with_noise(region_mask(layout, head, "face"))  # unseen texels hold together
    lips = region_mask(layout, head, "lips")[drawn][:, None]
    white = dataclasses.replace(rows, color=torch.where(lips, torch.ones(()), rows.color))
    pink = dataclasses.replace(rows, color=torch.where(lips, torch.tensor([0.6, 0.45, 0.45]), rows.color))
    assert float(prior.loss(white, Weights())) - base > 20 * (float(prior.loss(pink, Weights())) - base)
    far = dataclasses.replace(rows, offset_m=rows.offset_m + 0.02)
    assert float(prior.loss(far, Weights())) > base + 0.1
    clear = dataclasses.replace(rows, opacity_logit=rows.opacity_logit - 3)
    assert float(prior.loss(clear, Weights())) > base


def test_neck_line_fades_between_its_bars():
    bars = np.array([[[-10, 20], [50, 20]], [[-10, 30], [50, 30]]], np.float32)
    weight = above_neck(bars, 60, 40)
    assert weight[5, 15:25].min() == 1 and weight[55].max() == 0
    assert weight[25, 0] == pytest.approx(0.45, abs=0.06) and weight[25, 39] == pytest.approx(0.45, abs=0.06)
    track = synthetic_track(3, (64, 64))
    head = load_head()
    chin = chin_height_m(head, track.shape)
    assert -0.08 < chin < -0.06
    pixels = NeckLine.under(chin).pixels(track, 1)
    chin_px = track.landmarks_px[1, 152].numpy()
    assert abs(pixels[0, :, 1].mean() - chin_px[1]) < 4 and pixels[1, :, 1].mean() > pixels[0, :, 1].mean()


def test_the_neck_line_rises_beside_the_neck_where_shoulders_are():
    bars = np.array([[[20, 40], [40, 40]], [[20, 44], [40, 44]]], np.float32)
    weight = above_neck(bars, 60, 60)
    assert weight[38, 30] == 1 and weight[30, 12] == 1  # the neck, and long hair near the cheek
    assert weight[38, 5] == 0 and weight[38, 55] == 0  # shoulders
    turned = above_neck(np.array([[[20, 40], [34, 54]], [[17, 43], [31, 57]]], np.float32), 60, 60)
    assert turned[40, 27] == 1 and turned[58, 5] == 0 and turned[50, 12] == 0
    assert turned[30, 50] == 1 and turned[50, 50] == 0  # shoulders stay level when the head tilts


def test_crops_hold_the_head_and_their_cameras_agree_with_the_clips():
    head, track = load_head(), synthetic_track(9, (160, 180))
    plan = plan_crops(head, track, 48, chin_height_m(head, track.shape))
    assert max(plan.out_width, plan.out_height) <= 48
    vertices = frame_vertices(head, track, [4])[0]
    skull = vertices[head.regions.vertices("scalp", "face", "ears")]
    whole = project(skull, track.intrinsics_px).numpy()
    inside = project(skull, plan.intrinsics(track.intrinsics_px, 4)).numpy()
    scale = np.array([plan.out_width / plan.width_px, plan.out_height / plan.height_px])
    assert np.allclose(inside, (whole - plan.origin_px[4]) * scale, atol=1e-3)
    assert (
        inside.min() >= -0.5
        and inside[:, 1].max() <= plan.out_height + 0.5
        and inside[:, 0].max() <= plan.out_width + 0.5
    )
    half = project(skull, plan.intrinsics(track.intrinsics_px, 4, 2)).numpy()
    ratio = np.array([plan.out_width // 2 / plan.out_width, plan.out_height // 2 / plan.out_height])
    assert np.allclose(half, inside * ratio, atol=1e-3)


def test_a_frame_is_kept_as_its_box():
    avatar = synthetic_avatar(16, 2, (90, 70))
    clip, mattes = synthetic_clip(avatar)
    track, head = avatar.body.track, load_head()
    plan = plan_crops(head, track, 1000, chin_height_m(head, track.shape))
    neck = NeckLine.under(chin_height_m(head, track.shape))
    collector = FrameCollector([1], plan, track.intrinsics_px)
    assert 1 in collector and 0 not in collector
    image = list(clip.frames())[1]
    collector.add(1, image, mattes[1], track.landmarks_px[1].numpy(), neck.pixels(track, 1))
    store = collector.store()
    x, y = plan.origin_px[1]
    assert np.array_equal(store.images[0], image[y : y + plan.height_px, x : x + plan.width_px])
    target = store.target(0, 2, Weights())
    assert target.image.shape == (plan.out_height // 2, plan.out_width // 2, 3)
    assert float(target.emphasis.max()) > 2 and float(target.emphasis.min()) == pytest.approx(1.0, abs=1e-3)
    camera, width, height = store.camera(0, 2)
    assert (width, height) == (plan.out_width // 2, plan.out_height // 2) and camera.shape == (3, 3)


def test_head_weight_holds_an_open_jaw_below_the_line():
    points = np.zeros((478, 2), np.float32)
    points[:468] = np.stack([20 + 10 * np.cos(np.arange(468)), 25 + 20 * np.sin(np.arange(468))], 1)
    bars = np.array([[[0, 30], [40, 30]], [[0, 33], [40, 33]]], np.float32)
    weight = head_weight(points, bars, 60, 40)
    assert weight[5, 5] == 255 and weight[40, 20] == 255 and weight[40, 2] == 0


def test_emphasis_is_where_mouth_and_lids_are():
    points = np.full((478, 2), 20.0, np.float32)
    track = synthetic_track(1, (64, 64))
    points = track.landmarks_px[0].numpy()
    emphasis = emphasis_map(points, 64, 64, Weights())
    mouth = points[[13, 14]].mean(0).astype(int)
    eye = points[[159, 145]].mean(0).astype(int)
    assert emphasis[mouth[1], mouth[0]] > 3 and emphasis[eye[1], eye[0]] > 1.8 and emphasis[2, 2] < 1.1


def test_other_people_and_specks_are_removed_from_the_matte():
    matte = np.zeros((60, 80), np.uint8)
    matte[10:50, 10:35] = 255
    matte[20:60, 55:75] = 255
    matte[3:5, 60:62] = 200
    kept = keep_person(matte, (20, 30))
    assert (kept[:, :40] == matte[:, :40]).all() and kept[:, 50:].max() == 0
    assert np.array_equal(keep_person(matte, (45, 5)), matte)  # nobody under the face: keep all


def _outlined(offset_m: torch.Tensor, shoulders: bool = False) -> tuple[Track, FrameStore]:
    """A head with this offset [V, 3] as its mattes show it, and shoulders that reach above the chin."""
    head, layout, size = load_head(), uv_layout(128), (220, 220)
    track = synthetic_track(24, size, sway=1.8)
    avatar = synthetic_avatar(128, 1, size, texels=painted_texels(layout, head))
    _, mattes = synthetic_clip(dataclasses.replace(avatar, offset_m=offset_m), track)
    neck = NeckLine.under(-0.0715)
    collector = FrameCollector(range(24), plan_crops(head, track, 1000, -0.0715), track.intrinsics_px)
    for i, matte in enumerate(mattes):
        points = track.landmarks_px[i].numpy()
        if shoulders:
            (middle, chin), width = points[CHIN], float(np.ptp(points[:468, 0]))
            matte[round(float(chin)) - 11 :, max(0, round(middle - 1.2 * width)) : round(middle + 1.2 * width)] = 255
        image = np.repeat(matte[..., None], 3, 2)
        collector.add(i, image, matte, points, neck.pixels(track, i))
    return track, collector.store()


@pytest.mark.parametrize("length_m", [0.0, 0.016])
def test_hair_is_found_from_the_outline(length_m: float):
    """Mattes of a head whose scalp stands `length_m` further out give that length back."""
    head = load_head()
    scalp = head.regions.vertices("scalp")
    skin = head.faces[head.regions.faces("scalp", "face", "neck", "ears", "brows", "nose", "lids", "lips")]
    normals = vertex_normals(head.template_m[None], skin)[0]
    track, store = _outlined(normals * (length_m * scalp.float())[:, None])
    found, seen = hair_offset(head, track, store)
    assert seen > 20
    top = scalp & (head.template_m[:, 1] > 0.11)
    assert float((found * normals).sum(1)[top].median()) == pytest.approx(length_m, abs=0.006)  # the drawn edge is soft
    assert found[head.regions.vertices("lips", "nose", "eyes")].abs().max() < 1e-4


def test_shoulders_beside_the_chin_are_neither_hair_nor_head():
    head = load_head()
    nothing = torch.zeros_like(head.template_m)
    (track, bare), (_, shown) = (_outlined(nothing, shoulders) for shoulders in (False, True))
    for matte, points in zip(shown.mattes, shown.landmarks):
        chin = round(float(points[CHIN, 1]))
        middle, width = float(points[[2, 17], 0].mean()), float(np.ptp(points[:468, 0]))
        shoulder = np.abs(np.arange(matte.shape[1]) - middle) > 0.9 * width
        assert matte[chin - 11 : chin].max() == 255 and not matte[chin - 11 : chin + 1, shoulder].any()
    lengths = [hair_offset(head, track, store)[0].norm(dim=1) for store in (bare, shown)]
    neck = head.regions.vertices("neck") & (head.template_m[:, 1] > -0.09)
    assert float((lengths[1] - lengths[0])[neck].abs().max()) < 1e-5


def test_first_colours_are_those_of_the_pictures():
    head, layout = load_head(), uv_layout(64)
    truth = painted_texels(layout, head, mottle=0.06)
    avatar = synthetic_avatar(64, 1, (96, 96), texels=truth)
    track = synthetic_track(10, (96, 96), sway=1.8)
    clip, mattes = synthetic_clip(avatar, track)
    plan = plan_crops(head, track, 1000, -0.0715)
    neck = NeckLine.under(-0.0715)
    collector = FrameCollector(range(10), plan, track.intrinsics_px)
    for i, (image, matte) in enumerate(zip(clip.frames(), mattes)):
        collector.add(i, image, matte, track.landmarks_px[i].numpy(), neck.pixels(track, i))
    rig = make_rig(layout, head.faces, head.template_m)
    look = first_colors(head, track, collector.store(), layout, rig, torch.zeros(head.n_vertices, 3))
    face = region_mask(layout, head, "face", "nose") & (look.visibility > 0.2)
    assert face.sum() > 100
    error = (look.color - truth.color).abs().mean(1)
    guess = (truth.color[face].mean(0) - truth.color[face]).abs().mean(1)
    assert error[face].median() < 0.65 * guess.median()
    assert torch.isfinite(look.color).all()
    back = region_mask(layout, head, "scalp") & (look.visibility < 1e-6)
    assert back.sum() > 20 and error[back].mean() < 0.25  # unseen hair is guessed from seen hair


def test_behind_folds_of_the_cheek_there_is_skin_and_between_the_lips_the_dark():
    head, layout = load_head(), uv_layout(64)
    color = torch.full((layout.count, 3), 0.8)
    color[region_mask(layout, head, "cavity")] = torch.tensor(INNER_COLORS["cavity"])
    lined = lined_mouth(color, layout, head)
    points = layout.points(head.template_m[None], head.faces)[0]
    away = torch.cdist(points, points[region_mask(layout, head, "lips")]).min(1).values
    walls = region_mask(layout, head, "cavity")
    assert lined[walls & (away > 0.013)].min() > 0.79 and (walls & (away > 0.013)).sum() > 5
    assert torch.equal(lined[walls & (away < 0.005)], color[walls & (away < 0.005)])
    assert torch.equal(lined[~walls], color[~walls])
    flame = dataclasses.replace(head, regions=dataclasses.replace(head.regions, names=("face",)))
    assert torch.equal(lined_mouth(color, layout, flame), color)


def test_only_the_visited_frame_moves_and_shared_drift_is_taken_out():
    track = synthetic_track(8, (64, 64))
    parameters = FrameParameters(track, tuple(range(8)), Rates())
    leaves = parameters.leaves(3)
    sum(leaf.sum() for leaf in leaves.values()).backward()  # type: ignore[union-attr]
    parameters.step(3, leaves, 1.0)
    for name in NAMES:
        moved = (parameters.values[name] - parameters.tracked[name]).abs().sum(1) > 0
        assert moved.tolist() == [i == 3 for i in range(8)], name
    for k in (0, 1, 2):
        leaves = parameters.leaves(k)
        sum(leaf.sum() * (k + 1) for leaf in leaves.values()).backward()  # type: ignore[union-attr]
        parameters.step(k, leaves, 1.0)
    parameters.recentre()
    for name in NAMES:
        change = parameters.values[name] - parameters.tracked[name]
        assert change[:4].mean(0).abs().max() < 1e-5 and change[4:].abs().max() == 0


def test_corrections_come_back_smoothed_and_reach_frames_that_were_not_kept():
    track = synthetic_track(30, (64, 64))
    kept = tuple(range(0, 20, 2))
    parameters = FrameParameters(track, kept, Rates())
    parameters.visits[:] = 1
    parameters.values["jaw_rad"] += 0.01
    parameters.values["rotation_rad"][5] += 0.1  # one frame that went astray
    whole = parameters.write_back(track, kept)
    jaw = (whole.jaw_rad - track.jaw_rad)[:, 0]
    assert jaw[:19].min() > 0.007 and jaw[:19].max() < 0.0101  # kept or not
    assert jaw[26:].abs().max() < 1e-4  # nobody looked there
    assert (whole.rotation_rad - track.rotation_rad).abs().max() < 0.06
    untouched = FrameParameters(track, kept, Rates()).write_back(track, kept)
    assert torch.equal(untouched.expression, track.expression)


def test_frames_are_chosen_within_the_budget():
    opening = np.zeros(100, np.float32)
    opening[77] = 1.0
    usable = [i for i in range(100) if i != 50]
    assert choose_frames(usable, range(10, 20), opening, 200) == usable
    chosen = choose_frames(usable, range(10, 20), opening, 30)
    assert len(chosen) <= 30 and chosen == sorted(set(chosen)) and 50 not in chosen
    assert set(range(10, 20)) <= set(chosen) and 77 in chosen
    assert max(b - a for a, b in zip(chosen, chosen[1:])) < 15  # the rest lies evenly
    crowded = choose_frames(usable, range(0, 100), opening, 20)
    assert len(crowded) <= 20


def test_the_body_loop_is_calm_and_has_no_cut():
    track = synthetic_track(60, (64, 64), sway=0.0)
    wild = track.translation_m.clone()
    wild[:20] += 0.004 * torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    wild[40:] += torch.tensor([0.1, 0, 0])  # a cut
    points = track.landmarks_px.clone()
    points[40:] += 9.0
    track = dataclasses.replace(track, translation_m=wild, landmarks_px=points)
    assert [r.stop for r in unbroken_runs(track, [True] * 60)] == [40, 60]
    loop = choose_loop(track, [True] * 60, 18)
    assert len(loop) == 18 and loop.start >= 20 and (loop.stop <= 40 or loop.start >= 40)
    usable = [i != 30 for i in range(60)]
    assert all(30 not in run for run in unbroken_runs(track, usable))
    assert len(choose_loop(track, usable, 500)) == 30


def test_the_body_loop_has_no_cut_in_the_picture():
    """A jump cut that the landmarks alone do not give away."""
    size = (64, 64)
    track = synthetic_track(60, size, sway=0.3)
    walls = [np.full((64, 64, 3), 60 if i < 25 else 200, np.uint8) for i in range(60)]
    clip, _ = synthetic_clip(synthetic_avatar(16, 1, size), track.slice(0, 1))
    clip = dataclasses.replace(clip, source=dataclasses.replace(clip.source, pictures=walls))
    loop = find_loop(clip, track, [True] * 60, 30)
    assert len(loop) == 30 and loop.start >= 25


def test_images_survive_encoding():
    import cv2

    image = np.full((20, 30, 3), (200, 100, 50), np.uint8)
    back = cv2.imdecode(np.frombuffer(encode_jpeg(image, 95), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(back[..., ::-1].astype(int) - image).max() < 6
    matte = np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    assert np.array_equal(cv2.imdecode(np.frombuffer(encode_png(matte), np.uint8), cv2.IMREAD_GRAYSCALE), matte)


def test_the_mouth_rests_where_it_is_closed():
    track, head = synthetic_track(50, (256, 256)), load_head()
    opening = mouth_opening(track.landmarks_px.numpy())
    assert int(opening.argmax()) == pytest.approx(int(track.jaw_rad[:, 0].argmax()), abs=2)
    style = speaking_style(head, track, list(range(50)))
    assert float(style.rest_jaw_rad[0]) < 0.02 < float(track.jaw_rad[:, 0].max())
    assert head.arkit is not None
    weights = head.arkit.to_weights(style.rest_expression, style.rest_jaw_rad)
    upper = head.arkit.upper.clone()
    upper[49:] = False
    assert weights[upper].abs().max() < 1e-4  # brows and lids are no part of the mouth's rest


def test_fresh_copies_leave_inference_mode_behind():
    with torch.inference_mode():
        track = synthetic_track(2, (32, 32))
    copy = fresh(track)
    assert track.expression.is_inference() and not copy.expression.is_inference()
    assert torch.equal(track.expression, copy.expression) and math.isclose(float(copy.fps), 25)
