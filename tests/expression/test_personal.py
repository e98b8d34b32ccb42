"""Personal style: tokens tell manners apart, a known style is recovered from a track, speak takes the token."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.expression import load_prior, speak
from ggtalker_core.expression.channels import lip_gap_mm, to_expression
from ggtalker_core.expression.coarticulation import Manner
from ggtalker_core.expression.config import SpeakConfig
from ggtalker_core.expression.personal import fine_tune, style_token, track_channels
from ggtalker_core.expression.prior import load_style_prior
from ggtalker_core.expression.speaking import mouth_motion
from ggtalker_core.head import load_head
from ggtalker_core.speech import encode_speech
from ggtalker_core.types import SpeakingStyle, Track

ARKIT = load_head().arkit
WIDE, SMALL = Manner(amplitude=1.25, jaw=1.25), Manner(amplitude=0.8, jaw=0.8)


def said(audio, manner):
    """What a known speaker does with the sound: mouth channels [T, 13]."""
    return mouth_motion(encode_speech(audio), load_style_prior(), 3, SpeakConfig(), manner)


def as_track(channels):
    """A track of these channels, with a resting pose of its own."""
    expression, jaw = to_expression(channels, ARKIT)
    t = len(expression)
    return Track(
        head_model="default", fps=Fraction(25), size_px=(64, 64), shape=torch.zeros(10),
        expression=expression + 0.02, jaw_rad=jaw, neck_rad=torch.zeros(t, 3), eyes_rad=torch.zeros(t, 6),
        rotation_rad=torch.zeros(t, 3), translation_m=torch.zeros(t, 3), intrinsics_px=torch.eye(3),
        valid=torch.ones(t, dtype=torch.bool), error_px=torch.zeros(t), landmarks_px=torch.zeros(t, 478, 2),
        clip_sha256="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def voice():
    import wave

    import numpy as np

    from ggtalker_core.types import AudioTrack

    with wave.open(str(Path(__file__).parent / "data" / "utterance.wav")) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        audio = AudioTrack(torch.from_numpy(data.copy()).float()[None] / 32768, file.getframerate())
    return AudioTrack(torch.cat([audio.waveform, audio.waveform], 1), audio.sample_rate)


def test_channels_come_back_from_a_track(voice):
    channels = said(voice, None)
    got, _ = track_channels(*to_expression(channels, ARKIT), ARKIT, Fraction(25))
    gap, back = lip_gap_mm(channels), lip_gap_mm(got)
    assert float(torch.corrcoef(torch.stack([gap, back]))[0, 1]) > 0.99


def test_tokens_tell_manners_apart(voice):
    prior = load_style_prior()
    wide, small = (prior.style_of(said(voice, m)) for m in (WIDE, SMALL))
    read = prior.denoiser.styles.manner_of(torch.stack([wide, small]))
    assert float(read[0, :2].sum() - read[1, :2].sum()) > 0.15  # log amplitude and log jaw
    with pytest.raises(InvalidInputError, match="one second"):
        prior.style_of(torch.zeros(10, 13))
    with pytest.raises(InvalidInputError, match="no style tokens"):
        load_prior().style_of(torch.zeros(50, 13))


@pytest.mark.parametrize("manner", [WIDE, SMALL], ids=["wide", "small"])
def test_a_known_style_is_recovered(voice, manner):
    """Fine-tuned on a track of a known manner, the prior opens the mouth as that speaker does, on another seed."""
    prior, true = load_style_prior(), said(voice, manner)
    style = fine_tune(prior, voice, as_track(true), steps=8)
    features = encode_speech(voice)
    plain = mouth_motion(features, prior, 5, SpeakConfig())
    own = mouth_motion(features, prior, 5, SpeakConfig(), None, style=style.token) * style.mouth_gain
    size = [float(lip_gap_mm(c).quantile(0.9)) for c in (true, plain, own)]
    assert abs(size[2] - size[0]) < 0.6 * abs(size[1] - size[0])


def test_speak_takes_the_token(voice):
    rest = torch.zeros(50), torch.zeros(3)
    wide, small = (
        speak(voice, style=SpeakingStyle(*rest, token=style_token(load_style_prior(), as_track(said(voice, m)))))
        for m in (WIDE, SMALL)
    )
    assert not torch.allclose(wide.jaw_rad, small.jaw_rad, atol=2e-3)
    with pytest.raises(InvalidInputError, match="style token"):
        speak(voice, style=SpeakingStyle(*rest, token=torch.zeros(7)))
