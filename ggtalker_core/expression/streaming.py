"""Speech as it comes in -> mouth motion with under half a second of delay.

Sound is fed in pieces of any size. As soon as BLOCK frames are LOOK_AHEAD frames old they are final: the last seconds
are heard again, the denoiser continues the frames it gave before (that is what it was trained on), and only the block
is handed out. Nothing that was handed out is ever changed. Ahead of a voice after a pause (rest.lead_in) the mouth does
not open here: too little sound is heard ahead.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..speech.config import SpeechConfig
from ..speech.features import at_frame_rate, encode_waveform, frame_level_db
from ..speech.resampling import resample
from ..speech.weights import load_encoder
from ..types import AudioTrack, MotionTrack, SpeakingStyle
from .channels import to_expression
from .config import SpeakConfig
from .lips import shut_lips
from .prior import ExpressionPrior, load_prior, load_style_prior
from .regression import Heard
from .rest import rest_weight, silent_frames
from .sampler import sample_window
from .speaking import DIGITAL_SILENCE_DB, channel_gains, default_arkit

if TYPE_CHECKING:
    from ..head.arkit import ArkitMap

FPS = 25
BLOCK = 5  # frames handed out together, 200 ms
LOOK_AHEAD = 7  # frames heard beyond a block before it is final, 280 ms
CONTEXT = 60  # frames heard before a block, 2.4 s
FADE = (0.35, 0.7)  # share of the new answer in the first frames of a block
LEVEL_MEMORY_S = 10.0  # the loudness by which the sound is scaled is that of the last seconds
FIRST_LOUD = 0.05  # until a voice has been heard, it is taken to be at least this loud


class SpeechStream:
    """One voice being spoken now.

    Algorithmic latency: BLOCK + LOOK_AHEAD frames, 480 ms. `frames_out` counts what was handed out, `joints` holds the
    first frame of every block. Not safe for several threads.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        prior: ExpressionPrior | None = None,
        style: SpeakingStyle | None = None,
        seed: int = 0,
        settings: SpeakConfig | None = None,
        arkit: ArkitMap | None = None,
    ):
        """sample_rate in Hz, 8000 or more. Raises InvalidInputError, MissingWeightsError."""
        if sample_rate < 8000:
            raise InvalidInputError(f"A stream needs at least 8000 samples per second, got {sample_rate}.")
        self._rate, self._style, self._settings = sample_rate, style, settings or SpeakConfig()
        styled = style is not None and style.token is not None
        self._prior = prior or (load_style_prior() if styled else load_prior())
        self._token = style.token if style is not None and self._prior.config.style_width else None
        self._arkit, self._encoder = arkit or default_arkit(), load_encoder()
        if self._prior.config.fps != FPS:
            raise InvalidInputError(
                f"The stream runs at {FPS} frames per second, the prior at {self._prior.config.fps}."
            )
        self._sound = torch.zeros(0)  # from sample self._first on
        self._first = 0
        self._total = 0
        self._loudest_db = -120.0
        config = self._prior.config
        self._previous = self._prior.scale.normalise(torch.zeros(1, config.previous, config.channels))
        self._generator, self._noise = torch.Generator().manual_seed(seed), torch.zeros(1, 0, config.channels)
        self._noise_first = 0
        self._ahead = torch.zeros(0, config.channels)  # what the last block foresaw
        self._closed = False
        self.frames_out = 0
        self.joints: list[int] = []

    def feed(self, samples: Tensor) -> MotionTrack | None:
        """Take in samples [S] or [C, S] in [-1, 1]; returns the frames that became final (25 per second), or None.

        Raises InvalidInputError for sound that is not finite, and after `finish`.
        """
        if self._closed:
            raise InvalidInputError("This stream is finished; open a new one.")
        mono = samples.detach().float().reshape(-1, samples.shape[-1]).mean(0)
        if not bool(torch.isfinite(mono).all()):
            raise InvalidInputError("The stream was fed samples that are NaN or infinite.")
        self._sound = torch.cat([self._sound, mono])
        self._total += len(mono)
        parts: list[Tensor] = []
        while self._total * FPS // self._rate >= self.frames_out + BLOCK + LOOK_AHEAD:
            parts.append(self._block(BLOCK, self.frames_out + BLOCK + LOOK_AHEAD))
        return self._motion(parts)

    def finish(self) -> MotionTrack | None:
        """The frames that are left, ceil(seconds * 25) in all; None when there are none."""
        self._closed = True
        last = -(-self._total * FPS // self._rate)
        parts: list[Tensor] = []
        while self.frames_out < last:
            parts.append(self._block(min(BLOCK, last - self.frames_out), last))
        return self._motion(parts)

    def _block(self, count: int, until: int) -> Tensor:
        """The next `count` frames' channels, from what is heard before frame `until`."""
        start = max(0, self.frames_out - CONTEXT)
        values, level = self._hear(start, until)
        offset = self.frames_out - start
        reach = 12  # frames to each side that the trunk looks at: at the live end the last one is held
        held = torch.cat([values, values[-1:].expand(reach, -1)])
        heard = self._prior.hear(held)
        closure = self._prior.closure(held, heard)[offset : len(values)]
        regression = heard.channels[0, offset : len(values)]
        if self._prior.denoiser is not None:
            scores = self._denoise(heard, offset, len(values) - offset)
            self._previous = torch.cat([self._previous, scores[:, :count]], 1)[:, -self._previous.shape[1] :]
            channels = self._prior.settled(scores[0], regression, closure, self._settings, self._token is None)
        else:
            channels = self._prior.scale.restore(regression)
        channels = self._prior.brought_near(
            torch.cat([channels.new_zeros(offset, channels.shape[1]), channels]), values, self._settings.near_share
        )[offset:]
        channels = shut_lips(channels, closure, self._settings.closure_at)
        self._loudest_db = max(self._loudest_db, float(level.max()))
        below = max(
            DIGITAL_SILENCE_DB, min(self._settings.rest_below_db, self._loudest_db - self._settings.rest_range_db)
        )
        weight = rest_weight(silent_frames(level, below, round(self._settings.rest_after_s * FPS)))[offset:]
        channels = channels * (1 - weight)[:, None]
        for i, share in enumerate(FADE[: len(self._ahead)]):  # what was foreseen leads over into what is heard now
            channels[i] = torch.lerp(self._ahead[i], channels[i], share)
        self._ahead = channels[count:]
        self.joints.append(self.frames_out)
        self.frames_out += count
        self._forget()
        return channels[:count]

    def _denoise(self, heard: Heard, offset: int, count: int) -> Tensor:
        """Scores [1, count, 13] that continue the frames handed out so far."""
        p = self._prior.config.previous
        condition = self._prior.style_condition(None, self._token)
        predict = self._prior.predictor(heard, condition, self._settings.guidance)
        first = self.frames_out
        while self._noise_first + self._noise.shape[1] < first + count:  # the same noise as of the whole file
            window = torch.randn(1, self._prior.config.window, self._noise.shape[2], generator=self._generator)
            self._noise = torch.cat([self._noise, window], 1)
        self._noise = self._noise[:, first - self._noise_first :]
        self._noise_first = first
        # The predictor pads p frames before the first; frame `offset` of the heard stretch is where this block begins.
        return sample_window(
            lambda noisy, known, step: predict(noisy, known, step, offset, count),
            self._noise[:, :count] * self._settings.variation, self._previous[:, -p:], self._prior.schedule,
            self._settings.steps,
        )  # fmt: skip

    def _hear(self, start: int, until: int) -> tuple[Tensor, Tensor]:
        """Features and levels of the frames start .. until."""
        config: SpeechConfig = self._encoder.config
        a, b = start * self._rate // FPS - self._first, -(-until * self._rate // FPS) - self._first
        wave = resample(self._sound[max(0, a) : b], self._rate, config.mel.sample_rate)
        memory = self._sound[-round(LEVEL_MEMORY_S * self._rate) :].abs()
        loud = max(FIRST_LOUD / 5, float(memory.sort().values[int(0.999 * (len(memory) - 1))]))
        loud = loud if self._total > self._rate else max(loud, FIRST_LOUD)
        states = encode_waveform(wave * min(config.level / loud, config.max_gain), self._encoder)
        values = at_frame_rate(states, config.frame_rate, Fraction(FPS), until - start)
        return values, frame_level_db(wave, config.mel.sample_rate, Fraction(FPS), until - start)

    def _forget(self) -> None:
        """Let go of sound that no later frame needs."""
        keep = max(CONTEXT / FPS, LEVEL_MEMORY_S) + 2
        needless = self._total - round(keep * self._rate) - self._first
        if needless > self._rate:
            self._sound, self._first = self._sound[needless:], self._first + needless

    def _motion(self, parts: list[Tensor]) -> MotionTrack | None:
        if not parts:
            return None
        channels, style = torch.cat(parts), self._style
        expression, jaw = to_expression(channels * channel_gains(style), self._arkit)
        if style is not None:
            expression, jaw = expression + style.rest_expression, jaw + style.rest_jaw_rad
        return MotionTrack(expression, jaw, Fraction(FPS), covers_upper_face=False)


def stream_speech(audio: AudioTrack, chunk_s: float = 0.1, **options: object) -> MotionTrack:
    """A whole sound through a stream in pieces of `chunk_s` seconds; options as of SpeechStream."""
    stream = SpeechStream(audio.sample_rate, **options)  # type: ignore[arg-type]
    wave, step = audio.mono(), max(1, round(chunk_s * audio.sample_rate))
    parts = [stream.feed(wave[i : i + step]) for i in range(0, len(wave), step)] + [stream.finish()]
    there = [p for p in parts if p is not None]
    expression, jaw = torch.cat([p.expression for p in there]), torch.cat([p.jaw_rad for p in there])
    return MotionTrack(expression, jaw, Fraction(FPS), covers_upper_face=False, audio=audio)
