"""Sound -> MotionTrack on the shipped default path, and its switches."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.expression import load_prior, speak
from ggtalker_core.expression.channels import INDEX, lip_gap_mm
from ggtalker_core.expression.coarticulation import Manner, mouth_channels
from ggtalker_core.expression.rest import rest_weight, silent_frames
from ggtalker_core.expression.speaking import channel_gains, retime, smooth
from ggtalker_core.head import load_head
from ggtalker_core.types import AudioTrack, SpeakingStyle

ARKIT = load_head().arkit


def babble(seconds=2.0, rate=16000, seed=0):
    """Noise bursts: not speech, but something to answer to."""
    g = torch.Generator().manual_seed(seed)
    n = round(seconds * rate)
    bursts = (torch.sin(2 * torch.pi * 3 * torch.arange(n) / rate) > 0).float()
    return AudioTrack((torch.randn(1, n, generator=g) * bursts * 0.1).clamp(-1, 1), rate)


def gap(motion):
    """Lip gap from the 53 numbers, through the head's ARKit map."""
    weights = ARKIT.to_weights(motion.expression, motion.jaw_rad)
    names = {n: i for i, n in enumerate(ARKIT.names)}
    columns = [weights[:, names.get(c, names.get(c + "Left", 0))] for c in INDEX]
    return lip_gap_mm(torch.stack(columns, 1))


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24), 60])
def test_length(wide_prior, fps):
    audio = babble(1.23, 44100)
    motion = speak(audio, prior=wide_prior, fps=fps, steps=2)
    exact = audio.duration_s * Fraction(fps)
    assert motion.count == -(-exact.numerator // exact.denominator)
    assert motion.fps == fps and not motion.covers_upper_face and motion.audio is audio


def test_seed(wide_prior):
    a, b, c = (speak(babble(), prior=wide_prior, seed=s, steps=2) for s in (1, 1, 2))
    assert torch.equal(a.expression, b.expression) and torch.equal(a.jaw_rad, b.jaw_rad)
    assert not torch.allclose(a.expression, c.expression, atol=1e-4)


def test_only_the_mouth_moves(wide_prior):
    motion = speak(babble(), prior=wide_prior, steps=2)
    weights = ARKIT.to_weights(motion.expression, motion.jaw_rad)
    assert float(weights[:, ARKIT.upper].abs().max()) < 1e-4
    assert float(weights[:, ARKIT.mouth].abs().max()) > 0.01
    assert float(motion.jaw_rad[:, 1:].abs().max()) == 0


@pytest.mark.parametrize("samples", [1, 800])
def test_very_short_sound(samples):
    motion = speak(AudioTrack(torch.full((1, samples), 0.1), 16000))
    assert motion.count == -(-samples // 640)


def test_digital_silence_is_the_rest_pose_exactly():
    motion = speak(AudioTrack(torch.zeros(2, 44100 * 3), 44100))
    assert motion.count == 75
    assert float(motion.expression.abs().max()) == 0 and float(motion.jaw_rad.abs().max()) == 0


def test_style_sets_rest_and_gains(wide_prior):
    style = SpeakingStyle(torch.full((50,), 0.3), torch.tensor([0.02, 0.0, 0.0]), mouth_gain=0.5, jaw_gain=2.0)
    plain, styled = speak(babble(), prior=wide_prior, steps=2), speak(babble(), prior=wide_prior, steps=2, style=style)
    assert torch.allclose(styled.jaw_rad[:, 0] - 0.02, plain.jaw_rad[:, 0] * 0.5 * 2.0, atol=1e-5)
    silence = AudioTrack(torch.zeros(1, 16000), 16000)
    still = speak(silence, prior=wide_prior, steps=2, style=style)
    assert torch.allclose(still.expression, style.rest_expression.expand(25, 50))
    assert torch.allclose(still.jaw_rad, style.rest_jaw_rad.expand(25, 3))


def test_gains_of_the_user(wide_prior):
    still = speak(babble(), prior=wide_prior, steps=2, mouth_gain=0.0)
    assert float(still.expression.abs().max()) == 0 and float(still.jaw_rad.abs().max()) == 0
    for bad in (
        {"mouth_gain": -0.1},
        {"jaw_gain": 4.0},
        {"smoothing": 1.5},
        {"fps": 0},
        {"steps": 0},
        {"guidance": -1.0},
    ):
        with pytest.raises(InvalidInputError):
            speak(babble(0.2), prior=wide_prior, **{"steps": 2, **bad})


def test_a_smaller_jaw_still_closes():
    """jaw_gain scales jawOpen together with the mouthClose that undoes it."""
    channels = torch.zeros(1, 13)
    channels[0, 0] = 0.2
    channels[0, INDEX["mouthClose"]] = (0.2 * 36.24 + 0.7) / 34.2
    for gain in (0.5, 1.0, 1.5):
        scaled = channels.clone()
        scaled[0, 0] *= gain
        scaled[0, INDEX["mouthClose"]] *= gain
        assert float(lip_gap_mm(scaled)) == pytest.approx(0.1, abs=0.4)


def test_smoothing_calms(wide_prior):
    rough, calm = speak(babble(), prior=wide_prior, steps=2), speak(babble(), prior=wide_prior, steps=2, smoothing=1.0)
    assert float(calm.expression.diff(dim=0).abs().mean()) < 0.7 * float(rough.expression.diff(dim=0).abs().mean())
    constant = torch.full((30, 2), 0.7)
    assert torch.allclose(smooth(constant, 1.2), constant)


def test_retime_keeps_polynomials_and_closures():
    t = (torch.arange(50) + 0.5) / 25
    motion = torch.stack([3 * t + 1, t**2], 1)
    got = retime(motion, Fraction(25), Fraction(60), 120)
    u = (torch.arange(120) + 0.5) / 60
    inside = slice(5, 114)
    assert torch.allclose(got[inside, 0], (3 * u + 1)[inside], atol=1e-4)
    assert torch.allclose(got[inside, 1], (u**2)[inside], atol=1e-3)
    assert torch.equal(retime(motion, Fraction(25), Fraction(25), 50), motion)


def test_finding_silence():
    level = torch.tensor([-20.0] * 5 + [-100.0] * 3 + [-20.0] * 5 + [-100.0] * 8 + [-20.0])
    got = silent_frames(level, -65, 5)
    assert got.nonzero()[:, 0].tolist() == list(range(13, 21))
    assert bool(silent_frames(torch.full((3,), -120.0), -65, 5).all())  # all silent, however short
    weight = rest_weight(got)
    assert float(weight[12]) == 0 and float(weight[21]) == 0 and float(weight.max()) > 0.5
    long = torch.zeros(60, dtype=torch.bool)
    long[20:] = True
    weight = rest_weight(long)
    assert float(weight[19]) == 0 and bool((weight[24:] == 1).all()) and bool((weight.diff() >= 0).all())


def test_pauses_of_digital_silence_inside_speech_rest():
    a, b = babble(2.0), babble(2.0, seed=1)
    audio = AudioTrack(torch.cat([a.waveform, torch.zeros(1, 32000), b.waveform], 1), 16000)
    motion = speak(audio)
    inside = motion.expression[50 + 8 : 100 - 8]
    assert float(inside.abs().max()) == 0


def test_long_sound_has_no_seams(media, read_wav):
    """The mouth moves no faster across the joints of the denoiser's windows (4 s) than within."""
    motion = speak(read_wav(media / "audio" / "zh_f_53s_16k.wav"))
    speed = motion.expression.diff(dim=0).norm(dim=1)
    joints = speed[torch.arange(100, len(speed), 100) - 1]
    assert float(joints.mean()) < 1.6 * float(speed.mean())
    assert float(joints.max()) <= float(speed.max())


def test_amplitude_of_real_speech(media, read_wav):
    motion = speak(read_wav(media / "audio" / "en_f_katie_16k.wav"))
    jaw = ARKIT.to_weights(motion.expression, motion.jaw_rad)[:, ARKIT.index("jawOpen")].numpy()
    assert np.percentile(jaw, 99) < 0.45
    assert 0.03 < jaw.std() < 0.15
    assert float(np.percentile(gap(motion).numpy(), 95)) > 5  # lively, in millimetres


def test_the_bundled_prior_knows_manners(read_wav):
    """The network itself, not a gain: a wide manner opens the mouth further than a small one, and lips still meet."""
    audio = read_wav(Path(__file__).parent / "data" / "utterance.wav")
    small, wide = (gap(speak(audio, manner=Manner(amplitude=a))).numpy() for a in (0.8, 1.25))
    assert np.percentile(wide, 90) > 1.15 * np.percentile(small, 90)
    assert wide.min() < 0.6


def test_bundled_prior_is_shared():
    assert load_prior() is load_prior()


def test_a_persons_gain_opens_the_mouth_and_does_not_round_it():
    style = SpeakingStyle(torch.zeros(50), torch.zeros(3), mouth_gain=1.8, jaw_gain=0.5)
    gains = channel_gains(style, jaw_gain=2.0)
    assert float(gains[INDEX["mouthLowerDown"]]) == pytest.approx(1.8)
    assert float(gains[INDEX["jawOpen"]]) == float(gains[INDEX["mouthClose"]]) == pytest.approx(1.8)
    assert all(float(gains[INDEX[name]]) == 1.0 for name in ("mouthPucker", "mouthFunnel", "mouthStretch"))
    shut, _ = mouth_channels([(0.0, 0.3, "o"), (0.3, 0.5, "m"), (0.5, 0.8, "o")], 0.8)
    wide = SpeakingStyle(torch.zeros(50), torch.zeros(3), mouth_gain=1.8)
    assert lip_gap_mm(torch.from_numpy(shut) * channel_gains(wide))[8:12].min() < 0.3  # closed lips stay closed
