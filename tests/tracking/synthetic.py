"""Landmarks of a moving head with known parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from ggtalker_core.head import HeadModel, load_head
from ggtalker_core.head.pose import axis_angle_to_matrix, matrix_to_axis_angle, transform
from ggtalker_core.types import ClipReport, ReferenceClip


@dataclass(frozen=True)
class Truth:
    shape: torch.Tensor
    expression: torch.Tensor
    jaw_rad: torch.Tensor
    eyes_rad: torch.Tensor
    rotation: torch.Tensor  # [T, 3, 3]
    translation_m: torch.Tensor
    focal_px: float
    size_px: tuple[int, int]
    landmarks_px: torch.Tensor  # [T, 478, 2]
    lip_gap_px: torch.Tensor  # [T]

    @property
    def iod_px(self) -> float:
        return float((self.landmarks_px[:, 33] - self.landmarks_px[:, 263]).norm(dim=-1).median())


def moving_head(frames: int = 40, *, noise_iod: float = 0.0, seed: int = 0, head: HeadModel | None = None) -> Truth:
    """A talking, turning, looking head; noise in fractions of the inter-ocular distance."""
    head = head or load_head()
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(frames) / 25

    def wave(hertz: float, phase: float) -> torch.Tensor:
        return torch.sin(2 * math.pi * hertz * t + phase)

    shape = torch.randn(20, generator=g) * 0.7
    expression = torch.zeros(frames, 50)
    for k in range(12):
        expression[:, k] = 0.5 * wave(0.4 + 0.13 * k, float(k)) * float(torch.rand(1, generator=g))
    jaw = torch.zeros(frames, 3)
    jaw[:, 0] = 0.08 + 0.08 * wave(2.5, 0.0)
    eyes = torch.stack([0.1 * wave(0.7, 1), 0.2 * wave(0.5, 2), 0 * t] * 2, 1)
    turn = torch.stack([0.15 * wave(0.5, 0), 0.35 * wave(0.3, 1), 0.1 * wave(0.4, 2)], 1)
    rotation = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ axis_angle_to_matrix(turn)
    translation = torch.stack([0.02 * wave(0.3, 0), 0.05 + 0.01 * wave(0.4, 1), 0.8 + 0.03 * wave(0.2, 0)], 1)
    focal, size = 900.0, (512, 480)
    vertices = head.vertices(shape[None], expression, jaw, torch.zeros(frames, 3), eyes)
    seen = transform(head.landmarks.points(vertices), matrix_to_axis_angle(rotation), translation)
    flat = focal * seen[..., :2] / seen[..., 2:] + torch.tensor(size) / 2
    gap = (flat[:, 13] - flat[:, 14]).norm(dim=-1)
    iod = float((flat[:, 33] - flat[:, 263]).norm(dim=-1).median())
    noisy = flat + noise_iod * iod * torch.randn(flat.shape, generator=g)
    return Truth(shape, expression, jaw, eyes, rotation, translation, focal, size, noisy, gap)


class ArraySource:
    """Frames from a list."""

    def __init__(self, frames: list[NDArray[np.uint8]]):
        self._frames = frames

    @property
    def count(self) -> int:
        return len(self._frames)

    @property
    def size_px(self) -> tuple[int, int]:
        height, width = self._frames[0].shape[:2]
        return width, height

    def frames(self, start: int = 0, stop: int | None = None):
        yield from self._frames[start:stop]


def clip_of(frames: list[NDArray[np.uint8]]) -> ReferenceClip:
    """A clip of given pictures."""
    source = ArraySource(frames)
    return ReferenceClip(
        path=None, name="pictures", source=source, fps=Fraction(25), start_s=0.0,
        duration_s=Fraction(len(frames), 25), audio=None, report=ClipReport("good", ()), sha256="0" * 64,
    )  # fmt: skip


def blank_clip(truth: Truth) -> ReferenceClip:
    """A clip of the right size and length whose pictures nobody looks at."""
    width, height = truth.size_px
    return clip_of([np.zeros((height, width, 3), np.uint8)] * len(truth.jaw_rad))
