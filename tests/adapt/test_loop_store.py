"""The body loop within the size of a file."""

from __future__ import annotations

import numpy as np
import pytest

from ggtalker_core.adapt import AdaptConfig
from ggtalker_core.adapt.body_loop import decode_jpeg, encode_jpeg, encode_png
from ggtalker_core.adapt.loop_store import LoopStore

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
MATTE = np.full((48, 64), 255, np.uint8)
WEIGHT = {quality: len(encode_jpeg(IMAGE, quality)) + len(encode_png(MATTE)) for quality in (92, 90, 88, 85)}


def filled(budget: float, count: int = 20, least: int = 3) -> LoopStore:
    store = LoopStore(count, 92, budget, least)
    for _ in range(count):
        store.add(IMAGE, MATTE)
    assert len(store.jpegs) == len(store.pngs)
    return store


def test_with_room_nothing_gives_way():
    store = filled(1e9)
    assert store.quality == 92 and len(store.jpegs) == 20
    assert decode_jpeg(store.jpegs[-1]).shape == IMAGE.shape


def test_quality_gives_way_first():
    store = filled(20 * WEIGHT[88] * 1.1)
    assert store.quality == 88 and len(store.jpegs) == 20


def test_then_length_but_not_below_the_least():
    short = filled(10.5 * WEIGHT[85])
    assert short.quality == 85 and len(short.jpegs) == 10
    assert len(filled(1.0).jpegs) == 3


@pytest.mark.parametrize("preset", ["draft", "standard", "full"])
def test_the_file_of_every_preset_has_room_for_a_loop(preset: str):
    config = AdaptConfig.named(preset)
    assert 20 < config.loop_mb < config.file_mb < 60
