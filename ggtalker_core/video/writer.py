"""Write a video frame by frame: H.264 + AAC in mp4, whole or not at all."""

from __future__ import annotations

import io
import uuid
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError, UnreadableFileError
from ..progress import Progress, silent
from ..types import AudioTrack
from .config import WriteConfig
from .media import error_text

if TYPE_CHECKING:
    import numpy as np
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

_AAC_RATES = frozenset((8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000))
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_MOST_PLANES = 7
_AUDIO_BLOCK = 1024  # samples, the frame of AAC
_BT709 = 1
_TV_RANGE = 1


@dataclass(frozen=True)
class WrittenVideo:
    """What was written."""

    path: Path | None  # None when it went into a stream
    count: int  # frames
    size_px: tuple[int, int]  # even
    fps: Fraction
    audio_codec: str | None
    audio_samples: int
    bytes: int

    @property
    def duration_s(self) -> Fraction:
        """Length of the picture in seconds."""
        return self.count / self.fps


def write_video(
    path: str | Path | io.IOBase,
    frames: Iterable[NDArray[np.uint8]],
    *,
    fps: Fraction,
    size_px: tuple[int, int],
    audio: AudioTrack | None = None,
    crf: int = 18,
    metadata: Mapping[str, str] | None = None,
    progress: Progress = silent,
    count: int | None = None,
    config: WriteConfig | None = None,
) -> WrittenVideo:
    """Encode frames as they come. The file appears under its name only when it is whole.

    Args:
        path: an .mp4 file (an existing one is replaced at the end), or a binary stream that can seek.
        frames: uint8 [H, W, 3] sRGB each, H and W as in `size_px`; odd sizes get one more row or column.
        fps: exact frame rate.
        size_px: width, height of the frames.
        audio: written at its own sample rate, all of its samples; AAC, or FLAC where AAC has no such rate and for
            eight channels.
        crf: x264 quality, 0 (lossless) to 51.
        metadata: tags of the file; any key.
        progress: called after every frame; what it raises passes through and leaves no file behind.
        count: expected number of frames, for the progress.
        config: encoder settings.

    Raises:
        InvalidInputError: no frames, a frame of another shape or type, or settings that make no sense.
    """
    config = config or WriteConfig()
    _check(fps, size_px, crf, audio)
    expected = count if count is not None else 0
    with _whole_or_nothing(path) as target, _open_output(target, metadata) as output:
        video = _add_video(output, fps, size_px, crf, config)
        sound = _SoundWriter(output, audio, config) if audio is not None else None
        written = 0
        for frame in frames:
            output.mux(video.encode(_picture(frame, size_px, written)))
            written += 1
            if sound is not None:
                sound.up_to(written / fps)
            progress(written, max(expected, written), "Writing video")
        if written == 0:
            raise InvalidInputError("There are no frames to write. Check that the audio is not empty.")
        output.mux(video.encode(None))
        if sound is not None:
            sound.finish()
    file = None if isinstance(path, io.IOBase) else Path(path)
    return WrittenVideo(
        path=file, count=written, size_px=_even(size_px), fps=fps,
        audio_codec=sound.codec if sound else None, audio_samples=sound.total if sound else 0,
        bytes=file.stat().st_size if file else int(path.tell()),  # type: ignore[union-attr]
    )  # fmt: skip


def _check(fps: Fraction, size_px: tuple[int, int], crf: int, audio: AudioTrack | None) -> None:
    """Refuse what the encoder would refuse with a number."""
    if fps <= 0:
        raise InvalidInputError(f"The frame rate must be positive, got {fps}.")
    if min(size_px) < 1 or max(size_px) > 16_384:
        raise InvalidInputError(f"The frame size must be 1..16384 px, got {size_px[0]}x{size_px[1]}.")
    if not 0 <= crf <= 51:
        raise InvalidInputError(f"crf must be 0..51, got {crf}.")
    if audio is not None and int(audio.waveform.shape[0]) not in _LAYOUTS:
        raise InvalidInputError(f"Sound with {int(audio.waveform.shape[0])} channels cannot be written; give 1 or 2.")


