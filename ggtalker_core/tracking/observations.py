"""What a fit is given: the landmarks of a clip, how much each counts, and what is known beforehand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .config import TrackConfig
from .habit import mended
from .mesh_pose import MeshPose
from .row_store import blocks, stay
from .solver import EXPRESSION, JAW, N_UNKNOWNS, ROTATION, TRANSLATION, Observed, Priors
from .topology import (
    LID_PAIRS_LEFT,
    LID_PAIRS_RIGHT,
    LIDS,
    LIP_PAIRS,
    LIPS,
    N_MESH,
    OUTER_EYE_LEFT,
    OUTER_EYE_RIGHT,
    OVAL,
)
from .touch import closeness

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel

_BRIDGE = 50.0  # times the usual smoothness, where a frame without a face is bridged


@dataclass(frozen=True)
class Landmarks:
    """What is fitted: 478 points per frame, and which frames count and belong together."""

    points_px: Tensor  # [T, 478, 2] in the frame
    valid: Tensor  # [T] bool
    joined: Tensor  # [T - 1] bool: no cut between i and i + 1
    size_px: tuple[int, int]
    let_go: Callable[[], None] = stay  # gives back the memory of points read so far, where they lie in a file
    mesh_rotation: Tensor | None = None  # [T, 3, 3] what the mesh's depth says of the rotation; none for given points

    @property
    def centred_px(self) -> Tensor:
        """Points from the principal point, which is taken to be the middle of the frame."""
        return self.points_px - self.points_px.new_tensor(self.size_px) / 2

    def iod_px(self) -> float:
        """Median distance of the outer eye corners: 100 % of every error."""
        eyes = self.points_px.new_zeros(len(self.valid), 2, 2)
        for start, stop in blocks(len(eyes)):
            eyes[start:stop] = self.points_px[start:stop, [OUTER_EYE_RIGHT, OUTER_EYE_LEFT]]
            self.let_go()
        return float((eyes[:, 0] - eyes[:, 1])[self.valid].norm(dim=-1).median())

    def part(self, start: int, stop: int) -> Landmarks:
        """The frames start..stop."""
        joined = self.joined[start : max(stop - 1, start)]
        turned = None if self.mesh_rotation is None else self.mesh_rotation[start:stop]
        return Landmarks(self.points_px[start:stop], self.valid[start:stop], joined, self.size_px, stay, turned)

    def some(self, indices: Tensor) -> Landmarks:
        """Single frames, which do not belong together."""
        import torch

        apart = torch.zeros(max(len(indices) - 1, 0), dtype=torch.bool)
        turned = None if self.mesh_rotation is None else self.mesh_rotation[indices]
        return Landmarks(self.points_px[indices], self.valid[indices], apart, self.size_px, stay, turned)


def without_habit(head: HeadModel, landmarks: Landmarks, config: TrackConfig) -> Landmarks:
    """The landmarks without the habit of the mesh that found them."""
    if config.habit == 0:
        return landmarks
    points = mended(head, landmarks.centred_px, landmarks.valid, config.habit)
    return dataclasses.replace(landmarks, points_px=points + points.new_tensor(landmarks.size_px) / 2)


def observed_in(landmarks: Landmarks, used: Tensor, config: TrackConfig) -> Observed:
    """Weights and units of the landmarks `used`."""
    import torch

    points = landmarks.centred_px[:, :N_MESH]
    weights = torch.ones(N_MESH, device=points.device)
    for names, weight in ((OVAL, config.outline_weight), (LIPS, config.lip_weight), (LIDS, config.lid_weight)):
        weights[list(names)] = weight
    place = {int(k): i for i, k in enumerate(used.tolist())}
    lips = [(place[a], place[b]) for a, b in LIP_PAIRS if a in place and b in place]
    lids = [(place[a], place[b]) for a, b in LID_PAIRS_LEFT + LID_PAIRS_RIGHT if a in place and b in place]
    pair_weights = torch.tensor([config.lip_pair_weight] * len(lips) + [config.lid_pair_weight] * len(lids))
    seen = landmarks.valid.to(points)[:, None]
    # A turned head shows its eyes nearer together, but is not smaller: the extent of all points gives the scale.
    extent = (points - points.mean(1, keepdim=True)).norm(dim=-1).mean(1).clamp(min=1e-3)
    eyes = (points[:, OUTER_EYE_LEFT] - points[:, OUTER_EYE_RIGHT]).norm(dim=-1)
    ratio = (eyes / extent)[landmarks.valid].quantile(0.8)
    unit = torch.where(landmarks.valid, extent * ratio / 100, torch.ones_like(extent))
    points = points[:, used]
    pairs = torch.tensor(lips + lids, dtype=torch.int64, device=points.device).reshape(-1, 2)
    gap = (points[:, pairs[:, 0]] - points[:, pairs[:, 1]]).norm(dim=-1) / unit[:, None]
    touch = pair_weights.new_zeros(len(pairs))
    touch[: len(lips)] = config.touch_weight
    return Observed(
        points_px=points,
        weights=weights[used] * seen,
        unit_px=unit,
        pairs=pairs,
        pair_weights=pair_weights.to(points) * seen,
        touch_weights=touch.to(points) * closeness(gap, config.touch_width) * seen,
    )


def mesh_pose_of(landmarks: Landmarks, offset_rad: Tensor | None, config: TrackConfig) -> MeshPose | None:
    """What the mesh's depth says of the rotations of a person whose offset [3] is known; None where it is not asked."""
    if landmarks.mesh_rotation is None or offset_rad is None or config.mesh_turn == 0:
        return None
    return MeshPose(landmarks.mesh_rotation, config.mesh_turn * landmarks.valid.float(), offset_rad)


