"""The cached training set: shards of encoder features and mouth targets, 30 s a chunk (see tools/speech/corpus.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError
from .losses import Scale

MAX_WEIGHT = 1.0  # ARKit weights of the targets are kept under this


@dataclass(frozen=True)
class Batch:
    """Windows of the training set."""

    features: Tensor  # [B, T, F]
    channels: Tensor  # [B, T, 13] z-scored targets
    manner: Tensor  # [B, 4]
    closure: Tensor  # [B, T] in [0, 1]
    place: Tensor  # [B, 2] chunk and first frame, to find precomputed conditions


@dataclass(frozen=True)
class TrainingSet:
    """All shards in memory, as float16 (51 KB per second of sound)."""

    features: Tensor  # [N, T, F]
    channels: Tensor  # [N, M, T, 13]: M manners of speaking the same chunk, the first of them plain
    manners: Tensor  # [N, M, 4]
    closure: Tensor  # [N, T]

    @staticmethod
    def load(folder: Path, limit: int | None = None) -> TrainingSet:
        """Read every shard of `folder` (at most `limit`). Raises InvalidInputError when there is none."""
        from safetensors.torch import load_file

        paths = sorted(folder.glob("*.safetensors"))[:limit]
        if not paths:
            raise InvalidInputError(f"No training shards (*.safetensors) in {folder}.")
        shards = [load_file(p) for p in paths]
        parts = [torch.cat([s[n] for s in shards]) for n in ("features", "channels", "manners", "closure")]
        parts[1] = parts[1].clamp(max=MAX_WEIGHT)
        return TrainingSet(*parts)

    def scale(self) -> Scale:
        """z-scoring of the plain targets; small channels are not blown up."""
        flat = self.channels[:, 0].float().reshape(-1, self.channels.shape[-1])
        return Scale(flat.mean(0), flat.std(0) + 0.02)

    def feature_statistics(self, chunks: int = 100) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the features [F], from the first `chunks` chunks."""
        part = self.features[:chunks].float().reshape(-1, self.features.shape[-1])
        return part.mean(0), part.std(0).clamp(min=1e-3)

    def draw(self, rng: np.random.Generator, size: int, frames: int, scale: Scale, plain: bool) -> Batch:
        """`size` random windows of `frames` frames; `plain` takes the first manner only."""
        n, m, t, _ = self.channels.shape
        chunk, first = rng.integers(0, n, size), rng.integers(0, t - frames + 1, size)
        manner = np.zeros(size, np.int64) if plain else rng.integers(0, m, size)
        take = [slice(int(a), int(a) + frames) for a in first]
        return Batch(
            torch.stack([self.features[int(c), s] for c, s in zip(chunk, take)]).float(),
            scale.normalise(
                torch.stack([self.channels[int(c), int(k), s] for c, k, s in zip(chunk, manner, take)]).float()
            ),
            torch.stack([self.manners[int(c), int(k)] for c, k in zip(chunk, manner)]).float(),
            torch.stack([self.closure[int(c), s] for c, s in zip(chunk, take)]).float(),
            torch.from_numpy(np.stack([chunk, first], 1)),
        )
