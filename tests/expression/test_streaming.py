"""The stream against the whole-file answer: latency, joints, pieces of any size, silence, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.expression import speak
from ggtalker_core.expression.config import SpeakConfig
from ggtalker_core.expression.streaming import BLOCK, LOOK_AHEAD, SpeechStream, stream_speech
from ggtalker_core.types import AudioTrack

QUICK = SpeakConfig(steps=2)


def noise(seconds, rate=16000, seed=0):
    g = torch.Generator().manual_seed(seed)
    return AudioTrack((torch.randn(1, round(seconds * rate), generator=g) * 0.1).clamp(-1, 1), rate)


def test_latency_is_under_half_a_second_and_nothing_is_lost(wide_prior):
    audio, stream, count = noise(2.53), SpeechStream(16000, prior=wide_prior, settings=QUICK), 0
    for i in range(0, audio.waveform.shape[1], 800):
        got = stream.feed(audio.waveform[:, i : i + 800])
        count += 0 if got is None else got.count
        heard = min(i + 800, audio.waveform.shape[1]) / 16000
        assert heard - count / 25 < (BLOCK + LOOK_AHEAD) / 25 + 1e-9 <= 0.5
        assert count == stream.frames_out
    last = stream.finish()
    assert count + last.count == 64  # ceil(2.53 s x 25)
    assert stream.finish() is None
    with pytest.raises(InvalidInputError, match="finished"):
        stream.feed(torch.zeros(10))


def test_the_size_of_the_pieces_does_not_matter(wide_prior):
    audio = noise(1.5, 22050)
    a, b = (stream_speech(audio, c, prior=wide_prior, settings=QUICK) for c in (0.05, 0.2))
    assert a.count == b.count == 38
    assert torch.allclose(a.expression, b.expression, atol=0.05)


def test_it_is_the_same_motion_as_of_the_whole_file(read_wav):
    """The bundled prior on a real (synthetic) voice: close to the offline answer, and no step where blocks meet."""
    audio = read_wav(Path(__file__).parent / "data" / "utterance.wav")
    whole, live = speak(audio), stream_speech(audio)
    assert live.count == whole.count
    a, b = whole.jaw_rad[:, 0].numpy(), live.jaw_rad[:, 0].numpy()
    assert np.corrcoef(a, b)[0, 1] > 0.9
    speed = live.expression.diff(dim=0).norm(dim=1)
    joints = speed[torch.arange(BLOCK, len(speed), BLOCK) - 1]
    assert float(joints.mean()) < 1.4 * float(speed.mean())


def test_silence_rests_and_memory_does_not_grow(wide_prior, monkeypatch):
    monkeypatch.setattr("ggtalker_core.expression.streaming.LEVEL_MEMORY_S", 1.0)
    stream = SpeechStream(16000, prior=wide_prior, settings=SpeakConfig(steps=1))
    for _ in range(7):
        got = stream.feed(torch.zeros(16000))
        assert got is None or float(got.expression.abs().max()) == 0
    assert len(stream._sound) < 6 * 16000


def test_bad_sound_is_refused(wide_prior):
    with pytest.raises(InvalidInputError, match="8000"):
        SpeechStream(4000, prior=wide_prior)
    with pytest.raises(InvalidInputError, match="NaN"):
        SpeechStream(16000, prior=wide_prior).feed(torch.tensor([0.0, float("nan")]))
