"""The fit recovers parameters that are known, from noisy landmarks."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from ggtalker_core.errors import InvalidInputError, NoFaceError
from ggtalker_core.head import load_head
from ggtalker_core.head.pose import axis_angle_to_matrix, matrix_to_axis_angle
from ggtalker_core.tracking import TrackConfig, track_clip
from ggtalker_core.tracking.face_model import face_model
from ggtalker_core.tracking.fit import Landmarks, fit_landmarks
from ggtalker_core.tracking.solver import Motion, linearise, project, solve_along_time
from ggtalker_core.tracking.start import first_motion
from ggtalker_core.tracking.unwrap import unwrapped

from .synthetic import Truth, blank_clip, moving_head

CONFIG = TrackConfig(habit=0.0, n_shape=20, keyframes=12, person_iterations=6, motion_iterations=4)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return moving_head(40, noise_iod=0.01)


def landmarks_of(truth: Truth) -> Landmarks:
    count = len(truth.jaw_rad)
    return Landmarks(
        truth.landmarks_px,
        torch.ones(count, dtype=torch.bool),
        torch.ones(count - 1, dtype=torch.bool),
        truth.size_px,
    )


def test_face_model_equals_the_head_and_its_derivatives() -> None:
    head = load_head()
    double = head.to("cpu", torch.float64)
    indices = torch.tensor([0, 13, 14, 61, 152, 263, 10, 199])
    model = face_model(head, indices, dtype=torch.float64)
    g = torch.Generator().manual_seed(1)
    shape = torch.randn(30, generator=g, dtype=torch.float64)
    expression = torch.randn(3, 50, generator=g, dtype=torch.float64)
    jaw = torch.randn(3, 3, generator=g, dtype=torch.float64) * 0.2
    jaw[0] = 0
    still = torch.zeros(3, 6, dtype=torch.float64)
    wanted = double.landmark_model(indices).points(shape[None], expression, jaw, still[:, :3], still)
    personal = model.personal(shape)
    points, rows = personal.derivatives(expression, jaw)
    assert (points - wanted).abs().max() < 1e-8
    step = 1e-6
    for k, (d_jaw, d_expression) in enumerate([(0, None), (1, None), (2, None), (None, 0), (None, 30)]):
        up, down = [expression.clone(), jaw.clone()], [expression.clone(), jaw.clone()]
        which, column = (1, d_jaw) if d_jaw is not None else (0, d_expression)
        up[which][:, column] += step
        down[which][:, column] -= step
        numeric = (personal.points(*up) - personal.points(*down)) / (2 * step)
        analytic = rows[..., column if d_jaw is not None else 3 + (column or 0)]
        assert (numeric - analytic).abs().max() < 1e-7, k
    nearby = model.personal(shape + torch.eye(30, dtype=torch.float64)[7] * step)
    numeric = (nearby.points(expression, jaw) - personal.points(expression, jaw)) / step
    assert (numeric - model.shape_derivative(jaw)[..., 7]).abs().max() < 1e-6


def test_projection_derivatives_equal_differences(truth: Truth) -> None:
    model = face_model(load_head(), torch.arange(0, 468, 30), dtype=torch.float64).personal(truth.shape.double())
    motion = Motion(
        truth.rotation[:2].double(), truth.translation_m[:2].double(), truth.jaw_rad[:2].double(),
        truth.expression[:2].double(),
    )  # fmt: skip
    _, rows, _ = linearise(model, motion, 900.0)
    for column in (0, 1, 2, 3, 5, 6, 12):
        step = torch.zeros(2, 59, dtype=torch.float64)
        step[:, column] = 1e-6
        numeric = (project(model, motion.stepped(step), 900.0) - project(model, motion.stepped(-step), 900.0)) / 2e-6
        assert (numeric - rows[..., column]).abs().max() < 1e-3


def test_elimination_along_time_equals_the_dense_solution() -> None:
    g = torch.Generator().manual_seed(0)
    count, width = 5, 4
    root = torch.randn(count, width, width, generator=g, dtype=torch.float64)
    hessian = root @ root.mT + torch.eye(width, dtype=torch.float64)
    gradient = torch.randn(count, width, generator=g, dtype=torch.float64)
    jump = torch.randn(count - 1, width, generator=g, dtype=torch.float64)
    change = torch.rand(count - 1, width, generator=g, dtype=torch.float64) * torch.tensor([[1], [1], [0], [1.0]])
    dense = torch.block_diag(*hessian)
    right = -gradient.flatten()
    for i in range(count - 1):
        for k in range(width):
            row = torch.zeros(count * width, dtype=torch.float64)
            row[i * width + k], row[(i + 1) * width + k] = -1, 1
            dense += change[i, k] * row[:, None] * row
            right -= change[i, k] * jump[i, k] * row
    wanted = torch.linalg.solve(dense, right).reshape(count, width)
    assert (solve_along_time(hessian, gradient, jump, change) - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("roll", [0.0, 1.6, 3.1])
def test_first_pose_is_near_at_any_roll(roll: float) -> None:
    truth = moving_head(6)
    spin = axis_angle_to_matrix(torch.tensor([0.0, 0.0, roll]))
    points = (truth.landmarks_px[:, :468] - torch.tensor(truth.size_px) / 2) @ spin[:2, :2].T
    model = face_model(load_head(), torch.arange(468))
    motion = first_motion(model.mean_m.sum(0), points, truth.focal_px)
    off = matrix_to_axis_angle(motion.rotation @ (spin @ truth.rotation).mT).norm(dim=1)
    assert float(off.max()) < 0.25
    assert float((motion.translation_m[:, 2] / truth.translation_m[:, 2] - 1).abs().max()) < 0.15


def test_parameters_come_back_from_noisy_landmarks(truth: Truth) -> None:
    fitted = fit_landmarks(load_head(), landmarks_of(truth), CONFIG)
    turned = matrix_to_axis_angle(fitted.motion.rotation @ truth.rotation.mT).norm(dim=1)
    assert float(turned.median()) < 0.03  # rad
    assert float((fitted.motion.jaw_rad[:, 0] - truth.jaw_rad[:, 0]).abs().mean()) < 0.02
    gap = (fitted.flat_px[:, 13] - fitted.flat_px[:, 14]).norm(dim=-1)
    assert float(torch.corrcoef(torch.stack([gap, truth.lip_gap_px]))[0, 1]) > 0.99
    assert float((gap - truth.lip_gap_px).abs().mean()) < 0.01 * truth.iod_px  # the noise of a gap is 0.014
    head = load_head()
    still = torch.zeros(len(truth.jaw_rad), 3)
    ours = head.vertices(
        fitted.person.shape[None], fitted.motion.expression, fitted.motion.jaw_rad, still, truth.eyes_rad
    )
    theirs = head.vertices(truth.shape[None], truth.expression, truth.jaw_rad, still, truth.eyes_rad)
    face = head.regions.vertices("face", "lips", "nose")
    distance = (ours - theirs)[:, face]
    distance = (distance - distance.mean(1, keepdim=True)).norm(dim=-1)
    assert float(distance.mean()) < 0.003  # metres, on the face; the noise is 0.9 mm per landmark
    eyes = (fitted.eyes_rad - truth.eyes_rad)[:, [0, 1, 3, 4]]
    assert float((eyes - eyes.mean(0)).abs().mean()) < 0.06


def test_left_out_landmarks_are_predicted(truth: Truth) -> None:
    fitted = fit_landmarks(load_head(), landmarks_of(truth), CONFIG, used=torch.arange(0, 468, 2))
    error = fitted.error_px / truth.iod_px
    assert float(error[:, 1::2].median()) < 0.014  # the noise alone has a median of 0.0118
    assert float(fitted.person.bias_m[1::2].abs().max()) == 0


def test_noise_of_the_pose_is_smoothed_but_not_the_jaw(truth: Truth) -> None:
    def jitter(x: torch.Tensor) -> float:
        return float((x[2:] - 2 * x[1:-1] + x[:-2]).square().mean().sqrt())

    loose = dataclasses.replace(CONFIG, turn_change=0.0, move_change=0.0, steady=0.0)
    smooth, rough = (fit_landmarks(load_head(), landmarks_of(truth), c).motion for c in (CONFIG, loose))
    assert jitter(smooth.translation_m) < 0.8 * jitter(rough.translation_m)
    assert jitter(smooth.jaw_rad[:, 0]) > 0.8 * jitter(truth.jaw_rad[:, 0])


def test_lost_frames_are_interpolated_and_flagged(truth: Truth) -> None:
    points = truth.landmarks_px.clone()
    points[15:20] = 0
    points[0] = float("nan")
    track = track_clip(blank_clip(truth), CONFIG, landmarks=points)
    lost = ~track.valid
    assert lost.nonzero()[:, 0].tolist() == [0, 15, 16, 17, 18, 19]
    assert "15-19" in track.report and "interpolated" in track.report
    assert bool(track.landmarks_px.isfinite().all())
    middle = track.landmarks_px[17]
    assert torch.allclose(middle, (track.landmarks_px[14] * 0.5 + track.landmarks_px[20] * 0.5), atol=0.5)
    low = torch.minimum(track.translation_m[14], track.translation_m[20]) - 2e-3
    high = torch.maximum(track.translation_m[14], track.translation_m[20]) + 2e-3
    assert bool(((track.translation_m[15:20] >= low) & (track.translation_m[15:20] <= high)).all())
    assert float(track.error_px[17]) == 0


def test_frames_that_no_head_explains_are_dropped(truth: Truth) -> None:
    points = truth.landmarks_px.clone()
    g = torch.Generator().manual_seed(3)
    points[10:13] = points[10:13, torch.randperm(478, generator=g)]
    track = track_clip(blank_clip(truth), CONFIG, landmarks=points)
    assert (~track.valid).nonzero()[:, 0].tolist() == [10, 11, 12]
    assert "no head explains" in track.report


def test_too_few_faces_name_frames_and_remedy(truth: Truth) -> None:
    points = truth.landmarks_px.clone()
    points[12:] = 0
    with pytest.raises(NoFaceError, match=r"12 of 40 frames.*12-39.*Trim"):
        track_clip(blank_clip(truth), CONFIG, landmarks=points)
    with pytest.raises(NoFaceError, match="no face"):
        track_clip(blank_clip(truth), CONFIG, landmarks=points * 0)


def test_wrong_landmarks_are_refused(truth: Truth) -> None:
    with pytest.raises(InvalidInputError, match="478"):
        track_clip(blank_clip(truth), CONFIG, landmarks=truth.landmarks_px[:, :468])
    with pytest.raises(InvalidInputError, match="40 frames"):
        track_clip(blank_clip(truth), CONFIG, landmarks=truth.landmarks_px[:-1])


def test_progress_is_told_and_may_cancel(truth: Truth) -> None:
    heard: list[float] = []

    def listen(done: int, total: int, message: str = "", preview: object = None) -> None:
        heard.append(done / total)
        if len(heard) > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        track_clip(blank_clip(truth), CONFIG, landmarks=truth.landmarks_px, progress=listen)
    assert heard == sorted(heard) and heard[-1] <= 1


def test_rotations_are_written_without_jumps() -> None:
    nod = torch.linspace(-0.5, 0.5, 41)  # through the frontal pose, where the axis would flip
    turn = torch.stack([nod, 0.2 * nod, 0 * nod + 0.05], 1)
    matrices = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ axis_angle_to_matrix(turn)
    jumping = matrix_to_axis_angle(matrices)
    assert float((jumping[1:] - jumping[:-1]).norm(dim=1).max()) > 3
    smooth = unwrapped(jumping)
    assert float((smooth[1:] - smooth[:-1]).norm(dim=1).max()) < 0.1
    assert float((axis_angle_to_matrix(smooth) - matrices).abs().max()) < 1e-5
    assert float((smooth - torch.tensor([math.pi, 0, 0])).norm(dim=1).max()) < 0.8


@pytest.mark.parametrize("count", [1, 2])
def test_very_short_clips(count: int) -> None:
    truth = moving_head(count)
    track = track_clip(blank_clip(truth), CONFIG, landmarks=truth.landmarks_px)
    assert track.count == count and float(track.error_px.max()) < 0.02 * truth.iod_px
