"""Against jitter, without opening a closed mouth."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from .config import SmoothConfig
from .rotations import from_quaternions, to_quaternions

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..types import MotionTrack


def savitzky_golay(signal: Tensor, window: int, order: int) -> Tensor:
    """Least-squares polynomial smoothing along the first axis of [T, D]; the ends use the last window's polynomial.

    Source: Savitzky and Golay, Analytical Chemistry 36 (1964). A signal shorter than the window uses the longest odd
    window that fits; one too short for the order is returned as it is.
    """
    import torch

    count = int(signal.shape[0])
    window = min(window, count if count % 2 else count - 1)
    if window <= order:
        return signal.clone()
    half = window // 2
    time = torch.arange(-half, half + 1, dtype=torch.float64)
    powers = time[:, None] ** torch.arange(order + 1, dtype=torch.float64)  # [window, order + 1]
    hat = powers @ torch.linalg.pinv(powers)  # [window, window]: values of the fitted polynomial at each place
    data = signal.to(torch.float64)
    windows = data.unfold(0, window, 1)  # [T - window + 1, D, window]
    middle = windows @ hat[half]
    first, last = hat[:half] @ data[:window], hat[half + 1 :] @ data[-window:]
    return torch.cat([first, middle, last]).to(signal)


def smooth_motion(
    motion: MotionTrack,
    *,
    strength: float = 1.0,
    lip_gap_m: Tensor | None = None,  # [T]
    config: SmoothConfig | None = None,
) -> MotionTrack:
    """Smooth mouth, gaze and head pose over time.

    Args:
        motion: what to edit.
        strength: 0 leaves it, 1 filters fully.
        lip_gap_m: distance between the lips in every frame. Frames below `closed_gap_m` keep their values exactly and
            their neighbours half of theirs, so that no closure opens. None: nothing is protected.
        config: windows and orders.

    Raises:
        InvalidInputError: strength outside 0..1 or a gap of the wrong length.
    """
    config = config or SmoothConfig()
    if not 0 <= strength <= 1:
        raise InvalidInputError(f"The strength of smoothing must lie in 0..1, got {strength}.")
    if strength == 0 or motion.count < 3:
        return motion
    weight = strength * _open_weight(motion.count, lip_gap_m, config.closed_gap_m)[:, None]

    def mouth(x: Tensor) -> Tensor:
        return x + weight.to(x) * (savitzky_golay(x, config.window, config.order) - x)

    changes: dict[str, Tensor] = {"expression": mouth(motion.expression), "jaw_rad": mouth(motion.jaw_rad)}
    if motion.translation_m is not None:
        x = motion.translation_m
        changes["translation_m"] = x + strength * (savitzky_golay(x, config.pose_window, config.pose_order) - x)
    if motion.rotation_rad is not None:
        quats = to_quaternions(motion.rotation_rad)
        moved = savitzky_golay(quats, config.pose_window, config.pose_order) - quats
        changes["rotation_rad"] = from_quaternions(quats + strength * moved)
    return dataclasses.replace(motion, **changes)


def _open_weight(count: int, lip_gap_m: Tensor | None, closed_gap_m: float) -> torch.Tensor:
    """0 in closed frames, 1/2 beside them, 1 elsewhere, [T]."""
    import torch

    weight = torch.ones(count)
    if lip_gap_m is None:
        return weight
    if lip_gap_m.shape != (count,):
        raise InvalidInputError(
            f"lip_gap_m must have one value for each of {count} frames, got {list(lip_gap_m.shape)}."
        )
    closed = lip_gap_m.detach().cpu() < closed_gap_m
    near = closed.clone()
    near[1:] |= closed[:-1]
    near[:-1] |= closed[1:]
    weight[near] = 0.5
    weight[closed] = 0.0
    return weight
