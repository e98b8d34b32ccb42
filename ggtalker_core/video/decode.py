"""Lazy frames of a file: opened when asked, sought to the right place, held one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from ..progress import Progress, silent
from ..types import FrameSource
from .media import Media, error_text
from .picture import Geometry, to_rgb
from .timeline import Schedule, Timeline, check_picture, video_stream

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

_THREADS = 2


@dataclass
class DecodeTally:
    """What happened while decoding; filled by `decode`."""

    decoded: int = 0
    damaged: int = 0  # packets that could not be decoded, and pictures that the decoder marks as corrupt
    last_error: str = ""


def decode(
    media: Media, container: InputContainer, stream: VideoStream, guess_fps: Fraction, tally: DecodeTally
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """(time in seconds, picture) from where the container stands; damaged packets are skipped and counted.

    Raises:
        LimitExceededError: a picture is larger than the limit (the header lied, or the size changes midway).
    """
    import av

    base = stream.time_base or Fraction(1, 90_000)
    previous: Fraction | None = None
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError) as error:
                tally.damaged += 1
                tally.last_error = error_text(error)
                continue
            for frame in frames:
                check_picture(media.name, frame.width, frame.height, media.max_side_px)
                time = frame.pts * (frame.time_base or base) if frame.pts is not None else None
                if time is None or (previous is not None and time <= previous):
                    time = Fraction(0) if previous is None else previous + 1 / guess_fps
                previous = time
                tally.decoded += 1
                tally.damaged += int(frame.is_corrupt)
                yield time, frame
    except av.FFmpegError as error:
        tally.damaged += 1
        tally.last_error = error_text(error)


def prepare(stream: VideoStream, max_side_px: int) -> None:
    """Set threads and the largest picture that the decoder may allocate."""
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = _THREADS
    stream.codec_context.options = {"max_pixels": str(max_side_px * max_side_px)}


@dataclass(frozen=True)
class VideoFrames:
    """A FrameSource over a file. Every call of `frames` opens the file anew: threads do not disturb each other."""

    media: Media
    timeline: Timeline
    schedule: Schedule
    geometry: Geometry

    @property
    def count(self) -> int:
        """Number of frames after trimming and resampling."""
        return self.schedule.count

    @property
    def size_px(self) -> tuple[int, int]:
        """Width, height, upright."""
        return self.geometry.size_px

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Decode the frames start..stop in order, each [H, W, 3] sRGB. At most two pictures are held.

        Raises:
            InvalidInputError: the range leaves the clip.
            UnreadableFileError: nothing could be decoded there.
        """
        stop = self.count if stop is None else stop
        if not 0 <= start <= stop <= self.count:
            raise InvalidInputError(f"{self.media.name} has {self.count} frames; {start}..{stop} is not a range in it.")
        return self._nearest(range(start, stop), silent)

    def pick(self, indices: Sequence[int], progress: Progress = silent) -> Iterator[NDArray[np.uint8]]:
        """Some frames in ascending order, each [H, W, 3] sRGB: no picture is decoded twice, only these are converted.

        Raises:
            InvalidInputError: they are not ascending frames of the clip.
            UnreadableFileError: nothing could be decoded there.
        """
        if any(b <= a for a, b in zip(indices, indices[1:])) or (indices and not self._holds(indices)):
            raise InvalidInputError(f"{self.media.name} has {self.count} frames; {list(indices)} are not some of them.")
        return (frame for run in self._runs(indices) for frame in self._nearest(run, progress))

    def _holds(self, indices: Sequence[int]) -> bool:
        return indices[0] >= 0 and indices[-1] < self.count

    def _runs(self, indices: Sequence[int]) -> Iterator[list[int]]:
        """The frames in groups between which a key frame makes a new start cheaper than decoding on."""
        run: list[int] = []
        for index in indices:
            key = self._key_before(self.schedule.time_s(index))
            if run and key is not None and key > self.schedule.time_s(run[-1]):
                yield run
                run = []
            run.append(index)
        if run:
            yield run

    def _nearest(self, indices: Sequence[int], progress: Progress) -> Iterator[NDArray[np.uint8]]:
        """For each frame of the schedule the picture that is nearest in time; the earlier one of two equals."""
        if not indices:
            return
        k = 0
        held: tuple[Fraction, VideoFrame] | None = None
        image: NDArray[np.uint8] | None = None
        for time, frame in self._from(self.schedule.time_s(indices[0])):
            progress(k, len(indices), "Reading frames")
            while held is not None and k < len(indices):
                wanted = self.schedule.time_s(indices[k])
                if abs(wanted - held[0]) > abs(time - wanted):
                    break
                image = to_rgb(held[1], self.geometry) if image is None else image.copy()
                yield image
                k += 1
            if k >= len(indices):
                return
            held, image = (time, frame), None
        if held is None:
            raise self.media.unreadable("no picture could be decoded from it")
        for _ in range(k, len(indices)):
            image = to_rgb(held[1], self.geometry) if image is None else image.copy()
            yield image

    def _from(self, time_s: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Pictures from at least one before `time_s` on, or from the start where seeking is not exact."""
        key = self._key_before(time_s)
        if key is not None:
            with self.media.open() as container:
                pictures = self._after_seek(container, key)
                first = next(pictures, None)
                # After a seek in an MPEG program stream the times may be one frame off: then no key frame is there.
                if first is not None and first[0] <= time_s and first[0] in self.timeline.key_times_s:
                    yield first
                    yield from pictures
                    return
        with self.media.open() as container:
            stream = video_stream(container, self.media)
            prepare(stream, self.media.max_side_px)
            yield from decode(self.media, container, stream, self.timeline.rate, DecodeTally())

    def _key_before(self, time_s: Fraction) -> Fraction | None:
        """The last place to start decoding that is safely before `time_s`; None for the start of the file."""
        earlier = [key for key in self.timeline.key_times_s if key <= time_s - self.timeline.gap_s]
        return earlier[-1] if earlier and earlier[-1] > self.timeline.start_s else None

    def _after_seek(self, container: InputContainer, key_s: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Pictures from a key frame on. What a decoder shows before it refers to pictures that were skipped."""
        import av

        stream = video_stream(container, self.media)
        prepare(stream, self.media.max_side_px)
        base = stream.time_base or Fraction(1, 90_000)
        try:
            container.seek(int(key_s / base), stream=stream, backward=True)
        except av.FFmpegError:
            return
        seen_key = False
        for time, frame in decode(self.media, container, stream, self.timeline.rate, DecodeTally()):
            seen_key = seen_key or bool(frame.key_frame)
            if seen_key:
                yield time, frame


def pick_frames(
    source: FrameSource, indices: Sequence[int], progress: Progress = silent
) -> Iterator[NDArray[np.uint8]]:
    """Some frames of any source, in ascending order; `progress` is asked at least once for each."""
    if isinstance(source, VideoFrames):
        yield from source.pick(indices, progress)
        return
    for done, index in enumerate(indices):
        progress(done, len(indices), "Reading frames")
        yield next(iter(source.frames(index, index + 1)))
