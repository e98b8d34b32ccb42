"""Gauss-Newton over all frames at once: pose, jaw and expression from landmarks, with a temporal prior.

Every frame has 59 unknowns; the prior couples neighbours only, so the system is block tridiagonal and is solved exactly
by elimination along time. Frames without data are carried by the prior alone, which interpolates them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..head.pose import axis_angle_to_matrix, matrix_to_axis_angle
from .face_model import FaceModel, skew
from .mesh_pose import MeshPose, turn_equations
from .touch import touch_equations

if TYPE_CHECKING:
    from torch import Tensor

N_UNKNOWNS = 59  # rotation 3 (turned on from the left), translation 3, jaw 3, expression 50
ROTATION, TRANSLATION, JAW, EXPRESSION = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 59)
_CHUNK = 16  # frames whose Jacobians are held at once
_PER_FRAME = ("points_px", "weights", "unit_px", "pair_weights", "touch_weights")  # of what was seen


def quiet() -> None:
    """The heartbeat of somebody who does not want to cancel."""


@dataclass(frozen=True)
class Observed:
    """What was seen, in the order of the model's L landmarks."""

    points_px: Tensor  # [T, L, 2] relative to the principal point
    weights: Tensor  # [T, L]; 0 = not seen
    unit_px: Tensor  # [T] pixels of 1 % of the inter-ocular distance, the unit of every residual
    pairs: Tensor  # [P, 2] int64: landmarks whose difference counts too (lips, lids)
    pair_weights: Tensor  # [T, P]
    touch_weights: Tensor  # [T, P] of how far one landmark of a pair lies behind the other; 0 where they are apart
    mesh: MeshPose | None = None  # what the mesh's depth says of the rotation

    def part(self, start: int, stop: int) -> Observed:
        """The frames start..stop."""
        mesh = None if self.mesh is None else self.mesh.part(start, stop)
        return dataclasses.replace(self, mesh=mesh, **{n: getattr(self, n)[start:stop] for n in _PER_FRAME})

    def take(self, indices: Tensor) -> Observed:
        """Some frames."""
        mesh = None if self.mesh is None else self.mesh.take(indices)
        return dataclasses.replace(self, mesh=mesh, **{n: getattr(self, n)[indices] for n in _PER_FRAME})


@dataclass(frozen=True)
class Motion:
    """The unknowns of every frame."""

    rotation: Tensor  # [T, 3, 3] head axes to camera
    translation_m: Tensor  # [T, 3]
    jaw_rad: Tensor  # [T, 3]
    expression: Tensor  # [T, 50]

    def stepped(self, step: Tensor) -> Motion:
        """After a Gauss-Newton step [T, 59]."""
        return Motion(
            axis_angle_to_matrix(step[:, ROTATION]) @ self.rotation,
            self.translation_m + step[:, TRANSLATION],
            self.jaw_rad + step[:, JAW],
            self.expression + step[:, EXPRESSION],
        )

    def part(self, start: int, stop: int) -> Motion:
        """The frames start..stop."""
        return Motion(*(getattr(self, f.name)[start:stop] for f in dataclasses.fields(self)))

    @staticmethod
    def room(count: int) -> Motion:
        """Zeros for `count` frames, to be filled."""
        import torch

        shapes = ((count, 3, 3), (count, 3), (count, 3), (count, N_UNKNOWNS - 9))
        return Motion(*(torch.zeros(shape) for shape in shapes))

    def fill(self, start: int, part: Motion) -> None:
        """Put `part` in from frame `start` on."""
        for f in dataclasses.fields(self):
            own, given = getattr(self, f.name), getattr(part, f.name)
            own[start : start + len(given)] = given

    def take(self, indices: Tensor) -> Motion:
        """Some frames."""
        return Motion(*(getattr(self, f.name)[indices] for f in dataclasses.fields(self)))


