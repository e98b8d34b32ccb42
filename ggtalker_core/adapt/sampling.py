"""Which frames the fit visits how often: mouth shapes and poses that are seldom seen weigh more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..head.pose import axis_angle_to_matrix
from .frames import LIPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..types import Track

_EYE_CORNERS = (33, 263)
_NEIGHBOURS = 0.05  # of all frames: the distance to the last of these tells how rare a frame is
_LEAST, _MOST = 0.5, 2.0  # visits of a frame for one of the mean frame


def frame_weights(track: Track, frames: tuple[int, ...], power: float) -> NDArray[np.float64]:
    """How often each of the frames is to be visited, mean 1, [K]; `power` 0 makes all alike.

    A frame is rare when its nearest neighbours lie far away, in the shape of the mouth or in the pose of the head.
    """
    count = len(frames)
    if power <= 0 or count < 8:
        return np.ones(count)
    index = torch.tensor(frames)
    rare = (_sparseness(_mouths(track.landmarks_px[index])) * _sparseness(_poses(track, index))) ** power
    weights = np.clip(rare / rare.mean(), _LEAST, _MOST)
    return weights / weights.mean()


def visiting_order(weights: NDArray[np.float64], random: np.random.Generator) -> list[int]:
    """About K visits in random order; frame k comes floor or ceil of weights[k] times (systematic sampling)."""
    edges = np.concatenate([[0.0], np.cumsum(weights)])
    visits = np.diff(np.floor(edges + random.random()).astype(int))
    order = np.repeat(np.arange(len(weights)), visits)
    return [int(k) for k in random.permutation(order)]


def _mouths(landmarks_px: Tensor) -> NDArray[np.float64]:
    """The lips [K, 40 x 2], in widths of the face's eyes, without place and turn in the picture."""
    lips, eyes = landmarks_px[:, list(LIPS)].double(), landmarks_px[:, list(_EYE_CORNERS)].double()
    across = eyes[:, 1] - eyes[:, 0]
    length = across.norm(dim=1).clamp_min(1e-3)
    along = across / length[:, None]
    down = torch.stack([-along[:, 1], along[:, 0]], 1)
    centred = lips - lips.mean(1, keepdim=True)
    shape = torch.stack([(centred * along[:, None]).sum(-1), (centred * down[:, None]).sum(-1)], -1)
    return (shape / length[:, None, None]).flatten(1).numpy()


def _poses(track: Track, index: Tensor) -> NDArray[np.float64]:
    """The head's turn as matrices, [K, 9]."""
    return axis_angle_to_matrix(track.rotation_rad[index]).flatten(1).double().numpy()


def _sparseness(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the n-th neighbour over its median, [K]; rows in blocks, so that memory stays small."""
    count = len(points)
    near = max(2, round(_NEIGHBOURS * count))
    squares = (points**2).sum(1)
    out = np.empty(count)
    for start in range(0, count, 512):
        rows = slice(start, start + 512)
        apart = squares[rows, None] + squares[None] - 2 * points[rows] @ points.T
        out[rows] = np.sqrt(np.maximum(np.partition(apart, near, axis=1)[:, near], 0))
    return (out + 1e-9) / (np.median(out) + 1e-9)
