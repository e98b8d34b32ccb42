"""Where the 478 face-mesh landmarks (468 + 10 iris) sit on the head's surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .model import HeadModel


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Points glued to triangles; a point is the barycentric mean of three vertices."""

    triangles: Tensor  # [478, 3] int64 vertex ids
    barycentric: Tensor  # [478, 3], rows sum to 1

    def points(self, vertices: Tensor) -> Tensor:
        """The landmarks on posed vertices. [B, V, 3] metres -> [B, 478, 3] metres."""
        return (vertices[:, self.triangles] * self.barycentric[None, :, :, None]).sum(2)

    def to(self, device: torch.device | str) -> LandmarkEmbedding:
        """The same embedding on `device`."""
        return LandmarkEmbedding(self.triangles.to(device), self.barycentric.to(device))

    def select(self, indices: Tensor) -> LandmarkEmbedding:
        """Some of the landmarks, in the order of `indices` (int64 [L])."""
        return LandmarkEmbedding(self.triangles[indices], self.barycentric[indices])


@dataclass(frozen=True)
class LandmarkModel:
    """The head cut down to the vertices that carry landmarks: about ten times cheaper to skin than the whole head."""

    head: HeadModel  # only the vertices under the landmarks
    embedding: LandmarkEmbedding  # into that subset

    def points(
        self, shape: Tensor, expression: Tensor, jaw_rad: Tensor, neck_rad: Tensor, eyes_rad: Tensor,
        offset_m: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Landmarks in head axes, [B, L, 3] metres; arguments as HeadModel.vertices (offset_m of the subset)."""
        return self.embedding.points(self.head.vertices(shape, expression, jaw_rad, neck_rad, eyes_rad, offset_m))

    def to(self, device: torch.device | str) -> LandmarkModel:
        """The same model on `device`."""
        return LandmarkModel(self.head.to(device), self.embedding.to(device))


def landmark_model(head: HeadModel, indices: Tensor | None = None) -> LandmarkModel:
    """Cut `head` down to the vertices under its landmarks (or under those in `indices`, int64 [L])."""
    embedding = head.landmarks if indices is None else head.landmarks.select(indices)
    ids, places = embedding.triangles.unique(return_inverse=True)
    return LandmarkModel(head.subset(ids), LandmarkEmbedding(places, embedding.barycentric))
