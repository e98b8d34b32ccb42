"""Hair that does not turn with the skull: how its outline moves when the head turns or comes nearer, from the matte.

Long hair hangs from the head and lies on the shoulders. For every loose vertex that frames show in profile the distance
to the edge of the matte is regressed on the head's pose; what holds for frames that were left out is kept as a basis of
offsets, one for each of six numbers of the pose. Hair that moves with the head gets none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..gaussians.sway import pose_features
from ..types import HairSway
from .hair import loose_vertices, observed, spread_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import Track
    from .frames import FrameStore

MAX_FRAMES = 160
# Only vertices on the outline itself: beside it a ray along the normal ends the later the more the head turns.
_SIDEWAYS = 0.1
_MIN_SEEN = 12
_TURN_RAD, _MOVE_M = 0.03, 0.008  # one unit of a pose number is at least this much
_RIDGE = 8.0  # frames' worth of doubt
_FOLDS = 4
_LEAST_GAIN = 0.1  # of the variance in frames left out
_MOST_M = 0.02  # for one unit


def hair_sway(head: HeadModel, track: Track, store: FrameStore) -> HairSway | None:
    """The basis, or None where the hair's outline moves with the head."""
    loose, normals, skin, sighted = loose_vertices(head, track)
    seen = observed(head, track, store, sighted, skin, MAX_FRAMES, sideways=_SIDEWAYS)
    frames = torch.tensor([store.indices[k] for k in range(store.count)])
    rest = _at_rest(head, track.rotation_rad[frames], track.translation_m[frames])
    features = pose_features(rest, track.rotation_rad[frames], track.translation_m[frames]).double().numpy()  # [K, 6]
    many = np.array([len(values) >= _MIN_SEEN for values in seen]) & sighted
    slopes = np.zeros((len(loose), features.shape[1]))
    scalp = head.regions.vertices("scalp").numpy()
    for part in (many & scalp, many & ~scalp):  # what lies on the skull, what hangs below
        shrink = _trusted(seen, part, features, store.count)
        for v in np.flatnonzero(part) if shrink > 0 else ():
            k, length = np.array([i for i, _ in seen[v]]), np.array([x for _, x in seen[v]])
            slopes[v] = shrink * _ridge(features[k], length)
    if not slopes.any():
        return None
    basis = np.stack([spread_lengths(slopes[:, j], many, loose, skin.numpy(), head) for j in range(slopes.shape[1])])
    basis = np.clip(basis, -_MOST_M, _MOST_M).astype(np.float32)  # [6, V]
    return replace(rest, basis_m=normals[None] * torch.from_numpy(basis)[..., None])


def _at_rest(head: HeadModel, rotation_rad: Tensor, translation_m: Tensor) -> HairSway:
    """No motion about the mean pose of the frames, in units of how much they vary."""
    one = torch.ones(6)
    mean = HairSway(torch.zeros(6, head.n_vertices, 3), rotation_rad.mean(0), translation_m.mean(0), one)
    spread = pose_features(mean, rotation_rad, translation_m, limited=False).std(0)
    least = torch.tensor([_TURN_RAD] * 3 + [_MOVE_M] * 3)
    return replace(mean, scale=torch.maximum(spread, least))


def _ridge(q: NDArray[np.float64], length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slopes [6] of the lengths [n] over the features [n, 6]; the level is free."""
    centred, value = q - q.mean(0), length - length.mean()
    return np.linalg.solve(centred.T @ centred + _RIDGE * np.eye(q.shape[1]), centred.T @ value)


def _trusted(
    seen: list[list[tuple[int, float]]], many: NDArray[np.bool_], features: NDArray[np.float64], count: int
) -> float:
    """The share of the slopes that serves frames left out best, 0..1."""
    shares = np.array([0.0, 0.4, 0.7, 1.0])
    left = np.zeros(len(shares))
    for v in np.flatnonzero(many):
        k, length = np.array([i for i, _ in seen[v]]), np.array([x for _, x in seen[v]])
        fold = k * _FOLDS // count
        for f in range(_FOLDS):
            out = fold == f
            if not out.any() or (~out).sum() < _MIN_SEEN // 2:
                continue
            slope = _ridge(features[k[~out]], length[~out])
            level = length[~out].mean()
            told = (features[k[out]] - features[k[~out]].mean(0)) @ slope
            error = length[out, None] - level - told[:, None] * shares
            # A common level of the stretch is not held against it: the outline is where it is.
            left += np.abs(error).sum(0)
    best = int(np.argmin(left))
    return float(shares[best]) if left[0] > 0 and 1 - left[best] / left[0] > _LEAST_GAIN else 0.0
