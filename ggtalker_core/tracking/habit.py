"""The face mesh overstates how far a head is turned aside, by about 8 %; here that is taken back.

How each landmark moves too far with yaw was learned from renders of random people whose pose is known
(`tools/head/habit.py`). On real clips it lowers the error of landmarks that were left out of the fit, most on turned
heads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import IncompatibleFileError, MissingWeightsError
from .start import first_motion
from .topology import N_MESH, OUTER_EYE_LEFT, OUTER_EYE_RIGHT

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel

ASSET = Path(__file__).resolve().parent.parent / "assets" / "landmark_habit.safetensors"
_MOST_YAW = math.radians(40)  # nothing was learned beyond
_ROUNDS = 3  # the yaw is estimated from landmarks already mended


@lru_cache(maxsize=1)
def habit_by_yaw() -> Tensor:
    """[478, 2] by which landmarks lie off per radian of yaw, in distances of the outer eye corners seen from the front,
    x to the right and y down in a picture of an upright head.

    Raises MissingWeightsError or IncompatibleFileError where the bundled file is missing or another.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not ASSET.is_file():
        raise MissingWeightsError(f"{ASSET.name} is missing from {ASSET.parent}. Reinstall the pack.")
    try:
        found = load_file(ASSET).get("by_yaw")
    except (SafetensorError, OSError) as error:
        raise IncompatibleFileError(f"{ASSET} cannot be read: {error}. Reinstall the pack.") from error
    if found is None or tuple(found.shape) != (N_MESH + 10, 2):
        raise IncompatibleFileError(f"{ASSET} is not the landmark habit of this pack. Reinstall the pack.")
    return found


def mended(head: HeadModel, points_px: Tensor, valid: Tensor, strength: float = 1.0) -> Tensor:
    """Landmarks [T, 478, 2] from the principal point without the mesh's habit; frames that are not valid as they are.

    strength: 1 = all of it, 0 = nothing is changed (landmarks that do not come from the mesh).
    """
    import torch

    if strength == 0 or not bool(valid.any()):
        return points_px
    template = head.landmarks.points(head.template_m[None])[0].to(points_px)
    eyes_m = (template[OUTER_EYE_LEFT] - template[OUTER_EYE_RIGHT]).norm()
    by_yaw = strength * habit_by_yaw().to(points_px)
    seen = points_px[valid]
    now = seen
    for _ in range(_ROUNDS):
        motion = first_motion(template[:N_MESH], now[:, :N_MESH], 1.0)  # as seen along the line from the camera
        upright = motion.rotation * motion.rotation.new_tensor([1.0, -1.0, -1.0])[:, None]  # y up, z to the camera
        yaw = torch.atan2(-upright[:, 2, 0], upright[:, 2, 2]).clamp(-_MOST_YAW, _MOST_YAW)
        roll = torch.atan2(-upright[:, 0, 1], upright[:, 1, 1])
        off = yaw[:, None, None] * by_yaw
        turn = torch.stack([roll.cos(), roll.sin(), -roll.sin(), roll.cos()], 1).unflatten(1, (2, 2))  # y is down
        unit_px = eyes_m / motion.translation_m[:, 2]  # pixels of the eyes' distance, the focal length being 1
        now = seen - unit_px[:, None, None] * off @ turn.mT
    out = points_px.clone()
    out[valid] = now
    return out
