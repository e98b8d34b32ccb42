"""The face mesh's habit of overstating yaw is taken back, and only that."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ggtalker_core.errors import MissingWeightsError
from ggtalker_core.head import load_head
from ggtalker_core.head.pose import axis_angle_to_matrix, matrix_to_axis_angle
from ggtalker_core.tracking import TrackConfig, habit
from ggtalker_core.tracking.fit import Landmarks, fit_landmarks
from ggtalker_core.tracking.habit import habit_by_yaw, mended
from ggtalker_core.tracking.start import first_motion
from ggtalker_core.tracking.views import mirror_order

FOCAL, SIZE = 900.0, (640, 480)


def seen(yaw: torch.Tensor, roll: float = 0.0) -> torch.Tensor:
    """Landmarks [T, 478, 2] from the principal point, of the mean head."""
    turn = axis_angle_to_matrix(torch.stack([0 * yaw, yaw, 0 * yaw], 1))
    rolled = axis_angle_to_matrix(torch.tensor([[0.0, 0.0, roll]]))
    head = load_head()
    points = head.landmarks.points(head.template_m[None])[0] @ (rolled @ turn).mT
    points = points * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 0.0, 0.9])
    return FOCAL * points[..., :2] / points[..., 2:]


def overstated(yaw: torch.Tensor, roll: float = 0.0) -> torch.Tensor:
    """The same as the mesh with its habit would give them."""
    head = load_head()
    template = head.landmarks.points(head.template_m[None])[0]
    unit = FOCAL / 0.9 * (template[33] - template[263]).norm()
    turn = torch.tensor([[roll, 0.0]]).T  # y down: a roll of the head to its left turns the picture the other way
    c, s = turn[0].cos(), turn[0].sin()
    rotation = torch.stack([torch.cat([c, s]), torch.cat([-s, c])])
    return seen(yaw, roll) + unit * yaw[:, None, None] * habit_by_yaw() @ rotation.T


def yaw_found(points: torch.Tensor) -> torch.Tensor:
    head = load_head()
    template = head.landmarks.points(head.template_m[None])[0, :468]
    motion = first_motion(template, points[:, :468], FOCAL)
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ motion.rotation
    return torch.atan2(-upright[:, 2, 0], upright[:, 2, 2])


def test_the_habit_is_antisymmetric_and_turns_heads_further() -> None:
    other = habit_by_yaw()[torch.from_numpy(mirror_order())] * torch.tensor([-1.0, 1.0])
    assert torch.allclose(other, -habit_by_yaw(), atol=1e-5)
    yaw = torch.tensor([-0.3, -0.1, 0.1, 0.3])
    gain = yaw_found(overstated(yaw)) / yaw_found(seen(yaw))
    assert bool(((gain > 1.03) & (gain < 1.2)).all()), gain


@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_it_is_taken_back(roll: float) -> None:
    yaw = torch.tensor([-0.5, -0.2, 0.0, 0.2, 0.5])
    true, off = seen(yaw, roll), overstated(yaw, roll)
    valid = torch.tensor([True, True, True, True, False])
    found = mended(load_head(), off, valid)
    before = (off - true)[:4].norm(dim=-1).mean(1)
    after = (found - true)[:4].norm(dim=-1).mean(1)
    assert float(after.max()) < 0.35 * float(before.max())
    assert torch.equal(found[4], off[4]), "a frame without a face is left alone"
    assert mended(load_head(), off, valid, 0.0) is off


def test_a_fit_of_what_the_mesh_overstates_finds_the_true_yaw() -> None:
    yaw = torch.linspace(-0.4, 0.4, 24)
    points = overstated(yaw) + torch.tensor(SIZE) / 2
    landmarks = Landmarks(points, torch.ones(24, dtype=torch.bool), torch.ones(23, dtype=torch.bool), SIZE)
    config = dataclasses.replace(TrackConfig.tiny(), person_iterations=6, motion_iterations=5)
    errors = []
    for strength in (0.0, 1.0):
        fitted = fit_landmarks(load_head(), landmarks, dataclasses.replace(config, habit=strength))
        upright = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ fitted.motion.rotation
        errors.append(float((matrix_to_axis_angle(upright)[:, 1] - yaw).abs().mean()))
    assert errors[1] < 0.5 * errors[0], errors


def test_a_missing_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(habit, "ASSET", tmp_path / "none.safetensors")
    habit_by_yaw.cache_clear()
    with pytest.raises(MissingWeightsError, match="Reinstall"):
        habit_by_yaw()
    habit_by_yaw.cache_clear()
