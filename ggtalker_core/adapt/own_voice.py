"""How far this person opens the mouth, beside the audio prior saying the same words with the same face."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..head.measure import MIDDLE_LIP
from ..progress import Progress, patiently, silent

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel
    from ..types import AudioTrack, MotionTrack, Track

_LISTEN_S = 60.0  # of the clip's sound; more says the same
_SPEECH_M = 1.2e-3  # a prior that opens no further has heard no speech
_WIDEST = 0.75  # from this quantile on
_SAMPLE = Path(__file__).parents[1] / "assets" / "sample" / "sample_voice.wav"
# Of the gain that would make both equal. Words of the clip itself say it well; other words, with other pauses, less so.
_POWER_OWN, _POWER_OTHER = 0.85, 0.7
_GAIN_MIN, _GAIN_MAX = 0.8, 1.8


@dataclass(frozen=True)
class PriorOpening:
    """What the prior does with a face."""

    wide_m: float  # lips apart in the widest quarter of the frames, above the face at rest
    own_words: bool  # in the words of the clip, or in those of the shipped sample

    def gain(self, person_wide_m: float) -> float:
        """The gain that brings the prior to the person, [0.8, 1.8].

        At least 1 without the clip's own words: a person who is not heard may just be listening.
        """
        power, least = (_POWER_OWN, _GAIN_MIN) if self.own_words else (_POWER_OTHER, 1.0)
        ratio = max(person_wide_m, 0.0) / self.wide_m
        return float(min(max(ratio**power, least), _GAIN_MAX))


def prior_opening(
    head: HeadModel, shape: Tensor, audio: AudioTrack | None, *, progress: Progress = silent
) -> PriorOpening | None:
    """Let the prior speak with the face `shape` [S]: the clip's own words, or a sample where it holds no speech.

    None for a head without ARKit meanings, which the prior cannot move. About .07 processor seconds for each second of
    sound, at most a minute of it. Raises what `speak` raises.
    """
    if head.arkit is None:
        return None
    if audio is not None:
        from ..expression import speak

        motion = speak(_beginning(audio, _LISTEN_S), arkit=head.arkit, progress=progress)
        own = _opened(head, shape, motion)
        if own > _SPEECH_M:
            return PriorOpening(own, own_words=True)
    sample = patiently(lambda: _sample_motion(head.name), progress, "listening")
    return PriorOpening(_opened(head, shape, sample), own_words=False)


def person_wide_m(head: HeadModel, track: Track, usable: list[int], rest_m: Tensor) -> float:
    """Metres between the lips in the widest quarter of the usable frames of the clip's first minute, above `rest_m`."""
    inside = [i for i in usable if Fraction(i) / track.fps < _LISTEN_S] or usable
    index = torch.tensor(inside)
    return wide_m(lip_gap(head, track.shape, track.expression[index], track.jaw_rad[index]), rest_m)


def lip_gap(head: HeadModel, shape: Tensor, expression: Tensor, jaw_rad: Tensor) -> Tensor:
    """Metres between the middle of the lips, [T], of expression [T, 50] and jaw_rad [T, 3] on one face [S]."""
    lips = head.subset(head.lip_pairs[MIDDLE_LIP])
    vertices = lips.vertices(shape, expression, jaw_rad, torch.zeros(1, 3), torch.zeros(1, 6))  # [T, 2, 3]
    return (vertices[:, 0] - vertices[:, 1]).norm(dim=-1)


def wide_m(gap_m: Tensor, rest_m: Tensor) -> float:
    """Mean of the widest quarter of the gaps [T], above the gap at rest."""
    return float(gap_m[gap_m >= gap_m.quantile(_WIDEST)].mean() - rest_m)


def _opened(head: HeadModel, shape: Tensor, motion: MotionTrack) -> float:
    rest = lip_gap(head, shape, torch.zeros(1, motion.expression.shape[1]), torch.zeros(1, 3))
    return wide_m(lip_gap(head, shape, motion.expression, motion.jaw_rad), rest[0])


@lru_cache(maxsize=2)
def _sample_motion(head_name: str) -> MotionTrack:
    """The shipped sample's words; always the same, so spoken once."""
    from ..expression import speak
    from ..head import load_head
    from ..video import read_audio

    with torch.inference_mode(False):
        return speak(read_audio(_SAMPLE), arkit=load_head(head_name).arkit)


def _beginning(audio: AudioTrack, seconds: float) -> AudioTrack:
    from ..types import AudioTrack

    return AudioTrack(audio.waveform[:, : round(seconds * audio.sample_rate)].clone(), audio.sample_rate)
