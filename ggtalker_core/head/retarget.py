"""Expressions between heads by what they mean: the 52 ARKit shapes of the default head, found again in another head.

A FLAME file says nothing about what its expression coefficients mean. So every ARKit shape of the default head is laid
onto the other surface (transfer.py knows where each place lies there) and made again from the other head's own
expressions by least squares, and from its jaw. What a head cannot make (FLAME has no tongue and hardly a blink) stays
small instead of being forced.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

from ..errors import IncompatibleFileError
from .arkit import ArkitMap
from .model import HeadModel, load_head

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..types import MotionTrack, Track

    Moving = TypeVar("Moving", MotionTrack, Track)

_SKIN = ("face", "lips", "lids", "brows", "nose")
_LIPS_AND_LIDS = 4.0  # times the weight of the rest, which they are a small part of
_RIDGE = 1e-3  # of the mean stiffness: how much a coefficient costs
_FAINT = 1e-3  # of the usual strength: a shape that the head makes more weakly than this counts as not there


def with_arkit(head: HeadModel) -> HeadModel:
    """`head` with a map between its expressions and the ARKit shapes, made from those of the default head.

    Raises IncompatibleFileError where nothing is known of how the default head lies on it.
    """
    import torch

    if head.fitted_default_m is None:
        raise IncompatibleFileError(f"Nothing is known of how the default head lies on '{head.name}': load it anew.")
    ours = load_head("default")
    meaning = ours.arkit
    if meaning is None:
        raise IncompatibleFileError("The default head has no ARKit shapes; reinstall the pack.")
    chosen = head.regions.vertices(*_SKIN).nonzero()[:, 0]
    strong = head.regions.vertices("lips", "lids")[chosen]
    weights = torch.where(strong, _LIPS_AND_LIDS, 1.0)[:, None].sqrt()  # [K, 1]
    carry = _Carried(ours, head, chosen)
    count = len(meaning.names) - 3
    moved = [carry(*meaning.from_weights(torch.eye(len(meaning.names))[k : k + 1])) for k in range(count + 2)]
    basis = (head.expression_basis[chosen] * weights[..., None]).flatten(0, 1).double()  # [3 K, 50]
    goal = (torch.stack(moved[:count], -1) * weights[..., None]).flatten(0, 1).double()  # [3 K, 49]
    normal = basis.T @ basis
    ridge = _RIDGE * normal.diagonal().mean() * torch.eye(len(normal), dtype=normal.dtype)
    to_psi = torch.linalg.solve(normal + ridge, basis.T @ goal)  # [50, 49]
    jaw = [_jaw_angle(head, chosen, moved[count + k], axis, meaning) for k, axis in ((0, 0), (1, 1))]
    arkit = ArkitMap(meaning.names, _inverse(to_psi).float(), to_psi.float(), jaw[0], jaw[1])
    return dataclasses.replace(head, arkit=arkit)


class _Carried:
    """Moves the places of another head as the default head moves there."""

    def __init__(self, ours: HeadModel, head: HeadModel, chosen: Tensor):
        import torch

        from .transfer import nearest_like, parts, similarity

        assert head.fitted_default_m is not None
        fitted: NDArray[np.float64] = head.fitted_default_m.double().numpy()
        scale, turn, _ = similarity(ours.template_m.double().numpy(), fitted)
        self._turn = torch.from_numpy(scale * turn).float()
        points = head.template_m[chosen].double().numpy()
        corners, weights = nearest_like(
            points, parts(head.skin_weights[chosen]), fitted, ours.faces.numpy(),
            parts(ours.skin_weights[ours.faces].mean(1)),
        )  # fmt: skip
        self._corners, self._weights = torch.from_numpy(corners), torch.from_numpy(weights).float()
        self._ours, self._rest = ours, ours.rest()

    def __call__(self, expression: Tensor, jaw_rad: Tensor) -> Tensor:
        """Displacement [K, 3] in the other head's axes."""
        posed = self._ours.vertices(**{**self._rest, "expression": expression, "jaw_rad": jaw_rad})[0]
        step = (posed - self._ours.template_m)[self._corners]  # [K, 3, 3]
        return (step * self._weights[..., None]).sum(1) @ self._turn.T


def _jaw_angle(head: HeadModel, chosen: Tensor, goal: Tensor, axis: int, meaning: ArkitMap) -> float:
    """The turn of this head's jaw about x (0) or y (1) that comes nearest to the displacement `goal` [K, 3]."""
    usual = (meaning.jaw_open_rad, meaning.jaw_side_rad)[axis]
    rest, angle = head.rest(), usual
    for _ in range(3):
        turned = {**rest, "jaw_rad": rest["jaw_rad"].clone()}
        turned["jaw_rad"][0, axis] = angle
        step = (head.vertices(**turned)[0] - head.template_m)[chosen]
        angle *= float((step * goal).sum() / step.square().sum().clamp(min=1e-12))
        angle = min(max(angle, 0.3 * usual), 3 * usual)
    return angle


def _inverse(to_psi: Tensor) -> Tensor:
    """ARKit weights from coefficients, [49, 50]: least squares, faint shapes held near zero."""
    import torch

    normal = to_psi.T @ to_psi
    faint = _FAINT * normal.diagonal().median()
    return torch.linalg.solve(normal + faint * torch.eye(len(normal), dtype=normal.dtype), to_psi.T)


def for_head(moving: Moving, source: str, target: str) -> Moving:
    """A motion or a track of the head `source` with the same faces on the head `target`; the pose stays.

    A track's shape, offsets and skin colours stay those of its own head: only what moves is carried over.
    """
    if source == target:
        return moving
    maps = [load_head(name).arkit for name in (source, target)]
    if maps[0] is None or maps[1] is None:
        name = source if maps[0] is None else target
        raise IncompatibleFileError(f"Head '{name}' has no ARKit map: its expressions cannot be carried over.")
    expression, jaw_rad = maps[1].from_weights(maps[0].to_weights(moving.expression, moving.jaw_rad))
    named = {"head_model": target} if hasattr(moving, "head_model") else {}
    return dataclasses.replace(moving, expression=expression, jaw_rad=jaw_rad, **named)
