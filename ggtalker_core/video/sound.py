"""Sound as it lies in the file: its own sample rate and channels, only turned into float32."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LimitExceededError, UnreadableFileError
from ..files import Limits
from ..progress import Progress, silent
from ..types import AudioTrack
from .media import Media, error_text

if TYPE_CHECKING:
    import numpy as np
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from numpy.typing import NDArray

_MAX_GAP_S = Fraction(1, 20)  # a longer hole between two packets is filled with silence


class _Tape:
    """Collects decoded samples in order and stops at the limit."""

    def __init__(self, name: str, limit_s: float) -> None:
        self._name, self._limit_s = name, limit_s
        self.chunks: list[NDArray[np.float32]] = []  # [C, n] each
        self.samples = 0
        self.rate = 0
        self.origin_s: Fraction | None = None  # time of the first sample on the file's clock
        self.damaged = 0

    def add(self, frame: AudioFrame) -> None:
        """Append a packed float frame, with silence before it where the file has a hole."""
        import numpy as np

        packed = frame.to_ndarray().astype(np.float32, copy=False)
        chunk = packed.reshape(-1, len(frame.layout.channels)).T  # [C, n]
        self.rate = self.rate or int(frame.sample_rate)
        time = frame.pts * frame.time_base if frame.pts is not None and frame.time_base else None
        if self.origin_s is None:
            self.origin_s = time if time is not None else Fraction(0)
        elif time is not None:
            hole = time - self.origin_s - Fraction(self.samples, self.rate)
            if hole > _MAX_GAP_S:
                self._check(self.samples + int(hole * self.rate))
                self._append(np.zeros((chunk.shape[0], int(hole * self.rate)), np.float32))
        self._append(chunk)
        self._check(self.samples)

    def reaches(self, time_s: Fraction) -> bool:
        """Whether everything before that time is on the tape."""
        return self.origin_s is not None and self.origin_s + Fraction(self.samples, self.rate) >= time_s

    def _append(self, chunk: NDArray[np.float32]) -> None:
        self.chunks.append(chunk)
        self.samples += int(chunk.shape[1])

    def _check(self, samples: int) -> None:
        if samples > self._limit_s * self.rate:
            raise LimitExceededError(
                f"{self._name} holds more than {self._limit_s:g} s of sound. Cut it to the part you need."
            )


def _decode_all(
    media: Media, container: InputContainer, tape: _Tape, end_s: Fraction | None, progress: Progress
) -> None:
    """Decode the first audio stream onto `tape` up to `end_s`; damaged packets are skipped and counted."""
    import av

    stream = container.streams.audio[0]
    resampler: av.AudioResampler | None = None
    try:
        for packet in container.demux(stream):
            progress(0, 1, "Reading the sound")
            if end_s is not None and tape.reaches(end_s):
                return
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                tape.damaged += 1
                continue
            for frame in frames:
                if resampler is None:
                    # Packed: PyAV reads beyond the planes of a planar frame with eight channels.
                    resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
                for plain in resampler.resample(frame):
                    tape.add(plain)
    except (av.FFmpegError, ValueError) as error:
        tape.damaged += 1
        if not tape.chunks:
            raise media.unreadable(f"its sound cannot be decoded ({error_text(error)})") from error


def extract_audio(
    media: Media,
    limits: Limits,
    *,
    start_s: Fraction | None = None,
    duration_s: Fraction | None = None,
    progress: Progress = silent,
) -> AudioTrack | None:
    """The sound of a file between two moments of its own clock, or all of it; None where it has no sound.

    Where the sound begins later than `start_s` silence is put before it, so that it stays in step with the picture.
    """
    import numpy as np
    import torch

    budget = limits.max_audio_seconds if start_s is None else max(limits.max_audio_seconds, 7200.0)
    tape = _Tape(media.name, budget)
    with media.open() as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        if getattr(stream, "codec_context", None) is None:
            raise media.unreadable("its sound is of a kind that cannot be decoded", "Convert it to .wav")
        if int(stream.codec_context.channels or 0) > limits.max_audio_channels:
            raise LimitExceededError(f"{media.name} has more than {limits.max_audio_channels} audio channels.")
        end_s = None if start_s is None or duration_s is None else start_s + duration_s
        _decode_all(media, container, tape, end_s, progress)
    if not tape.samples:
        return None
    wave = np.concatenate(tape.chunks, axis=1)
    if not np.isfinite(wave).all():
        raise media.unreadable("its sound holds values that are not finite numbers", "Export it again as 16-bit PCM")
    if start_s is not None:
        shift = round((start_s - (tape.origin_s or Fraction(0))) * tape.rate)
        wave = wave[:, shift:] if shift >= 0 else np.pad(wave, ((0, 0), (-shift, 0)))
        if duration_s is not None:
            wave = wave[:, : round(duration_s * tape.rate)]
        if wave.shape[1] == 0:
            return None
    return AudioTrack(torch.from_numpy(np.ascontiguousarray(wave, dtype=np.float32)), tape.rate)


def read_audio(
    path: str | Path | io.BufferedIOBase,
    *,
    max_seconds: float | None = None,
    name: str | None = None,
    limits: Limits | None = None,
) -> AudioTrack:
    """Read a sound file, or the sound of a video, at its own rate and channels.

    Raises:
        UnreadableFileError: missing, damaged, of a kind that is not read, or without any sound in it.
        LimitExceededError: longer than `max_seconds` (default: the limit's), too many bytes or channels.
    """
    limits = limits or Limits()
    if max_seconds is not None:
        limits = replace(limits, max_audio_seconds=max_seconds)
    media = Media.of(path, limits, name=name, audio=True)
    audio = extract_audio(media, limits)
    if audio is None:
        raise UnreadableFileError(f"{media.name} holds no sound. Give a sound file, or a video with a voice in it.")
    return audio
