"""The head's 468 mesh landmarks as a function of shape, expression and jaw, with exact derivatives.

A landmark is a barycentric mean of skinned vertices, and skinning is linear in the unposed vertices. So per landmark
two linear maps suffice: what stays with the skull, and what turns with the jaw. Neck and eyes are at rest here (eyes
move no mesh landmark but a little lid skin, which the expression covers).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..head.pose import axis_angle_to_matrix

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..head import HeadModel

JAW = 2  # joint number
_JAW_COLUMNS = slice(9, 18)  # of the pose basis


@dataclass(frozen=True)
class FaceModel:
    """Bases of L landmarks; the axis of length 2 is (with the skull, with the jaw)."""

    mean_m: Tensor  # [2, L, 3] weighted rest positions
    shape_basis: Tensor  # [2, L, 3, S]
    expression_basis: Tensor  # [2, L, 3, 50]
    jaw_basis: Tensor  # [2, L, 3, 9] on the entries of R(jaw) - I
    share: Tensor  # [2, L] weights: with the skull, with the jaw; sum 1
    joint_m: Tensor  # [3] jaw joint
    joint_shape_basis: Tensor  # [3, S]
    joint_expression_basis: Tensor  # [3, 50]

    def personal(self, shape: Tensor, bias_m: Tensor | None = None) -> FaceModel:
        """The face of one person: shape [S] and a static offset per landmark [L, 3] put into the mean."""
        mean = self.mean_m + self.shape_basis[..., : len(shape)] @ shape
        if bias_m is not None:
            mean = mean + self.share[..., None] * bias_m
        joint = self.joint_m + self.joint_shape_basis[:, : len(shape)] @ shape
        return dataclasses.replace(self, mean_m=mean, joint_m=joint)

    def rows(self, indices: Tensor) -> FaceModel:
        """Only the landmarks `indices` (int64 [K])."""
        names = ("mean_m", "shape_basis", "expression_basis", "jaw_basis", "share")
        return dataclasses.replace(self, **{n: getattr(self, n)[:, indices] for n in names})

    def points(self, expression: Tensor, jaw_rad: Tensor) -> Tensor:
        """expression [T, 50], jaw_rad [T, 3] -> landmarks [T, L, 3] metres, head axes."""
        turn = axis_angle_to_matrix(jaw_rad)
        skull, jaw, joint = self._parts(expression, turn)
        return skull + (jaw - self.share[1, :, None] * joint) @ turn.mT + self.share[1, :, None] * joint

    def derivatives(self, expression: Tensor, jaw_rad: Tensor) -> tuple[Tensor, Tensor]:
        """Points [T, L, 3] and their derivative [T, L, 3, 53] by jaw (3) and expression (50)."""
        import torch

        turn = axis_angle_to_matrix(jaw_rad)  # [T, 3, 3]
        skull, jaw, joint = self._parts(expression, turn)
        arm = jaw - self.share[1, :, None] * joint  # [T, L, 3]
        points = skull + arm @ turn.mT + self.share[1, :, None] * joint
        d_turn = rotation_derivative(jaw_rad, turn)  # [T, 3, 3, 3] (axis, row, column)
        correct = d_turn.flatten(2)  # [T, 3, 9]
        by_jaw = torch.einsum("takc,tlc->tlka", d_turn, arm)
        by_jaw = by_jaw + torch.einsum("lkn,tan->tlka", self.jaw_basis[0], correct)
        moving = torch.einsum("lcn,tan->tlca", self.jaw_basis[1], correct)
        by_jaw = by_jaw + torch.einsum("tkc,tlca->tlka", turn, moving)
        moved = torch.einsum("tkc,lce->tlke", turn, self.expression_basis[1])
        identity = torch.eye(3, dtype=turn.dtype, device=turn.device)
        with_joint = (identity - turn) @ self.joint_expression_basis  # [T, 3, 50]
        by_expression = self.expression_basis[0] + moved + self.share[1, :, None, None] * with_joint[:, None]
        return points, torch.cat([by_jaw, by_expression], -1)

    def shape_derivative(self, jaw_rad: Tensor) -> Tensor:
        """Derivative of the points by shape, [T, L, 3, S]."""
        import torch

        turn = axis_angle_to_matrix(jaw_rad)
        identity = torch.eye(3, dtype=turn.dtype, device=turn.device)
        with_joint = (identity - turn) @ self.joint_shape_basis  # [T, 3, S]
        moved = torch.einsum("tkc,lce->tlke", turn, self.shape_basis[1])
        return self.shape_basis[0] + moved + self.share[1, :, None, None] * with_joint[:, None]

    def _parts(self, expression: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What stays with the skull [T, L, 3], what turns with the jaw [T, L, 3], the joint [T, 1, 3]."""
        import torch

        identity = torch.eye(3, dtype=turn.dtype, device=turn.device)
        correct = (turn - identity).flatten(1)  # [T, 9]
        basis = torch.cat([self.expression_basis, self.jaw_basis], -1)  # [2, L, 3, 59]
        weights = torch.cat([expression, correct], -1)
        flat = (weights @ basis.reshape(-1, basis.shape[-1]).T).unflatten(1, tuple(basis.shape[:3]))
        both = self.mean_m + flat  # [T, 2, L, 3]
        joint = self.joint_m + expression @ self.joint_expression_basis.T  # [T, 3]
        return both[:, 0], both[:, 1], joint[:, None]


