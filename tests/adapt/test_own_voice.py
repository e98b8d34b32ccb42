"""The speaking gain: the prior is brought to what a person's mouth does with the same words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ggtalker_core.adapt.own_voice import PriorOpening, lip_gap, prior_opening, wide_m
from ggtalker_core.adapt.style import speaking_style
from ggtalker_core.expression import speak
from ggtalker_core.gaussians.synthetic import synthetic_track
from ggtalker_core.head import load_head
from ggtalker_core.types import AudioTrack, Track
from ggtalker_core.video import read_audio

SAMPLE = Path(__file__).parents[2] / "ggtalker_core" / "assets" / "sample" / "sample_voice.wav"


@pytest.fixture(scope="module")
def voice() -> AudioTrack:
    whole = read_audio(SAMPLE)
    return AudioTrack(whole.waveform[:, : 3 * whole.sample_rate].clone(), whole.sample_rate)


def talker(voice: AudioTrack, gain: float) -> Track:
    """A track of somebody who moves just as the prior does, `gain` times as far."""
    motion = speak(voice, seed=0)
    track = synthetic_track(motion.count, (128, 128))
    expression, jaw, shape = gain * motion.expression, gain * motion.jaw_rad, torch.zeros_like(track.shape)
    seen = track.landmarks_px.clone()
    seen[:, 14] = seen[:, 13]  # the lower lip below the upper one, as far as they are apart
    seen[:, 14, 1] += 1e4 * lip_gap(load_head(), shape, expression, jaw)
    return dataclasses.replace(track, expression=expression, jaw_rad=jaw, shape=shape, landmarks_px=seen)


@pytest.mark.parametrize("gain", [1.0, 1.6])
def test_a_person_who_opens_so_much_wider_is_found(voice: AudioTrack, gain: float) -> None:
    head, track = load_head(), talker(voice, gain)
    opening = prior_opening(head, track.shape, voice)
    assert opening is not None and opening.own_words
    style = speaking_style(head, track, list(range(track.expression.shape[0])), opening)
    assert style.mouth_gain == pytest.approx(gain**0.85, abs=0.12)


def test_a_clip_without_speech_is_compared_with_other_words() -> None:
    head = load_head()
    shape = torch.zeros(head.n_shape)
    silence = AudioTrack(torch.zeros(1, 32000), 16000)
    without, still = prior_opening(head, shape, None), prior_opening(head, shape, silence)
    assert without == still and without is not None and not without.own_words
    assert 4e-3 < without.wide_m < 15e-3


def test_a_head_without_meanings_has_no_gain() -> None:
    head = dataclasses.replace(load_head(), arkit=None)
    assert prior_opening(head, torch.zeros(head.n_shape), None) is None
    track = synthetic_track(20, (64, 64))
    assert speaking_style(load_head(), track, list(range(20))).mouth_gain == 1.0


def test_gains_stay_within_reason() -> None:
    opening = PriorOpening(5e-3, own_words=True)
    assert [opening.gain(wide) for wide in (-1e-3, 5e-3, 1.0)] == [0.8, 1.0, 1.8]
    assert PriorOpening(5e-3, own_words=False).gain(8e-3) < opening.gain(8e-3)
    # Who is not heard may just be listening: that makes nobody speak with a narrow mouth.
    assert PriorOpening(5e-3, own_words=False).gain(1e-3) == 1.0 > opening.gain(1e-3)


def test_the_widest_quarter_is_meant() -> None:
    assert wide_m(torch.tensor([0.0, 0.0, 0.0, 4e-3]), torch.tensor(1e-3)) == pytest.approx(3e-3)