@dataclass(frozen=True)
class Priors:
    """Quadratic priors in the unit of the residuals."""

    rest: Tensor  # [59] pulls jaw and expression to rest
    jaw_closed: float  # weight of a jaw that opens upwards
    robust: float  # residual (in units) beyond which a landmark counts less and less


def project(model: FaceModel, motion: Motion, focal_px: float) -> Tensor:
    """Landmarks [T, L, 2] in pixels from the principal point."""
    points = model.points(motion.expression, motion.jaw_rad) @ motion.rotation.mT + motion.translation_m[:, None]
    return focal_px * points[..., :2] / points[..., 2:]


def linearise(model: FaceModel, motion: Motion, focal_px: float) -> tuple[Tensor, Tensor, Tensor]:
    """Projection [T, L, 2], its derivatives by the unknowns [T, L, 2, 59] and by the head point [T, L, 2, 3]."""
    import torch

    head, by_face = model.derivatives(motion.expression, motion.jaw_rad)  # [T, L, 3], [T, L, 3, 53]
    turned = head @ motion.rotation.mT
    seen = turned + motion.translation_m[:, None]
    depth = seen[..., 2:]
    flat = focal_px * seen[..., :2] / depth
    scale = focal_px / depth[..., None]  # [T, L, 1, 1]
    eye = torch.eye(2, dtype=seen.dtype, device=seen.device).expand(*seen.shape[:2], 2, 2)
    by_camera = scale * torch.cat([eye, -(seen[..., :2] / depth)[..., None]], -1)  # [T, L, 2, 3]
    by_head = by_camera @ motion.rotation[:, None]
    return flat, torch.cat([by_camera @ -skew(turned), by_camera, by_head @ by_face], -1), by_head


def weighted_rows(flat: Tensor, jacobian: Tensor, observed: Observed, robust: float) -> tuple[Tensor, Tensor, Tensor]:
    """Residuals [T, R, 2], Jacobian [T, R, 2, K] and weights [T, R] of landmarks and pairs, in units."""
    import torch

    unit = observed.unit_px[:, None, None]
    error = (flat - observed.points_px) / unit
    jacobian = jacobian / unit[..., None]
    a, b = observed.pairs.unbind(1)
    residual = torch.cat([error, error[:, a] - error[:, b]], 1)
    rows = torch.cat([jacobian, jacobian[:, a] - jacobian[:, b]], 1)
    weights = torch.cat([observed.weights, observed.pair_weights], 1)
    return residual, rows, weights / (1 + residual.square().sum(-1) / robust**2).sqrt()


