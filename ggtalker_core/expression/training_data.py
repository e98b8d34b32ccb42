"""The cached training set: shards of encoder features and mouth targets, 30 s a chunk (see tools/speech/corpus.py).

Synthetic speech and tracked clips of people come in the same format; folders are mixed by weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError
from .losses import Scale
from .shards import NAMES, read_shard, shard_paths

MAX_WEIGHT = 1.0  # ARKit weights of the targets are kept under this


@dataclass(frozen=True)
class Batch:
    """Windows of the training set."""

    features: Tensor  # [B, T, F]
    channels: Tensor  # [B, T, 13] z-scored targets
    manner: Tensor  # [B, 4]
    closure: Tensor  # [B, T] in [0, 1]
    place: Tensor  # [B, 2] chunk and first frame, to find precomputed conditions
    style: Tensor  # [B, R, 13] z-scored motion of the same speaker at another place; R = 0 when not asked for


@dataclass(frozen=True)
class TrainingSet:
    """All shards in memory, as float16 (51 KB per second of sound)."""

    features: Tensor  # [N, T, F]
    channels: Tensor  # [N, M, T, 13]: M manners of speaking the same chunk, the first of them plain
    manners: Tensor  # [N, M, 4]
    closure: Tensor  # [N, T]
    frames: Tensor  # [N] int64: how many of the T frames are there (a tracked clip may be shorter than a chunk)
    weights: Tensor  # [N] float64: how often a chunk is drawn, adds up to 1

    @staticmethod
    def load(
        folders: Path | Sequence[Path],
        limit: int | None = None,
        weights: Sequence[float] = (),
        order: np.random.Generator | None = None,
    ) -> TrainingSet:
        """Read every shard of the folders (of each at most `limit`: the first, or with `order` a random choice).

        weights: how often a second of each folder is drawn, against the others (default: alike).
        Raises InvalidInputError when a folder holds no shard, or when the shards do not fit together.
        """
        folders = [folders] if isinstance(folders, Path) else list(folders)
        loaded = [_read_folder(folder, limit, order) for folder in folders]
        given = list(weights) or [1.0] * len(loaded)
        if len(given) != len(loaded) or min(given) <= 0:
            raise InvalidInputError(f"One positive weight per folder is needed, got {given} for {len(loaded)} folders.")
        if len({(part["features"].shape[1:], part["channels"].shape[2:]) for part in loaded}) > 1:
            raise InvalidInputError("The training folders hold different features or chunk lengths; make them again.")
        most = max(part["channels"].shape[1] for part in loaded)
        for part in loaded:  # tracked clips have one manner, synthetic speech several: repeat
            for name in ("channels", "manners"):
                times = -(-most // part[name].shape[1])
                part[name] = part[name].repeat(1, times, *[1] * (part[name].ndim - 2))[:, :most]
        drawn = torch.cat([w * part["frames"].double() for w, part in zip(given, loaded)])
        tensors = {name: torch.cat([part[name] for part in loaded]) for name in loaded[0]}
        return TrainingSet(**tensors, weights=drawn / drawn.sum())

    def scale(self) -> Scale:
        """z-scoring of the plain targets; small channels are not blown up."""
        flat = self.channels[:, 0].float().reshape(-1, self.channels.shape[-1])
        return Scale(flat.mean(0), flat.std(0) + 0.02)

    def feature_statistics(self, chunks: int = 100) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the features [F], from the first `chunks` chunks."""
        part = self.features[:chunks].float().reshape(-1, self.features.shape[-1])
        return part.mean(0), part.std(0).clamp(min=1e-3)

    def draw(
        self, rng: np.random.Generator, size: int, frames: int, scale: Scale, plain: bool, style_frames: int = 0
    ) -> Batch:
        """`size` random windows of `frames` frames; `plain` takes the first manner only.

        With `style_frames`, every window comes with that many other frames of the same chunk and manner.
        """
        n, m = self.channels.shape[:2]
        chunk = rng.choice(n, size, p=self.weights.numpy())
        first = rng.integers(0, (self.frames[chunk] - frames).clamp(min=0).numpy() + 1)
        manner = np.zeros(size, np.int64) if plain else rng.integers(0, m, size)
        take = [slice(int(a), int(a) + frames) for a in first]
        other = rng.integers(0, (self.frames[chunk] - style_frames).clamp(min=0).numpy() + 1)
        seen = [slice(int(a), int(a) + style_frames) for a in other]
        return Batch(
            torch.stack([self.features[int(c), s] for c, s in zip(chunk, take)]).float(),
            scale.normalise(
                torch.stack([self.channels[int(c), int(k), s] for c, k, s in zip(chunk, manner, take)]).float()
            ),
            torch.stack([self.manners[int(c), int(k)] for c, k in zip(chunk, manner)]).float(),
            torch.stack([self.closure[int(c), s] for c, s in zip(chunk, take)]).float(),
            torch.from_numpy(np.stack([chunk, first], 1)),
            scale.normalise(
                torch.stack([self.channels[int(c), int(k), s] for c, k, s in zip(chunk, manner, seen)]).float()
            ),
        )


def _read_folder(folder: Path, limit: int | None, order: np.random.Generator | None) -> dict[str, Tensor]:
    paths = shard_paths(folder)
    if order is not None:
        paths = [paths[i] for i in order.permutation(len(paths))]
    paths = paths[:limit]
    if not paths:
        raise InvalidInputError(f"No training shards (*.safetensors, *.tar) in {folder}.")
    shards = [read_shard(p) for p in paths]
    part = {n: torch.cat([s[n] for s in shards]) for n in (*NAMES, "frames")}
    part["channels"] = part["channels"].clamp(max=MAX_WEIGHT)
    return part
