"""Tracked clips of people as training data: the same shards as synthetic speech has (see training_data.py).

A clip is cut at shot changes and where the face was lost; what is left of at least LEAST_S becomes chunks of at most
CHUNK_FRAMES. The mouth is taken relative to the person's rest, so that faces that rest differently can be mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..speech.features import encode_speech
from ..types import AudioTrack, Track
from . import shards
from .channels import lip_gap_mm
from .closure import CLOSED_SHARE
from .personal import track_channels
from .speaking import default_arkit

if TYPE_CHECKING:
    from ..head.arkit import ArkitMap

FPS = 25
CHUNK_FRAMES = 750  # as long as the chunks of tools/speech/corpus.py
LEAST_S = 4.6  # a training window (110 frames) must fit


@dataclass(frozen=True)
class Chunk:
    """An unbroken stretch of one person speaking, at 25 frames per second."""

    features: Tensor  # [n, F] float16
    channels: Tensor  # [n, 13] float16
    closure: Tensor  # [n] float16, 1 where the lips meet


def whole_stretches(track: Track, least_s: float = LEAST_S) -> list[tuple[int, int]]:
    """Runs of frames [start, stop) of at least `least_s` seconds with a face throughout and no cut inside."""
    least, start = least_s * float(track.fps), 0
    out: list[tuple[int, int]] = []
    valid, cuts = track.valid.tolist(), set(track.cuts)
    for i in range(track.count + 1):
        if i < track.count and valid[i] and i not in cuts:
            continue
        if i - start >= least:
            out.append((start, i))
        start = i if i < track.count and valid[i] else i + 1
    return out


def training_chunks(audio: AudioTrack, track: Track, *, arkit: ArkitMap | None = None) -> list[Chunk]:
    """The chunks of one clip; audio and track must start together. An empty list when no stretch is long enough.

    Raises what `encode_speech` raises for sound that cannot be used.
    """
    stretches = whole_stretches(track)
    if not stretches:
        return []
    channels, _ = track_channels(track.expression, track.jaw_rad, arkit or default_arkit(), track.fps, FPS)
    features = encode_speech(audio, Fraction(FPS)).values
    gap = lip_gap_mm(channels).clamp(min=0)
    closed = (gap < CLOSED_SHARE * gap.quantile(0.95)).float()
    seconds = min(len(channels), len(features)) / FPS  # the sound may end before the picture
    out: list[Chunk] = []
    for a, b in stretches:
        first = -int(-a * FPS // track.fps)
        last = int(min(b / float(track.fps), seconds) * FPS)
        for start in range(first, last, CHUNK_FRAMES):
            part = slice(start, min(start + CHUNK_FRAMES, last))
            if part.stop - part.start >= LEAST_S * FPS:
                out.append(Chunk(features[part].half(), channels[part].half(), closed[part].half()))
    return out


def write_shard(chunks: Sequence[Chunk], path: Path) -> None:
    """Write chunks as a shard that `TrainingSet.load` reads: padded to CHUNK_FRAMES, one plain manner each.

    Raises InvalidInputError for no chunks.
    """
    if not chunks:
        raise InvalidInputError("A shard needs at least one chunk.")

    def padded(values: Tensor) -> Tensor:
        return torch.cat([values, values.new_zeros(CHUNK_FRAMES - len(values), *values.shape[1:])])

    tensors = {
        "features": torch.stack([padded(c.features) for c in chunks]),
        "channels": torch.stack([padded(c.channels) for c in chunks])[:, None].contiguous(),
        "closure": torch.stack([padded(c.closure) for c in chunks]),
        "manners": torch.zeros(len(chunks), 1, 4, dtype=torch.float16),
        "frames": torch.tensor([len(c.features) for c in chunks], dtype=torch.int32),
    }
    shards.write_shard(path, tensors)
