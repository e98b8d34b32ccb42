"""A TalkingVideo as a ComfyUI VIDEO: core nodes pull its frames one at a time, so memory does not grow with length."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from comfy_api.latest import Input, InputImpl, Types

from ..ggtalker_core.errors import InvalidInputError
from ..ggtalker_core.types import RgbaFrame, RgbaSource, TalkingVideo
from . import convert, host

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_COMPONENT_BYTES = 8 << 30


class LazyVideo(Input.Video):
    """The VIDEO that leaves RenderGaussians, InpaintBody, Watermark and RenderTalkingVideo."""

    def __init__(self, talking: TalkingVideo) -> None:
        """Wrap; nothing is rendered yet."""
        self.talking = talking
        self._file: tempfile.TemporaryDirectory[str] | None = None

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        """The frames start..stop, each made with ordinary tensors even while ComfyUI is in inference mode."""
        pulled = self.talking.frames(start, stop)
        while True:
            with host.ordinary_tensors(gradients=False):
                frame = next(pulled, None)
            if frame is None:
                return
            yield frame

    def get_dimensions(self) -> tuple[int, int]:
        """Width, height."""
        return self.talking.size_px

    def get_frame_count(self) -> int:
        """Number of frames, exact."""
        return self.talking.count

    def get_frame_rate(self) -> Fraction:
        """Frames per second, exact."""
        return self.talking.fps

    def get_duration(self) -> float:
        """Seconds."""
        return float(self.talking.count / self.talking.fps)

    def get_container_format(self) -> str:
        """What `get_stream_source` would open as."""
        return "mov,mp4,m4a,3gp,3g2,mj2"

    def get_stream_source(self) -> str:
        """A temporary mp4, written when first asked for and removed with this object."""
        if self._file is None:
            temp = host.temp_folder()
            temp.mkdir(parents=True, exist_ok=True)
            folder = tempfile.TemporaryDirectory(dir=temp, prefix="ggtalker_", ignore_cleanup_errors=True)
            self._write(Path(folder.name) / "video.mp4", crf=12, metadata=None)
            self._file = folder
        return str(Path(self._file.name) / "video.mp4")

    def get_components(self) -> Types.VideoComponents:
        """All frames as one tensor; refuses when that would take more than 8 GiB."""
        width, height = self.talking.size_px
        size = self.talking.count * width * height * 3 * 4
        if size > _MAX_COMPONENT_BYTES:
            raise InvalidInputError(
                f"All {self.talking.count} frames of {width}x{height} as one IMAGE need {size / 2**30:.1f} GiB of "
                f"memory. Save "
                f"the video directly, or take a range of frames with Video to Images (GGTalker)."
            )
        opaque = (RgbaFrame(frame.rgb) for frame in self.frames())
        images, _ = convert.to_images_and_mask(opaque, self.talking.count, self.talking.size_px, host.NodeProgress())
        audio = None if self.talking.audio is None else convert.to_audio(self.talking.audio)
        return Types.VideoComponents(images=images, audio=audio, frame_rate=self.talking.fps)

    def save_to(
        self,
        path: str | IO[bytes],
        format: Types.VideoContainer = Types.VideoContainer.AUTO,
        codec: Types.VideoCodec = Types.VideoCodec.AUTO,
        metadata: dict[str, Any] | None = None,
        crf: float | None = None,
        **_: Any,
    ) -> None:
        """Write an H.264 mp4 with the audio as it came in, the marks and ComfyUI's metadata (workflow)."""
        _refuse_other("container", format, ("auto", "mp4"))
        _refuse_other("codec", codec, ("auto", "h264"))
        self._write(path, crf=18 if crf is None else round(crf), metadata=metadata)

    def as_trimmed(
        self, start_time: float | None = None, duration: float | None = None, strict_duration: bool = False
    ) -> LazyVideo | None:
        """The frames from `start_time` (negative: from the end) on, `duration` seconds of them (0: to the end)."""
        talking = self.talking
        start_s = start_time or 0.0
        if start_s < 0:
            start_s = max(0.0, self.get_duration() + start_s)
        start = round(Fraction(start_s) * talking.fps)
        length = round(Fraction(duration) * talking.fps) if duration else talking.count - start
        stop = min(start + length, talking.count)
        if start >= stop or (strict_duration and stop - start < length):
            return None
        return LazyVideo(_slice(talking, start, stop))

    def _write(self, target: str | Path | IO[bytes], *, crf: int, metadata: dict[str, Any] | None) -> None:
        from ..ggtalker_core.video import write_video

        talking = self.talking
        tags = {k: v if isinstance(v, str) else json.dumps(v) for k, v in (metadata or {}).items()}
        # Without pictures: Nodes 2.0 takes any picture on Save Video for a failed video, and hides the finished one.
        progress = host.NodeProgress()
        frames = (frame.rgb for frame in self.frames())
        write_video(
            target, frames, fps=talking.fps, size_px=talking.size_px, audio=talking.audio, crf=crf,
            metadata={**tags, **talking.marks}, progress=progress, count=talking.count,
        )  # fmt: skip
        progress.finish()


