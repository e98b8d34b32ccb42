"""The two parts of a clip cannot see each other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.evaluate.config import EvaluateConfig
from ggtalker_core.evaluate.split import split
from ggtalker_core.types import AudioTrack, ClipReport, ReferenceClip


class Source:
    def __init__(self, count: int):
        self.count, self.size_px, self.asked = count, (8, 6), set()

    def frames(self, start=0, stop=None):
        for i in range(start, self.count if stop is None else stop):
            self.asked.add(i)
            yield np.full((6, 8, 3), i, np.uint8)


def clip_of(count: int) -> ReferenceClip:
    fps = Fraction(25)
    audio = AudioTrack(torch.arange(count * 640).float()[None] / 1e6, 16_000)
    return ReferenceClip(None, "c", Source(count), fps, 0.0, count / fps, audio, ClipReport("good", ()), "0" * 64)


def test_sizes_are_the_papers():
    for n, fit in ((502, 456), (200, 181), (628, 570), (11, 10)):
        a, b = split(clip_of(n), EvaluateConfig())
        assert (a.count, b.count) == (fit, n - fit)


def test_parts_hold_their_own_frames_and_sound():
    clip = clip_of(110)
    a, b = split(clip, EvaluateConfig())
    assert [int(f[0, 0, 0]) for f in a.frames()] == list(range(100))
    assert clip.source.asked == set(range(100)), "the fit touched test frames"
    assert [int(f[0, 0, 0]) for f in b.frames(2, 4)] == [102, 103]
    assert torch.equal(torch.cat([a.audio.waveform, b.audio.waveform], 1), clip.audio.waveform)
    assert b.start_s == 4.0 and b.duration_s == Fraction(10, 25)


def test_ranges_cannot_reach_over():
    a, b = split(clip_of(110), EvaluateConfig())
    for part, start, stop in ((a, 0, 101), (a, 100, 105), (b, -1, 3), (b, 0, 11)):
        with pytest.raises(InvalidInputError):
            part.frames(start, stop)


def test_too_short():
    with pytest.raises(InvalidInputError, match="too few"):
        split(clip_of(1), EvaluateConfig())
    with pytest.raises(InvalidInputError):
        EvaluateConfig(fit_share=Fraction(1))
    with pytest.raises(InvalidInputError):
        EvaluateConfig(test_step=0)
