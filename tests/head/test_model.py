"""Skinning: known answers, differentiability, subsets, equality with the reference implementation on the same file."""

from __future__ import annotations

import contextlib
import io

import pytest
import torch

from ggtalker_core.errors import InvalidInputError, MissingWeightsError
from ggtalker_core.head.asset import DEFAULT_ASSET
from ggtalker_core.head.flame_files import export_flame
from ggtalker_core.head.measure import lid_gap_m, lip_gap_m, lip_gaps_m, lip_width_m
from ggtalker_core.head.model import HeadModel, load_head


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head("default")


def posed(head: HeadModel, **weights: float) -> torch.Tensor:
    args = head.rest()
    assert head.arkit is not None
    args["expression"], args["jaw_rad"] = head.arkit.expression(**weights)
    return head.vertices(**args)


def random_pose(head: HeadModel, batch: int, seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    widths = {"shape": head.n_shape, "expression": 50, "jaw_rad": 3, "neck_rad": 3, "eyes_rad": 6}
    scale = {"jaw_rad": 0.2, "neck_rad": 0.3, "eyes_rad": 0.3}
    return {k: torch.randn(batch, n, generator=g) * scale.get(k, 1.0) for k, n in widths.items()}


def test_format_and_size(head: HeadModel):
    assert DEFAULT_ASSET.stat().st_size <= 4_000_000
    assert head.template_m.shape == (4706, 3)
    assert head.faces.shape == (9276, 3)
    assert int(head.faces.min()) == 0
    assert int(head.faces.max()) == 4705
    assert head.n_shape >= 100
    assert head.expression_basis.shape == (4706, 3, 50)
    assert head.pose_basis.shape == (4706, 3, 36)
    assert torch.allclose(head.skin_weights.sum(1), torch.ones(4706), atol=1e-6)
    assert torch.allclose(head.joint_regressor.sum(1), torch.ones(5), atol=1e-4)
    assert not head.expression_basis[..., 49].any()  # the spare
    extent = (head.template_m.amax(0) - head.template_m.amin(0)).tolist()
    assert 0.14 < extent[0] < 0.2  # ear to ear
    assert 0.24 < extent[1] < 0.36  # neck stump to crown


def test_rest_is_the_template(head: HeadModel):
    assert (head.vertices(**head.rest())[0] - head.template_m).abs().max() < 1e-6


def test_axes(head: HeadModel):
    v = head.template_m
    left = v[head.regions.vertices("eyes_left")].mean(0)
    right = v[head.regions.vertices("eyes_right")].mean(0)
    assert left[0] > 0.02 > -0.02 > right[0]  # the person's left is +x
    assert v[:, 2].argmax() in head.regions.vertices("nose").nonzero()  # z to the viewer
    assert v[head.regions.vertices("scalp"), 1].max() == v[:, 1].max()  # y up
    assert 0.058 < left[0] - right[0] < 0.07  # metres: pupils of an adult


def test_lips_and_lids(head: HeadModel):
    neutral = posed(head)
    assert lip_gap_m(neutral) < 1.5e-3
    assert lip_gaps_m(neutral).max() < 1.5e-3
    opened = posed(head, jawOpen=1)
    assert head.arkit is not None
    assert abs(head.arkit.jaw_open_rad - 0.29) < 0.01
    assert 0.034 < lip_gap_m(opened) - lip_gap_m(neutral) < 0.0385
    for open_and_closed in (0.1, 0.3, 0.5, 1.0):  # mouthClose shuts the lips over an open jaw, at any opening
        closed = posed(head, jawOpen=open_and_closed, mouthClose=open_and_closed)
        assert lip_gaps_m(closed).max() < 1.5e-3
    assert lip_width_m(posed(head, mouthSmile=1)) > lip_width_m(neutral) + 5e-3
    assert lip_width_m(posed(head, mouthPucker=1)) < lip_width_m(neutral) - 5e-3
    assert (lid_gap_m(neutral) > 6e-3).all()
    blink = posed(head, eyeBlink=1)
    assert (lid_gap_m(blink) == 0).all()
    height = blink[0, :, 1]
    overlap = height[head.lid_pairs[..., 1]] - height[head.lid_pairs[..., 0]]
    assert -1e-3 < overlap.min() < overlap.max() < 1e-3  # along the whole eye, without sliding over
    assert (lid_gap_m(posed(head, eyeWide=1)) > lid_gap_m(neutral) + 2e-3).all()
    left, right = lid_gap_m(posed(head, eyeBlinkLeft=1))[0]
    assert left == 0
    assert right > 6e-3


def test_teeth_and_tongue_follow_the_jaw(head: HeadModel):
    move = (posed(head, jawOpen=1) - posed(head))[0].norm(dim=1)
    assert move[head.regions.vertices("teeth_lower")].min() > 0.01
    assert move[head.regions.vertices("teeth_upper")].max() < 1e-6
    assert move[head.regions.vertices("tongue")].mean() > 0.005
    assert move[head.regions.vertices("scalp", "eyes", "brows")].max() < 1e-3


def test_gaze_turns_the_eyeballs_only(head: HeadModel):
    args = head.rest()
    args["eyes_rad"] = torch.tensor([[0.0, 0.3, 0.0, 0.0, 0.0, 0.0]])
    moved = (head.vertices(**args)[0] - head.template_m).norm(dim=1) > 1e-6
    assert not (moved & ~head.regions.vertices("eyes_left")).any()
    front = head.template_m[:, 2].where(head.regions.vertices("eyes_left"), torch.tensor(-1.0)).argmax()
    assert head.vertices(**args)[0, front, 0] > head.template_m[front, 0] + 1e-3  # +y rotation looks to +x


def test_mirror_symmetry(head: HeadModel):
    assert head.mirror is not None and head.arkit is not None
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert (head.mirror[head.mirror] == torch.arange(4706)).all()
    assert (head.template_m[head.mirror] * flip - head.template_m).abs().max() < 1e-6
    for name in ("mouthSmile", "browOuterUp", "eyeBlink", "jaw", "mouth", "eyeLookIn"):
        a, b = posed(head, **{name + "Left": 1.0})[0], posed(head, **{name + "Right": 1.0})[0]
        assert (a[head.mirror] * flip - b).norm(dim=1).max() < 1e-4, name


def test_batch_equals_one_by_one_and_broadcasts(head: HeadModel):
    pose = random_pose(head, 5)
    together = head.vertices(**pose)
    for i in range(5):
        alone = head.vertices(**{k: v[i : i + 1] for k, v in pose.items()})
        assert (together[i] - alone[0]).abs().max() < 2e-6
    one = head.vertices(**(pose | {"shape": pose["shape"][0]}))
    assert (one[0] - together[0]).abs().max() < 2e-6
    few = head.vertices(**(pose | {"shape": pose["shape"][:, :10]}))
    full = head.vertices(**(pose | {"shape": pose["shape"] * (torch.arange(head.n_shape) < 10)}))
    assert (few - full).abs().max() < 2e-6


def test_offset_does_not_move_the_joints(head: HeadModel):
    pose = random_pose(head, 1)
    pose["jaw_rad"] = pose["neck_rad"] = torch.zeros(1, 3)
    offset = torch.full((4706, 3), 0.01)
    moved = head.vertices(**pose, offset_m=offset)[0, :100] - head.vertices(**pose)[0, :100]
    assert torch.allclose(moved, torch.full_like(moved, 0.01), atol=1e-5)


def test_gradient_matches_finite_differences(head: HeadModel):
    ids = torch.tensor([10, 474, 523, 1333, 2000, 4700])
    small = head.to("cpu", torch.float64).subset(ids)
    for seed in (0, None):  # None: at rest, where a careless axis-angle has no gradient
        pose = {k: v.double() for k, v in random_pose(head, 1, seed or 0).items()}
        if seed is None:
            pose = {k: torch.zeros_like(v) for k, v in pose.items()}
        inputs = [value.requires_grad_() for value in pose.values()]
        assert torch.autograd.gradcheck(small.vertices, inputs, eps=1e-6, atol=1e-7)  # in the order of the arguments


def test_subset_and_landmark_model(head: HeadModel):
    pose = random_pose(head, 3)
    ids = torch.tensor([523, 474, 4000, 12])
    assert (head.subset(ids).vertices(**pose) - head.vertices(**pose)[:, ids]).abs().max() < 2e-6
    model = head.landmark_model()
    assert model.head.n_vertices < 1400
    assert (model.points(**pose) - head.landmarks.points(head.vertices(**pose))).abs().max() < 2e-6
    some = torch.tensor([13, 14, 468])
    assert (head.landmark_model(some).points(**pose) - model.points(**pose)[:, some]).abs().max() < 2e-6


def test_equals_smplx_on_the_same_file(head: HeadModel, tmp_path):
    smplx = pytest.importorskip("smplx")
    export_flame(head, tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        reference = smplx.FLAME(
            str(tmp_path), ext="npz", num_betas=head.n_shape, num_expression_coeffs=50, use_face_contour=False
        )
    pose = random_pose(head, 4)
    zero = torch.zeros(4, 3)
    with torch.no_grad():
        wanted = reference(
            betas=pose["shape"], expression=pose["expression"], jaw_pose=pose["jaw_rad"], neck_pose=pose["neck_rad"],
            leye_pose=pose["eyes_rad"][:, :3], reye_pose=pose["eyes_rad"][:, 3:], global_orient=zero, transl=zero,
        ).vertices  # fmt: skip
    assert (head.vertices(**pose) - wanted).abs().max() < 1e-5


def test_errors(head: HeadModel):
    args = head.rest()
    with pytest.raises(InvalidInputError, match="expression"):
        head.vertices(**(args | {"expression": torch.zeros(1, 49)}))
    with pytest.raises(InvalidInputError, match="shape components"):
        head.vertices(**(args | {"shape": torch.zeros(1, head.n_shape + 1)}))
    with pytest.raises(MissingWeightsError, match="default"):
        load_head("nobody")


def test_load_is_cached():
    assert load_head("default") is load_head("default")


def test_lip_opening_is_signed_and_ignores_depth() -> None:
    from ggtalker_core.head.measure import lip_gap_m, lip_opening_m

    head = load_head()
    rest = head.rest(2)
    rest["jaw_rad"][1, 0] = 0.2
    closed, opened = lip_opening_m(head.vertices(**rest), head).tolist()
    assert abs(closed) < 0.002 and opened > 0.01
    moved = head.vertices(**rest).clone()
    moved[:, head.lip_pairs[5, 1], 2] += 0.004
    assert lip_opening_m(moved, head).tolist() == pytest.approx([closed, opened])
    moved[:, head.lip_pairs[5, 1], 1] += 0.05
    assert float(lip_opening_m(moved, head)[1]) < 0 < float(lip_gap_m(moved, head)[1])