@dataclasses.dataclass(frozen=True)
class _Range:
    """The frames start..stop of another source."""

    source: RgbaSource
    start: int
    stop: int

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        """The frames start..stop of the range."""
        end = self.stop if stop is None else min(self.start + stop, self.stop)
        return self.source.frames(self.start + start, end)


def _slice(talking: TalkingVideo, start: int, stop: int) -> TalkingVideo:
    audio = talking.audio
    if audio is not None:
        a, b = (round(Fraction(i) / talking.fps * audio.sample_rate) for i in (start, stop))
        audio = dataclasses.replace(audio, waveform=audio.waveform[:, a:b])
    motion = None if talking.motion is None else talking.motion.slice(start, stop)
    source = _Range(talking.source, start, stop)
    return dataclasses.replace(talking, source=source, count=stop - start, audio=audio, motion=motion)


def _refuse_other(what: str, value: Any, known: tuple[str, ...]) -> None:
    name = str(getattr(value, "value", value)).lower()
    if name not in known:
        raise InvalidInputError(f"GGTalker writes {' / '.join(known)} only, got {what} '{name}'. Choose 'auto'.")


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """Frames of a video of another node, decoded when asked for."""

    source: Any  # ggtalker_core.types.FrameSource

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        """The frames start..stop, opaque."""
        return (RgbaFrame(frame) for frame in self.source.frames(start, stop))


def as_talking(video: Input.Video) -> TalkingVideo:
    """Any VIDEO as a TalkingVideo: ours as it is, one on disk read lazily, one of tensors taken as it is."""
    if isinstance(video, LazyVideo):
        return video.talking
    if isinstance(video, InputImpl.VideoFromComponents):
        return _of_components(video.get_components())
    from ..ggtalker_core.video import open_clip

    start_s, length_s = video.get_active_trim_window()
    end_s = start_s + length_s if length_s else None
    source = video.get_stream_source()
    clip = open_clip(source, start_s=start_s, end_s=end_s, fps=None, max_side_px=4096, progress=host.NodeProgress())
    return TalkingVideo(_Decoded(clip.source), clip.count, clip.size_px, clip.fps, clip.audio)


def _of_components(parts: Types.VideoComponents) -> TalkingVideo:
    audio = convert.to_audio_track(parts.audio) if parts.audio else None
    source = convert.ImageFrames(parts.images, getattr(parts, "alpha", None))
    return TalkingVideo(source, source.count, source.size_px, Fraction(parts.frame_rate), audio)


def first_rgb(video: LazyVideo, index: int = 0) -> NDArray[np.uint8]:
    """One frame, for a thumbnail."""
    return next(iter(video.frames(index, index + 1))).rgb
