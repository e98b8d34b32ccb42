"""Steadier head poses: second differences in time are held down, each direction as weakly as the data know it well.

The depth of a head in a single picture is known ten times worse than its place, so depth trembles most and is steadied
most. Sudden true motion is spared, because large second differences count less. Jaw and expression are not touched.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..head.pose import axis_angle_to_matrix, matrix_to_axis_angle
from .solver import JAW, ROTATION, TRANSLATION, Motion, quiet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_ROUNDS = 4
_POSE = slice(ROTATION.start, TRANSLATION.stop)
_FACE = slice(JAW.start, None)
# Second differences beyond which a head is truly moving: radians and metres per frame squared.
_TURNS, _MOVES = 0.004, 0.0010
_HOLD_TURN, _HOLD_MOVE = 1e7, 3e7  # weights of a second difference, per radian squared and per metre squared


def pose_stiffness(hessian: Tensor) -> Tensor:
    """What the data say of the pose once jaw and expression give way: [T, 59, 59] -> [T, 6, 6] (Schur complement)."""
    import torch

    own, cross, face = hessian[:, _POSE, _POSE], hessian[:, _POSE, _FACE], hessian[:, _FACE, _FACE]
    damped = face + 1e-3 * torch.eye(face.shape[-1], dtype=face.dtype, device=face.device)
    return own - cross @ torch.linalg.solve(damped, cross.mT)


def steadied(
    motion: Motion, stiffness: Tensor, joined: Tensor, strength: float, heartbeat: Callable[[], None] = quiet
) -> Motion:
    """The motion with a steadier pose.

    stiffness: [T, 6, 6] of the pose, zero where nothing was seen; joined: [T - 1] whether neighbours belong together;
    strength: 1 = usual.
    """
    import torch

    count = len(motion.jaw_rad)
    if strength <= 0 or count < 3:
        return motion
    tied = (joined[1:] & joined[:-1]).double().numpy()  # [T - 2]
    data = stiffness.double().numpy()
    first = motion
    for _ in range(_ROUNDS):
        heartbeat()
        step = _step(_bends(motion), _change(first, motion), data, tied, strength)
        turn = axis_angle_to_matrix(torch.from_numpy(step[:, :3]).to(motion.rotation))
        moved = torch.from_numpy(step[:, 3:]).to(motion.translation_m)
        motion = dataclasses.replace(
            motion, rotation=turn @ motion.rotation, translation_m=motion.translation_m + moved
        )  # fmt: skip
    return motion


def _bends(motion: Motion) -> NDArray[np.float64]:
    """Second differences of the pose [T - 2, 6]."""
    import numpy as np

    rotation = motion.rotation.double()
    turns = matrix_to_axis_angle(rotation[1:] @ rotation[:-1].mT).numpy()
    return np.concatenate([np.diff(turns, axis=0), np.diff(motion.translation_m.double().numpy(), 2, axis=0)], 1)


def _change(first: Motion, now: Motion) -> NDArray[np.float64]:
    """How far the pose has been moved so far, [T, 6]."""
    import numpy as np

    turn = matrix_to_axis_angle(now.rotation.double() @ first.rotation.double().mT).numpy()
    return np.concatenate([turn, (now.translation_m - first.translation_m).double().numpy()], 1)


def _step(
    bends: NDArray[np.float64], change: NDArray[np.float64], data: NDArray[np.float64], tied: NDArray[np.float64],
    strength: float,
) -> NDArray[np.float64]:  # fmt: skip
    """One re-weighted least-squares step [T, 6]: a symmetric band of 18."""
    import numpy as np
    from scipy.linalg import solveh_banded

    count = len(data)
    size = np.array([_TURNS] * 3 + [_MOVES] * 3)
    pace = np.sqrt((bends**2).reshape(-1, 2, 3).sum(2)).repeat(3, 1) / size
    hold = strength * np.array([_HOLD_TURN] * 3 + [_HOLD_MOVE] * 3)
    weight = hold * tied[:, None] / (1 + pace**2)  # [T - 2, 6]
    band = np.zeros((18, count * 6))  # lower form: band[i - j, j]
    for a in range(6):
        for b in range(a + 1):
            band[a - b, b::6] += data[:, a, b]
    band[0] += 1e-6
    pull = -(data @ change[..., None])[..., 0]
    taps = (1.0, -2.0, 1.0)
    for i, x in enumerate(taps):
        pull[i : i + count - 2] -= x * weight * bends
        for j in range(i + 1):
            rows = np.zeros((count, 6))
            rows[j : j + count - 2] = x * taps[j] * weight
            band[6 * (i - j)] += rows.ravel()
    return np.asarray(solveh_banded(band, pull.ravel(), lower=True)).reshape(count, 6)
