"""Expression, jaw, gaze and pose of every kept frame, each with its own Adam state; only the visited frame moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..gaussians.drive import HeadPose
from .config import Rates

if TYPE_CHECKING:
    from ..types import Track

NAMES = ("expression", "jaw_rad", "eyes_rad", "rotation_rad", "translation_m")
_BETA1, _BETA2 = 0.8, 0.95
_SIGMA_FRAMES = 1.5  # smoothing of the corrections over time
_TRUST = 0.3  # far from every visited frame a correction fades


@dataclass(frozen=True)
class _Moments:
    first: Tensor
    second: Tensor


class FrameParameters:
    """The tracked parameters of K frames and what the fit makes of them."""

    def __init__(self, track: Track, frames: tuple[int, ...], rates: Rates):
        """Start from the tracked values of `frames`."""
        index = torch.tensor(frames, dtype=torch.long)
        self.tracked = {name: getattr(track, name)[index].clone() for name in NAMES}
        self.values = {name: value.clone() for name, value in self.tracked.items()}
        self.neck_rad = track.neck_rad[index].clone()
        self.visits = torch.zeros(len(frames), dtype=torch.long)
        self._moments = {n: _Moments(torch.zeros_like(v), torch.zeros_like(v)) for n, v in self.values.items()}
        self._rates = {
            "expression": rates.expression, "jaw_rad": rates.jaw, "eyes_rad": rates.eyes,
            "rotation_rad": rates.rotation, "translation_m": rates.translation,
        }  # fmt: skip

    def leaves(self, k: int) -> dict[str, Tensor]:
        """Copies of frame k's parameters [1, .] that collect gradients."""
        return {name: value[k : k + 1].clone().requires_grad_(True) for name, value in self.values.items()}

    def pose(self, k: int, leaves: dict[str, Tensor] | None = None) -> HeadPose:
        """The head's pose in frame k, from `leaves` where given."""
        values = leaves or {name: value[k : k + 1] for name, value in self.values.items()}
        return HeadPose(
            values["expression"], values["jaw_rad"], self.neck_rad[k : k + 1], values["eyes_rad"],
            values["rotation_rad"], values["translation_m"],
        )  # fmt: skip

    def step(self, k: int, leaves: dict[str, Tensor], rate: float) -> None:
        """One Adam step of frame k with the gradients of its leaves."""
        self.visits[k] += 1
        n = int(self.visits[k])
        for name, leaf in leaves.items():
            if leaf.grad is None:
                continue
            gradient, moments = leaf.grad[0], self._moments[name]
            first = moments.first[k].mul_(_BETA1).add_(gradient, alpha=1 - _BETA1)
            second = moments.second[k].mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            unbiased = (second / (1 - _BETA2**n)).sqrt() + 1e-12
            self.values[name][k] -= rate * self._rates[name] * (first / (1 - _BETA1**n)) / unbiased

    def recentre(self) -> None:
        """Take the mean change over the visited frames out again: what all frames share belongs to the map.

        Without this the map and the tracker drift apart, and frames that were only tracked (other clips, speech)
        no longer fit the map.
        """
        visited = self.visits > 0
        if not bool(visited.any()):
            return
        for name, value in self.values.items():
            value[visited] -= (value - self.tracked[name])[visited].mean(0)

    def write_back(self, track: Track, frames: tuple[int, ...]) -> Track:
        """The track with what the fit found, smoothed over time, so that the head does not tremble.

        Only the corrections are smoothed, not the motion; frames that were not kept take those of their neighbours.
        """
        index = torch.tensor(frames, dtype=torch.long)
        near = _bell(track.count, index[self.visits > 0])  # [T, visited]
        total = near.sum(1, keepdim=True)
        share = near / total.clamp_min(1e-6) * (total / (total + _TRUST))
        changes: dict[str, Tensor] = {}
        for name in NAMES:
            correction = (self.values[name] - self.tracked[name])[self.visits > 0]
            changes[name] = getattr(track, name) + share @ correction
        return replace(track, **changes)


def _bell(count: int, centres: Tensor) -> Tensor:
    """Weights of the kept frames for every frame, [T, K]: a Gaussian over time that ends after three sigmas."""
    distance = (torch.arange(count)[:, None] - centres[None]).float() / _SIGMA_FRAMES
    return torch.exp(-0.5 * distance.square()) * (distance.abs() < 3)