def normal_equations(
    model: FaceModel, motion: Motion, observed: Observed, focal_px: float, priors: Priors,
    heartbeat: Callable[[], None] = quiet,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Hessian [T, 59, 59] and gradient [T, 59] of data, the mesh's rotation, touching lips and rest priors, without the
    temporal prior."""
    import torch

    hessians: list[Tensor] = []
    gradients: list[Tensor] = []
    for start, stop in _spans(len(motion.jaw_rad)):
        heartbeat()
        part = motion.part(start, stop)
        flat, jacobian, _ = linearise(model, part, focal_px)
        residual, rows, weights = weighted_rows(flat, jacobian, observed.part(start, stop), priors.robust)
        rows = rows.flatten(1, 2)  # [t, 2R, 59]
        weighted = rows * weights.repeat_interleave(2, 1)[..., None]
        hessians.append(weighted.mT @ rows)
        gradients.append((weighted.mT @ residual.flatten(1, 2)[..., None])[..., 0])
    hessian, gradient = torch.cat(hessians), torch.cat(gradients)
    touch, pull = touch_equations(model, motion, observed)
    hessian[:, JAW.start :, JAW.start :] += touch
    gradient[:, JAW.start :] += pull
    if observed.mesh is not None:
        turn, back = turn_equations(motion, observed.mesh)
        hessian[:, ROTATION, ROTATION] += turn
        gradient[:, ROTATION] += back
    values = torch.cat([torch.zeros_like(motion.translation_m).repeat(1, 2), motion.jaw_rad, motion.expression], 1)
    seen = (observed.weights.amax(1) > 0).to(hessian)  # frames without data have only their neighbours
    hessian = hessian + seen[:, None, None] * torch.diag(priors.rest)
    gradient = gradient + seen[:, None] * values * priors.rest
    upwards = seen * (motion.jaw_rad[:, 0] < 0) * priors.jaw_closed
    hessian[:, JAW.start, JAW.start] += upwards
    gradient[:, JAW.start] += upwards * motion.jaw_rad[:, 0]
    return hessian, gradient


def solve_along_time(
    hessian: Tensor, gradient: Tensor, jump: Tensor, change: Tensor, heartbeat: Callable[[], None] = quiet
) -> Tensor:
    """The Gauss-Newton step [T, N] under a prior on the change from frame to frame.

    hessian [T, N, N] and gradient [T, N] without that prior; jump [T - 1, N]: by how much each frame differs from the
    one before; change [T - 1, N]: how strongly each difference is held down, 0 where frames do not belong together.
    Block elimination forwards, substitution backwards.
    """
    import torch

    tie = change.double()
    pull = tie * jump.double()
    held = torch.nn.functional.pad(tie, (0, 0, 1, 1))  # [T + 1, N] ties to the frame before and after
    pulled = torch.nn.functional.pad(pull, (0, 0, 1, 1))
    diagonal = held[:-1] + held[1:] + 1e-6
    target_all = pulled[1:] - pulled[:-1] - gradient.double()
    factors = torch.empty_like(hessian, dtype=torch.float64)  # one block: thousands of small ones leave holes
    right: list[Tensor] = []
    for i in range(len(hessian)):  # frame by frame: a long clip's blocks in double precision would fill the memory
        if i % 256 == 0:
            heartbeat()
        block, target = hessian[i].double() + torch.diag(diagonal[i]), target_all[i]
        if i:
            weight = tie[i - 1]
            solved = torch.cholesky_solve(torch.cat([torch.diag(weight), right[-1][:, None]], 1), factors[i - 1])
            block = block - weight[:, None] * solved[:, :-1]
            target = target + weight * solved[:, -1]
        factors[i] = torch.linalg.cholesky(block)
        right.append(target)
    steps: list[Tensor] = []
    for i in reversed(range(len(hessian))):
        target = right[i] + tie[i] * steps[-1] if steps else right[i]
        steps.append(torch.cholesky_solve(target[:, None], factors[i])[:, 0])
    return torch.stack(steps[::-1])


def jump_between(motion: Motion) -> Tensor:
    """By how much each frame differs from the one before, in the unknowns, [T - 1, 59]."""
    import torch

    turn = matrix_to_axis_angle(motion.rotation[1:] @ motion.rotation[:-1].mT)
    rest = [x[1:] - x[:-1] for x in (motion.translation_m, motion.jaw_rad, motion.expression)]
    return torch.cat([turn, *rest], 1)


def solve(
    model: FaceModel, motion: Motion, observed: Observed, focal_px: float, priors: Priors, change: Tensor,
    iterations: int, heartbeat: Callable[[], None] = quiet,
) -> Iterator[Motion]:  # fmt: skip
    """Gauss-Newton with re-weighting; change [T - 1, 59] as in solve_along_time. Yields after every iteration.

    `heartbeat` is called several times a second and may raise to cancel.
    """
    for _ in range(iterations):
        hessian, gradient = normal_equations(model, motion, observed, focal_px, priors, heartbeat)
        step = solve_along_time(hessian, gradient, jump_between(motion), change, heartbeat)
        motion = motion.stepped(step.to(motion.jaw_rad))
        yield motion


def _spans(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _CHUNK):
        yield start, min(start + _CHUNK, count)
