"""The head model: FLAME-format bases and our own batched, differentiable linear blend skinning.

Source: FLAME (Li et al., SIGGRAPH Asia 2017), its equations; no code of others. Five joints: root, neck, jaw, left eye,
right eye. Vertices come in head axes (x to the person's left, y up, z to the viewer, origin at the head joint).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import InvalidInputError, MissingWeightsError
from .arkit import ArkitMap
from .landmarks import LandmarkEmbedding, LandmarkModel, landmark_model
from .pose import axis_angle_to_matrix
from .regions import RegionMasks

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .uv import UVChart

PARENTS = (-1, 0, 1, 1, 1)  # root, neck, jaw, left eye, right eye


@dataclass(frozen=True)
class HeadModel:
    """Bases, joints and skinning weights of one head, with what the stages need to know of its surface.

    A subset (see `subset`) has fewer vertices but the same joints, so it moves exactly as the whole head does.
    """

    name: str
    template_m: Tensor  # [V, 3]
    faces: Tensor  # [F, 3] int64
    shape_basis: Tensor  # [V, 3, S] metres per standard deviation
    expression_basis: Tensor  # [V, 3, 50]
    pose_basis: Tensor  # [V, 3, 36] on the 9 entries of R - I of neck, jaw, left eye, right eye
    skin_weights: Tensor  # [V, 5]
    joint_template_m: Tensor  # [5, 3] joints of the template
    joint_shape_basis: Tensor  # [5, 3, S]
    joint_expression_basis: Tensor  # [5, 3, 50]
    joint_regressor: Tensor  # [5, V] of the whole head (also in a subset)
    regions: RegionMasks
    landmarks: LandmarkEmbedding
    arkit: ArkitMap | None
    lip_pairs: Tensor  # [11, 2] int64 (upper, lower), the person's right to left; row 5 is the middle
    lip_corners: Tensor  # [2] int64 the person's right, left
    lid_pairs: Tensor  # [2, 6, 2] int64: left eye, right eye; inner to outer; (upper, lower)
    lid_corners: Tensor  # [2, 2] int64: left eye, right eye; inner, outer
    mirror: Tensor | None  # [V] int64: the vertex on the other side
    uv: UVChart | None
    fitted_default_m: Tensor | None = None  # [4706, 3] the default head fitted to this one, where the page is borrowed
    parents: tuple[int, ...] = PARENTS

    @property
    def n_shape(self) -> int:
        """Number of identity components."""
        return int(self.shape_basis.shape[2])

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return int(self.template_m.shape[0])

    def vertices(
        self,
        shape: Tensor,  # [S'] or [B or 1, S'], S' <= S; missing components are zero
        expression: Tensor,  # [B or 1, 50]
        jaw_rad: Tensor,  # [B or 1, 3]
        neck_rad: Tensor,  # [B or 1, 3]
        eyes_rad: Tensor,  # [B or 1, 6] left eye, right eye
        offset_m: Tensor | None = None,  # [V, 3] or [B, V, 3] static offset in head axes
    ) -> Tensor:  # [B, V, 3] metres
        """Posed vertices in head axes, before the global pose. Raises InvalidInputError for wrong widths."""
        import torch

        shape = shape if shape.ndim == 2 else shape[None]
        self._check(shape, expression, jaw_rad, neck_rad, eyes_rad)
        n = int(shape.shape[1])
        shaped = self.template_m + _blend(self.shape_basis[..., :n], shape) + _blend(self.expression_basis, expression)
        joints = (
            self.joint_template_m
            + _blend(self.joint_shape_basis[..., :n], shape)
            + _blend(self.joint_expression_basis, expression)
        )  # [B, 5, 3]; from the surface without the offset, so that hair does not move the joints
        if offset_m is not None:
            shaped = shaped + offset_m
        batch = max(int(x.shape[0]) for x in (shaped, jaw_rad, neck_rad, eyes_rad))
        pose = torch.stack(
            [x.expand(batch, 3) for x in (neck_rad, jaw_rad, eyes_rad[:, :3], eyes_rad[:, 3:])], 1
        )  # [B, 4, 3]
        rotations = axis_angle_to_matrix(pose)  # [B, 4, 3, 3]
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        posed = shaped + _blend(self.pose_basis, (rotations - identity).flatten(1))
        return _skin(posed, joints.expand(batch, 5, 3), rotations, self.skin_weights)

    def rest(self, batch: int = 1) -> dict[str, Tensor]:
        """Zero arguments for `vertices`: `head.vertices(**head.rest())` is the template."""
        import torch

        widths = {"shape": self.n_shape, "expression": 50, "jaw_rad": 3, "neck_rad": 3, "eyes_rad": 6}
        dtype, device = self.template_m.dtype, self.template_m.device
        return {name: torch.zeros(batch, width, dtype=dtype, device=device) for name, width in widths.items()}

    def subset(self, vertex_ids: Tensor) -> HeadModel:
        """The same head with only the vertices `vertex_ids` (int64 [K], each once), in that order; cheaper to skin.

        `faces` keeps the triangles whose three corners stay, renumbered. Regions, landmarks and pairs still name the
        vertices of the whole head.
        """
        import torch

        place = torch.full((self.n_vertices,), -1, dtype=torch.int64, device=self.faces.device)
        place[vertex_ids] = torch.arange(len(vertex_ids), device=self.faces.device)
        faces = place[self.faces]
        rows = ("template_m", "shape_basis", "expression_basis", "pose_basis", "skin_weights")
        cut = {name: getattr(self, name)[vertex_ids].contiguous() for name in rows}
        return dataclasses.replace(self, faces=faces[(faces >= 0).all(1)], mirror=None, uv=None, **cut)

    def landmark_model(self, indices: Tensor | None = None) -> LandmarkModel:
        """Only the vertices under the 478 landmarks (or under those in `indices`), for landmark fitting."""
        return landmark_model(self, indices)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> HeadModel:
        """The same head on `device`, optionally with its real tensors in another precision (tests use float64)."""
        import torch

        changes: dict[str, object] = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, torch.Tensor):
                value = value.to(device)
                changes[item.name] = value.to(dtype) if dtype is not None and value.is_floating_point() else value
            elif isinstance(value, (RegionMasks, LandmarkEmbedding, ArkitMap)):
                changes[item.name] = value.to(device)
        if dtype is not None:
            landmarks = self.landmarks.to(device)
            changes["landmarks"] = LandmarkEmbedding(landmarks.triangles, landmarks.barycentric.to(dtype))
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def _check(self, shape: Tensor, expression: Tensor, jaw: Tensor, neck: Tensor, eyes: Tensor) -> None:
        """Raise InvalidInputError unless the parameters have the widths of this head."""
        if shape.shape[1] > self.n_shape:
            raise InvalidInputError(f"Head '{self.name}' has {self.n_shape} shape components, got {shape.shape[1]}.")
        for label, value, width in (
            ("expression", expression, 50), ("jaw_rad", jaw, 3), ("neck_rad", neck, 3), ("eyes_rad", eyes, 6),
        ):  # fmt: skip
            if value.ndim != 2 or value.shape[1] != width:
                raise InvalidInputError(f"{label} must be [B, {width}], got {list(value.shape)}.")


def _blend(basis: Tensor, weights: Tensor) -> Tensor:
    """basis [N, 3, K], weights [B, K] -> [B, N, 3]; one matrix product."""
    n = basis.shape[0]
    return (weights @ basis.reshape(n * 3, -1).T).reshape(-1, n, 3)


def _skin(posed: Tensor, joints: Tensor, rotations: Tensor, weights: Tensor) -> Tensor:
    """Linear blend skinning: posed [B, V, 3], joints [B, 5, 3], rotations [B, 4, 3, 3], weights [V, 5] -> [B, V, 3].

    The root does not turn (the global pose is applied afterwards); jaw and eyes turn with the neck.
    """
    import torch

    neck = rotations[:, 0]
    neck_shift = joints[:, 1] - _rotate(neck, joints[:, 1])
    turns = torch.cat([neck[:, None], neck[:, None] @ rotations[:, 1:]], 1)  # [B, 4, 3, 3]
    own = joints[:, 2:] - (rotations[:, 1:] @ joints[:, 2:, :, None]).squeeze(-1)  # [B, 3, 3] shift under the neck
    shifts = torch.cat([neck_shift[:, None], (neck[:, None] @ own[..., None]).squeeze(-1) + neck_shift[:, None]], 1)
    rows = torch.cat([turns, shifts[..., None]], -1).flatten(2)  # [B, 4, 12]
    still = torch.eye(3, 4, dtype=rows.dtype, device=rows.device).reshape(1, 1, 12).expand(rows.shape[0], 1, 12)
    blended = (weights @ torch.cat([still, rows], 1)).unflatten(2, (3, 4))  # [B, V, 3, 4]
    return (blended[..., :3] @ posed[..., None]).squeeze(-1) + blended[..., 3]


def _rotate(matrix: Tensor, vector: Tensor) -> Tensor:
    """[B, 3, 3], [B, 3] -> [B, 3]."""
    return (matrix @ vector[..., None]).squeeze(-1)


@lru_cache(maxsize=4)
def load_head(name: str = "default") -> HeadModel:
    """The bundled head `default`, or a head converted from the user's FLAME file.

    That one is named by a path to its .safetensors, or by its file name in a folder of `files.add_head_folder`.

    Cached: callers must not change the tensors. Raises MissingWeightsError where there is no such head, and
    IncompatibleFileError where the file is not of a known format.
    """
    from pathlib import Path

    from ..files import find_head
    from .asset import DEFAULT_ASSET, read_default_head

    if name == "default":
        if not DEFAULT_ASSET.is_file():
            raise MissingWeightsError(
                f"The bundled head {DEFAULT_ASSET.name} is missing from {DEFAULT_ASSET.parent}; reinstall the pack."
            )
        return read_default_head(DEFAULT_ASSET)
    path = find_head(name) or Path(name)
    if path.suffix == ".safetensors" and path.is_file():
        from .flame_files import read_converted

        return read_converted(path, name)
    raise MissingWeightsError(
        f"No head model '{name}'. Use 'default', or convert a FLAME file once with "
        "ggtalker_core.head.flame_files.convert_flame() and give the path of the .safetensors it writes."
    )
