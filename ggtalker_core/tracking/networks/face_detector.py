"""BlazeFace, short range: face boxes and six key points in a 128x128 image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..topology import DETECTOR_PX
from .layers import ResidualBlock, SameConv

N_ANCHORS = 896
_SCORE_CLIP = 100.0  # logits, as in the source's graph


class FaceDetector(nn.Module):
    """[B, 3, 128, 128] in [-1, 1] -> boxes, key points and scores of 896 anchors (16x16x2 and 8x8x6)."""

    anchors: Tensor  # [896, 2] centres, in units of the input's side

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv(3, 24, 5, 2), nn.ReLU())
        widths = (24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88)
        strides = (1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1)
        self.body = nn.Sequential(
            *(ResidualBlock(a, b, s, prelu=False) for a, b, s in zip(widths, widths[1:], strides))
        )
        self.coarse = nn.Sequential(
            ResidualBlock(88, 96, 2, prelu=False), *(ResidualBlock(96, 96, prelu=False) for _ in range(4))
        )
        self.score_fine, self.score_coarse = SameConv(88, 2), SameConv(96, 6)
        self.box_fine, self.box_coarse = SameConv(88, 32), SameConv(96, 96)
        self.register_buffer("anchors", anchor_centres(), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Raw outputs: regressors [B, 896, 16] (pixels, relative to the anchor) and score logits [B, 896]."""
        fine = self.body(self.stem(image))  # [B, 88, 16, 16]
        coarse = self.coarse(fine)  # [B, 96, 8, 8]
        boxes = torch.cat([_per_anchor(self.box_fine(fine), 16), _per_anchor(self.box_coarse(coarse), 16)], 1)
        scores = torch.cat([_per_anchor(self.score_fine(fine), 1), _per_anchor(self.score_coarse(coarse), 1)], 1)
        return boxes, scores[..., 0]

    def detect(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decoded: boxes [B, 896, 4] (x0, y0, x1, y1), key points [B, 896, 6, 2], scores [B, 896] in [0, 1].

        Coordinates are fractions of the input's side. Key points: the person's right eye, left eye, nose tip,
        mouth centre, right ear, left ear.
        """
        raw, logits = self(image)
        values = raw.unflatten(-1, (8, 2)) / DETECTOR_PX  # [B, 896, 8, 2]: centre, size, six points
        centre = values[:, :, 0] + self.anchors
        half = values[:, :, 1] / 2
        points = values[:, :, 2:] + self.anchors[:, None]
        return torch.cat([centre - half, centre + half], -1), points, logits.clamp(-_SCORE_CLIP, _SCORE_CLIP).sigmoid()


def _per_anchor(features: Tensor, width: int) -> Tensor:
    """[B, A * width, H, W] -> [B, H * W * A, width], anchors of one cell side by side."""
    return features.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, width))


def anchor_centres() -> Tensor:
    """Centres of the anchors [896, 2] (x, y) in [0, 1]: two per cell of a 16x16 grid, then six per cell of 8x8."""
    grids: list[Tensor] = []
    for cells, per_cell in ((16, 2), (8, 6)):
        line = (torch.arange(cells) + 0.5) / cells
        y, x = torch.meshgrid(line, line, indexing="ij")
        grids.append(torch.stack([x, y], -1).reshape(-1, 1, 2).expand(-1, per_cell, -1).reshape(-1, 2))
    return torch.cat(grids)
