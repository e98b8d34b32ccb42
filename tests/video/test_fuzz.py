"""Thousands of damaged bytes: a clean error or a clip, never anything else."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ggtalker_core.errors import GGTalkerError
from ggtalker_core.files import Limits
from ggtalker_core.video import open_clip, read_audio

from .helpers import make

ROUNDS = int(os.environ.get("GGTALKER_FUZZ_ROUNDS", "60"))


def damaged(data: bytes, seed: int) -> bytes:
    """A few changed bytes; every third time in the index, where they hurt most."""
    rng = np.random.default_rng(seed)
    out = bytearray(data)
    low, high = 0, len(out)
    if seed % 3 == 0 and (at := data.find(b"moov")) > 0:
        low = at
    for _ in range(int(rng.integers(1, 12))):
        out[int(rng.integers(low, high))] = int(rng.integers(0, 256))
    if seed % 5 == 0:
        a = int(rng.integers(0, high - 40))
        del out[a : a + int(rng.integers(1, 40))]
    return bytes(out)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mpg"])
def test_damaged_videos(tmp_path, suffix):
    codec = {".avi": "mpeg4", ".mpg": "mpeg1video"}.get(suffix, "libx264")
    whole = make(tmp_path / f"w{suffix}", 20, codec=codec, sound_hz=16000).read_bytes()
    opened = 0
    for seed in range(ROUNDS):
        path = tmp_path / f"d{suffix}"
        path.write_bytes(damaged(whole, seed))
        try:
            clip = open_clip(path, limits=Limits(max_side_px=512, max_frames=500))
            assert sum(1 for _ in clip.frames()) == clip.count
            opened += 1
        except GGTalkerError as error:
            assert len(str(error)) > 20
    assert opened > 0


def test_damaged_sounds(tmp_path):
    from .test_sound import write_wav

    whole = write_wav(tmp_path / "w.wav", np.zeros((2, 300)), 16000).read_bytes()
    for seed in range(ROUNDS):
        (tmp_path / "d.wav").write_bytes(damaged(whole[:60], seed) + whole[60:])
        try:
            assert read_audio(tmp_path / "d.wav", max_seconds=10).waveform.isfinite().all()
        except GGTalkerError as error:
            assert len(str(error)) > 20