def face_model(head: HeadModel, indices: Tensor, *, dtype: torch.dtype | None = None) -> FaceModel:
    """Precompute the bases of the landmarks `indices` (int64 [L])."""
    return surface_model(head, head.landmarks.triangles[indices], head.landmarks.barycentric[indices], dtype=dtype)


def surface_model(
    head: HeadModel, triangles: Tensor, barycentric: Tensor, *, dtype: torch.dtype | None = None
) -> FaceModel:
    """The same for any L points of the surface: vertex ids [L, 3] and their weights [L, 3]."""
    import torch

    ids, places = triangles.unique(return_inverse=True)
    part = head.subset(ids)
    part = part if dtype is None else part.to(part.template_m.device, dtype)
    barycentric = barycentric.to(part.template_m)
    with_jaw = part.skin_weights[:, JAW]
    weights = torch.stack([1 - with_jaw, with_jaw])[:, places] * barycentric  # [2, L, 3]

    def contract(basis: Tensor) -> Tensor:  # [V, ...] -> [2, L, ...]
        return torch.einsum("jlk,lk...->jl...", weights, basis[places])

    return FaceModel(
        mean_m=contract(part.template_m),
        shape_basis=contract(part.shape_basis),
        expression_basis=contract(part.expression_basis),
        jaw_basis=contract(part.pose_basis[..., _JAW_COLUMNS]),
        share=weights.sum(-1),
        joint_m=part.joint_template_m[JAW],
        joint_shape_basis=part.joint_shape_basis[JAW],
        joint_expression_basis=part.joint_expression_basis[JAW],
    )


def rotation_derivative(rotation_rad: Tensor, turn: Tensor) -> Tensor:
    """Derivative of R(r) by each component of r. [T, 3], [T, 3, 3] -> [T, 3 (component), 3, 3].

    dR/dr_k = R [J(r) e_k]x with the right Jacobian J of the exponential map; series near zero.
    """
    import torch

    squared = (rotation_rad * rotation_rad).sum(-1)[:, None, None]
    small = squared < 1e-6
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    b = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    c = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / (safe * angle))
    k = skew(rotation_rad)
    right = torch.eye(3, dtype=k.dtype, device=k.device) - b * k + c * (k @ k)  # [T, 3, 3]
    return turn[:, None] @ skew(right.mT)  # row a of right.mT is J e_a


def skew(vectors: Tensor) -> Tensor:
    """[..., 3] -> cross-product matrices [..., 3, 3]."""
    import torch

    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