@contextmanager
def _whole_or_nothing(path: str | Path | io.IOBase) -> Generator[str | io.IOBase]:
    """A hidden name beside the file that becomes the file at the end, and vanishes after any failure."""
    if isinstance(path, io.IOBase):
        yield path
        return
    final = Path(path)
    if final.suffix.lower() not in (".mp4", ".m4v", ".mov"):
        raise InvalidInputError(f"Videos are written as .mp4, .m4v or .mov, got '{final.name}'.")
    if final.is_dir() or not final.parent.is_dir():
        raise InvalidInputError(f"'{final}' cannot be written: its folder is missing, or it is a folder itself.")
    partial = final.with_name(f".{final.stem[:60]}.{uuid.uuid4().hex[:8]}.partial.mp4")
    try:
        yield str(partial.resolve())
        partial.replace(final)
    except OSError as error:
        raise UnreadableFileError(
            f"{final.name} could not be written ({error_text(error)}). Check the free space and the permissions."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _open_output(target: str | io.IOBase, metadata: Mapping[str, str] | None) -> Generator[OutputContainer]:
    """An mp4 that keeps any tag. The index is moved to the front only where there is a file to rewrite."""
    import av

    flags = "use_metadata_tags+faststart" if isinstance(target, str) else "use_metadata_tags"
    output = av.open(target, "w", format="mp4", options={"movflags": flags})
    try:
        output.metadata.update({str(key): str(value) for key, value in (metadata or {}).items()})
        yield output
    finally:
        output.close()


def _even(size_px: tuple[int, int]) -> tuple[int, int]:
    return size_px[0] + size_px[0] % 2, size_px[1] + size_px[1] % 2


def _add_video(
    output: OutputContainer, fps: Fraction, size_px: tuple[int, int], crf: int, config: WriteConfig
) -> VideoStream:
    """An H.264 stream that says which colours it holds."""
    stream = output.add_stream("libx264", rate=fps)
    stream.width, stream.height = _even(size_px)
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.options = {"crf": str(crf), "preset": config.preset}
    context.gop_size = max(1, round(config.max_key_interval_s * fps))
    context.time_base = 1 / fps
    context.thread_count = 2
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _TV_RANGE
    return stream


def _picture(frame: NDArray[np.uint8], size_px: tuple[int, int], index: int) -> Any:
    """One frame for the encoder: checked, padded to even sides, in BT.709."""
    import av
    import numpy as np

    width, height = size_px
    if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
        raise InvalidInputError(
            f"Frame {index} must be uint8 [{height}, {width}, 3], got {frame.dtype} {list(frame.shape)}."
        )
    if width % 2 or height % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    picture = picture.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_TV_RANGE)
    picture.pts = index
    return picture


class _SoundWriter:
    """Encodes a waveform in step with the picture, so that nothing piles up in the muxer."""

    def __init__(self, output: OutputContainer, audio: AudioTrack, config: WriteConfig) -> None:
        channels, self.total = (int(n) for n in audio.waveform.shape)
        self._output, self._audio, self._done = output, audio, 0
        # PyAV cannot fill the planar frames that AAC takes when there are eight of them.
        self.codec = "aac" if audio.sample_rate in _AAC_RATES and channels <= _MOST_PLANES else "flac"
        self._layout = _LAYOUTS[channels]
        self._stream: AudioStream = output.add_stream(self.codec, rate=audio.sample_rate, layout=self._layout)
        if self.codec == "aac":
            self._stream.bit_rate = min(config.audio_bit_rate, 5 * audio.sample_rate * channels)
        self._stream.time_base = Fraction(1, audio.sample_rate)

    def up_to(self, time_s: Fraction) -> None:
        """Encode whole blocks until `time_s`."""
        until = min(self.total, int(time_s * self._audio.sample_rate))
        while self._done + _AUDIO_BLOCK <= until:
            self._encode(_AUDIO_BLOCK)

    def finish(self) -> None:
        """Encode the rest, however long it is, and flush."""
        while self._done < self.total:
            self._encode(min(_AUDIO_BLOCK, self.total - self._done))
        self._output.mux(self._stream.encode(None))

    def _encode(self, samples: int) -> None:
        import av
        import numpy as np

        block = self._audio.waveform[:, self._done : self._done + samples].detach().cpu().float().numpy()
        if self.codec == "aac":
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._layout)
        else:
            whole = np.round(np.clip(block, -1, 1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(whole.T.reshape(1, -1)), format="s16", layout=self._layout
            )
        frame.sample_rate = self._audio.sample_rate
        frame.pts = self._done
        frame.time_base = Fraction(1, self._audio.sample_rate)
        self._output.mux(self._stream.encode(frame))
        self._done += samples
