"""Sound in every form -> features for every frame."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ggtalker_core.errors import InvalidInputError, LimitExceededError
from ggtalker_core.speech import encode_speech
from ggtalker_core.speech.config import SpeechConfig
from ggtalker_core.speech.encoder import SpeechEncoder
from ggtalker_core.speech.features import at_frame_rate, frame_level_db, prepare
from ggtalker_core.types import AudioTrack

TINY = SpeechEncoder(SpeechConfig.tiny()).eval()


def track(seconds=1.0, rate=16000, channels=1):
    return AudioTrack(torch.randn(channels, max(1, round(seconds * rate))) * 0.1, rate)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24), Fraction(60), Fraction(10)])
def test_frame_count_is_the_ceiling(fps):
    for seconds in (0.04, 1.0, 3.337):
        audio = track(seconds, 44100)
        features = encode_speech(audio, fps, encoder=TINY)
        exact = audio.duration_s * fps
        want = -(-exact.numerator // exact.denominator)
        assert features.values.shape == (want, 64) and features.level_db.shape == (want,)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (48000, 6), (96000, 1), (16001, 2)])
def test_rates_and_channels(rate, channels):
    features = encode_speech(track(0.5, rate, channels), 25, encoder=TINY)
    assert features.values.shape == (13, 64)
    assert bool(features.values.isfinite().all())


@pytest.mark.parametrize("samples", [1, 2, 639, 800])
def test_very_short_sound(samples):
    features = encode_speech(AudioTrack(torch.ones(1, samples) * 0.1, 16000), 25, encoder=TINY)
    assert len(features.values) == -(-samples // 640)


def test_more_frames_than_sound():
    assert encode_speech(track(1), 25, 40, encoder=TINY).values.shape == (40, 64)


def test_at_25_fps_pairs_of_states_are_stacked():
    states = torch.randn(50, 3)
    got = at_frame_rate(states, 50, Fraction(25), 25)
    assert torch.equal(got, states.reshape(25, 6))


def test_other_rates_interpolate_linearly():
    states = torch.arange(100.0)[:, None]  # state k stands at k / 50 s
    got = at_frame_rate(states, 50, Fraction(30), 50)
    centre = (torch.arange(50) + 0.5) / 30 * 50
    assert torch.allclose(got[5:, 0], centre[5:] - 1, atol=1e-4)
    assert torch.allclose(got[5:, 1], centre[5:], atol=1e-4)


def test_level_of_known_sounds():
    x = torch.cat([torch.zeros(16000), torch.full((16000,), 0.1)])
    level = frame_level_db(x, 16000, Fraction(25), 51)
    assert torch.allclose(level[:25], torch.full((25,), -120.0))
    assert torch.allclose(level[25:50], torch.full((25,), -20.0), atol=1e-3)
    assert float(level[50]) == -120


def test_loudness_is_made_equal_but_silence_is_not_amplified():
    loud, _ = prepare(AudioTrack(torch.randn(1, 16000) * 0.2, 16000))
    soft, heard = prepare(AudioTrack(torch.randn(1, 16000) * 0.02, 16000))
    assert abs(float(loud.std() / soft.std()) - 1) < 0.1
    assert abs(float(heard.std()) - 0.02) < 1e-3
    hiss, _ = prepare(AudioTrack(torch.randn(1, 16000) * 1e-5, 16000))
    assert float(hiss.abs().max()) < 0.01
    zeros, _ = prepare(AudioTrack(torch.zeros(1, 16000), 16000))
    assert float(zeros.abs().max()) == 0


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (torch.zeros(1, 0), "empty"),
        (torch.zeros(0, 100), "empty"),
        (torch.tensor([[0.0, float("nan")]]), "1 samples that are NaN"),
        (torch.tensor([[0.0, float("inf")]]), "infinite"),
    ],
)
def test_bad_sound(waveform, words):
    with pytest.raises(InvalidInputError, match=words):
        encode_speech(AudioTrack(waveform, 16000), 25, encoder=TINY)


def test_too_long_is_refused_before_any_work():
    with pytest.raises(LimitExceededError, match="limit of 1800 s"):
        encode_speech(AudioTrack(torch.zeros(1, 1).expand(1, 1801 * 100), 100), 25, encoder=TINY)


@pytest.mark.parametrize("fps", [0, -25, 1000])
def test_bad_fps(fps):
    with pytest.raises(InvalidInputError, match="fps"):
        encode_speech(track(), fps, encoder=TINY)


def test_progress_can_cancel():
    def cancel(done, total, message="", preview=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_speech(track(5), 25, encoder=TINY, progress=cancel)


def test_importing_the_package_loads_neither_torch_nor_torchaudio():
    root = Path(__file__).resolve().parents[2]
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('ggtalker_core', r'{root}/ggtalker_core/__init__.py', "
        f"submodule_search_locations=[r'{root}/ggtalker_core'])\n"
        "m = importlib.util.module_from_spec(spec); sys.modules['ggtalker_core'] = m; spec.loader.exec_module(m)\n"
        "import ggtalker_core.speech, ggtalker_core.expression\n"
        "assert 'torch' not in sys.modules\n"
        "import ggtalker_core.expression.speaking\n"
        "assert 'torchaudio' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
