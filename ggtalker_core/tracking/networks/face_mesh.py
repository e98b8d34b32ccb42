"""The attention mesh: 478 face points from a roll-aligned 192x192 crop.

A coarse net places 468 points; around the lips and each eye its early features are resampled to 16x16 in a frame that
follows those points, and small nets there give finer lips, lids, brows and irises (arXiv 2006.10962). Index sets are
the public face-mesh topology.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..topology import LEFT_IRIS, MESH_PX, N_MESH, REGION_LEFT_EYE, REGION_LIPS, REGION_RIGHT_EYE, RIGHT_IRIS
from .layers import ResidualBlock, SameConv

INPUT_PX = MESH_PX
_FEATURE_PX = 48  # side of the features that the regions look at
_REGION_PX = 16
_REGION_MARGIN = 1.5  # of the region's box


def _chain(widths: Sequence[int], strides: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(a, b, s) for a, b, s in zip(widths, widths[1:], strides)))


class _RegionHead(nn.Module):
    """4x4 features of one region -> `count` points in pixels of the 64-fold region grid."""

    def __init__(self, count: int):
        super().__init__()
        self.body = _chain([128] * 6, [1, 1, 2, 1, 1])
        self.squeeze = nn.Sequential(SameConv(128, 32), nn.PReLU(32))
        self.last = ResidualBlock(32, 32)
        self.points = nn.Conv2d(32, 2 * count, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 128, 4, 4] -> [B, count, 2]."""
        return self.points(self.last(self.squeeze(self.body(x)))).flatten(1).unflatten(1, (-1, 2))


class _Region(nn.Module):
    """What looks closer at one part of the face; the irises share the body of their eye."""

    def __init__(self, counts: Sequence[int]):
        super().__init__()
        self.body = _chain([32, 32, 32, 64, 64, 64, 128], [1, 1, 2, 1, 1, 2])
        self.heads = nn.ModuleList(_RegionHead(count) for count in counts)

    def forward(self, patch: Tensor) -> list[Tensor]:
        """[B, 32, 16, 16] -> one [B, count, 2] for each head."""
        features = self.body(patch)
        return [head(features) for head in self.heads]


class FaceMesh(nn.Module):
    """[B, 3, 192, 192] in [0, 1] -> landmarks [B, 478, 3] in pixels of the crop, and a presence score [B]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv(3, 16, 3, 2), nn.PReLU(16))
        self.early = _chain([16, 16, 16, 32], [1, 1, 2])
        self.body = _chain(
            [32, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 128, 128, 128, 128],
            [1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1],
        )
        self.squeeze = nn.Sequential(SameConv(128, 32), nn.PReLU(32))
        self.last = ResidualBlock(32, 32)
        self.mesh = nn.Conv2d(32, 3 * N_MESH, 3, 3)
        self.presence = nn.Conv2d(32, 1, 3, 3)
        self.lips = _Region([len(REGION_LIPS)])
        self.right_eye = _Region([len(REGION_RIGHT_EYE), len(RIGHT_IRIS)])
        self.left_eye = _Region([len(REGION_LEFT_EYE), len(LEFT_IRIS)])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; z is the mesh's relative depth (irises: mean of their lid edge)."""
        early = self.early(self.stem(image))  # [B, 32, 48, 48]
        features = self.last(self.squeeze(self.body(early)))
        mesh = self.mesh(features).flatten(1).unflatten(1, (N_MESH, 3))  # [B, 468, 3]
        iris_depth = [
            mesh[:, list(e[:16]), 2:].mean(1, keepdim=True).expand(-1, 5, -1)
            for e in (REGION_RIGHT_EYE, REGION_LEFT_EYE)
        ]
        points = torch.cat([mesh, *(torch.cat([mesh.new_zeros(len(mesh), 5, 2), z], -1) for z in iris_depth)], 1)
        for region, corners, index_sets in (
            (self.lips, (61, 291), (REGION_LIPS,)),
            (self.right_eye, (33, 133), (REGION_RIGHT_EYE, RIGHT_IRIS)),
            (self.left_eye, (362, 263), (REGION_LEFT_EYE, LEFT_IRIS)),
        ):
            frame = region_frame(mesh[..., :2], corners, index_sets[0])
            for found, indices in zip(region(resample(early, frame)), index_sets):
                points[:, list(indices), :2] = _to_crop(found, frame)
        return points, self.presence(features).flatten(1)[:, 0].sigmoid()


def region_frame(mesh: Tensor, corners: tuple[int, int], subset: Sequence[int]) -> Tensor:
    """The box of `subset`, turned so that the line between `corners` is level, 1.5 times as large.

    mesh: [B, 468, 2] in crop pixels. Returns [B, 2, 3], which takes cells of the region grid (0..16) to pixels of the
    48x48 features.
    """
    points = mesh * (_FEATURE_PX / MESH_PX)
    left, right = points[:, corners[0]], points[:, corners[1]]
    angle = torch.atan2(right[:, 1] - left[:, 1], right[:, 0] - left[:, 0])
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))  # [B, 2, 2] level -> image
    level = points[:, list(subset)] @ turn
    low, high = level.amin(1), level.amax(1)  # [B, 2]
    centre = (turn @ ((low + high) / 2).unsqueeze(-1))[..., 0]
    linear = turn * ((high - low) * (_REGION_MARGIN / _REGION_PX)).unsqueeze(1)
    shift = centre - linear.sum(-1) * (_REGION_PX / 2)
    return torch.cat([linear, shift.unsqueeze(-1)], -1)


def resample(features: Tensor, frame: Tensor) -> Tensor:
    """Bilinear patch [B, C, 16, 16] of `features` [B, C, 48, 48]; zero where the frame leaves the features."""
    linear, shift = frame[:, :, :2], frame[:, :, 2]
    line = torch.arange(_REGION_PX, device=features.device, dtype=features.dtype) + 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    cells = torch.stack([x, y], -1).reshape(1, -1, 2)
    place = cells @ linear.transpose(1, 2) + shift[:, None] - 0.5  # [B, 256, 2], 0 = centre of the first pixel
    last = _FEATURE_PX - 1
    grid = (place / last * 2 - 1).unflatten(1, (_REGION_PX, _REGION_PX))
    inside = ((place >= 0) & (place <= last)).all(-1).unflatten(1, (1, _REGION_PX, _REGION_PX))
    return F.grid_sample(features, grid, mode="bilinear", align_corners=True) * inside


def _to_crop(points: Tensor, frame: Tensor) -> Tensor:
    """Points of a region head [B, n, 2] (four units per pixel of the features) to pixels of the crop."""
    linear, shift = frame[:, :, :2], frame[:, :, 2]
    return points @ linear.transpose(1, 2) + shift[:, None] * (MESH_PX / _FEATURE_PX)
