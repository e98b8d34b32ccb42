"""How a head is turned, as the face mesh's own depth has it.

In the picture alone, a nod looks much like another shape of the face: pitch is what landmarks know least, and an error
of one degree moves the hair by pixels. The mesh also says how deep each landmark lies. That depth is too coarse to be
fitted, but the rotation which carries the firm part of a face there is wrong in other ways than the picture's: with
less than half of the picture's weight it brings most heads nearer to where they are. What the mesh's rotation is off by
for one person throughout is found on the keyframes and kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..head.pose import matrix_to_axis_angle
from .topology import LIDS, LIPS, N_MESH, OVAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .solver import Motion

# The mesh draws faces too deep. So shrunk, what its depth says of a turn hardly grows with the turn itself (two people
# of four; with the others it still falls off as they nod).
DEPTH_GAIN = 0.8
_BELOW = 0.35  # of the landmarks: chin and cheeks, which move with the jaw
_LARGE_RAD = math.radians(5)  # beyond it the mesh has gone astray, and counts less and less


@dataclass(frozen=True)
class MeshPose:
    """What the mesh's depth says of the rotation of every frame."""

    rotation: Tensor  # [T, 3, 3] head axes to camera
    weight: Tensor  # [T] per radian squared; 0 = not seen
    offset_rad: Tensor  # [3] by which it turns this person further than landmarks do, head axes

    def part(self, start: int, stop: int) -> MeshPose:
        """The frames start..stop."""
        return MeshPose(self.rotation[start:stop], self.weight[start:stop], self.offset_rad)

    def take(self, indices: Tensor) -> MeshPose:
        """Some frames."""
        return MeshPose(self.rotation[indices], self.weight[indices], self.offset_rad)


@lru_cache(maxsize=1)
def firm_part() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Landmarks that hardly move in the head [K], and where they lie about their middle [K, 3], head axes."""
    import numpy as np

    from ..head import load_head

    head = load_head("default")
    points = head.landmarks.points(head.template_m[None])[0, :N_MESH].double().numpy()
    firm = points[:, 1] > np.quantile(points[:, 1], _BELOW)
    firm[list(LIPS + LIDS + OVAL)] = False
    index = np.flatnonzero(firm)
    return index, points[index] - points[index].mean(0)


def mesh_rotation(points_px: NDArray[np.floating], depth_px: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rotation [3, 3] from head to camera axes that carries the firm part of a face to where the mesh has it.

    points_px [478, 2] in the frame, depth_px [478] away from the camera, both in pixels of the frame. Kabsch's method.
    """
    import numpy as np

    index, firm = firm_part()
    seen = np.concatenate([points_px[index], DEPTH_GAIN * depth_px[index, None]], 1).astype(np.float64)
    u, _, vh = np.linalg.svd((seen - seen.mean(0)).T @ firm)
    return (u * np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vh))])) @ vh


def turned_further(motion: Motion, rotation: Tensor) -> Tensor:
    """By how much `rotation` [T, 3, 3] turns each head further than `motion`, axis-angle in head axes [T, 3]."""
    return matrix_to_axis_angle(motion.rotation.mT @ rotation)


def turn_equations(motion: Motion, mesh: MeshPose) -> tuple[Tensor, Tensor]:
    """Hessian [T, 3, 3] and gradient [T, 3], by the rotation, of half the weighted square of what sets both apart."""
    import torch

    apart = turned_further(motion, mesh.rotation) - mesh.offset_rad  # [T, 3]
    weight = mesh.weight / (1 + apart.square().sum(1) / _LARGE_RAD**2)
    # A small turn w from the left, in camera axes, takes R^T w off: the derivative is -R^T, its square the identity.
    hessian = weight[:, None, None] * torch.eye(3, dtype=weight.dtype, device=weight.device)
    return hessian, -weight[:, None] * (motion.rotation @ apart[..., None])[..., 0]