def priors_of(config: TrackConfig) -> Priors:
    """What is known of jaw and expression in any frame."""
    import torch

    rest = torch.zeros(N_UNKNOWNS)
    rest[JAW] = torch.tensor([config.jaw_prior, config.jaw_side_prior, config.jaw_side_prior])
    rest[EXPRESSION] = config.expression_prior
    return Priors(rest, config.jaw_closed_prior, config.robust)


def changes_of(landmarks: Landmarks, config: TrackConfig) -> Tensor:
    """Temporal prior [T - 1, 59]: none across cuts between good frames, strong and on everything across lost frames."""
    import torch

    usual = torch.zeros(N_UNKNOWNS)
    usual[ROTATION], usual[TRANSLATION] = config.turn_change, config.move_change
    usual[EXPRESSION] = config.expression_change
    bridge = usual.clone()
    bridge[JAW] = config.turn_change / 10
    bridge[EXPRESSION] = max(config.expression_change, 1.0) * _BRIDGE
    both = landmarks.valid[1:] & landmarks.valid[:-1]
    change = torch.where(both[:, None], usual, bridge)
    return change * still_joined(landmarks)[:, None]


def gaze_changes_of(landmarks: Landmarks, config: TrackConfig) -> Tensor:
    """Temporal prior of the eyes [T - 1]."""
    return config.gaze_change * still_joined(landmarks).float()


def still_joined(landmarks: Landmarks) -> Tensor:
    """Neighbours that belong together, [T - 1]."""
    both = landmarks.valid[1:] & landmarks.valid[:-1]
    return landmarks.joined | ~both


@dataclass(frozen=True)
class ObservedLater:
    """What was seen in a long clip, worked out for the frames that are asked for and not kept."""

    head: HeadModel
    landmarks: Landmarks  # as they were found
    config: TrackConfig
    mesh_turn_rad: Tensor | None = None  # [3] of the person

    def part(self, start: int, stop: int) -> Observed:
        """The frames start..stop."""
        return self._observed(self.landmarks.part(start, stop))

    def take(self, indices: Tensor) -> Observed:
        """Some frames."""
        return self._observed(self.landmarks.some(indices))

    def _observed(self, some: Landmarks) -> Observed:
        import torch

        found = observed_in(without_habit(self.head, some, self.config), torch.arange(N_MESH), self.config)
        self.landmarks.let_go()
        return dataclasses.replace(found, mesh=mesh_pose_of(some, self.mesh_turn_rad, self.config))
