"""When the frames of a file are shown, read from its packets without decoding; resampling to a constant rate."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import InvalidInputError, LimitExceededError
from ..files import Limits
from ..progress import Progress, silent
from .media import Media

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_DEFAULT_GAP = Fraction(1, 25)
_MAX_RATE = 240  # frames per second that the scan is ready to list


@dataclass(frozen=True)
class Timeline:
    """Presentation times of a video stream, in seconds on the file's own clock."""

    times_s: tuple[Fraction, ...]  # ascending
    key_times_s: tuple[Fraction, ...]  # ascending: where decoding may start
    end_s: Fraction  # when the last frame stops being shown
    announced: int  # frames according to the header, 0 where it does not say
    present: int  # frames that are in the file, also those before the point where an edit list starts it
    width: int  # stored, before rotation and pixel shape
    height: int
    pixel_aspect: Fraction

    @property
    def start_s(self) -> Fraction:
        """When the first frame is shown."""
        return self.times_s[0]

    @property
    def duration_s(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        return self.end_s - self.start_s

    @property
    def gap_s(self) -> Fraction:
        """The usual time between two frames."""
        return _usual_gap(self.times_s)

    @property
    def rate(self) -> Fraction:
        """Frames per second, on average."""
        return Fraction(len(self.times_s)) / self.duration_s

    @property
    def is_variable(self) -> bool:
        """Whether frames are shown for clearly unequal times (rounding to milliseconds does not count)."""
        usual = self.gap_s
        slack = usual / 5 + Fraction(3, 1000)
        odd = sum(abs(b - a - usual) > slack for a, b in zip(self.times_s, self.times_s[1:]))
        return odd > len(self.times_s) / 100  # a single dropped frame is nothing to talk about


@dataclass(frozen=True)
class Schedule:
    """Output frame k shows what the file shows nearest to `origin_s + k / fps`."""

    origin_s: Fraction
    fps: Fraction
    count: int

    def time_s(self, index: int) -> Fraction:
        """The moment of frame `index` on the file's clock."""
        return self.origin_s + index / self.fps


def video_stream(container: InputContainer, media: Media) -> VideoStream:
    """The first real video stream (not a cover picture), or UnreadableFileError."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if Disposition.attached_pic in stream.disposition:
            continue
        if getattr(stream, "codec_context", None) is None:
            raise media.unreadable("its video is of a kind that cannot be decoded")
        return stream
    raise media.unreadable("it holds no video stream", "Give a video file")


def scan(media: Media, limits: Limits, progress: Progress = silent) -> Timeline:
    """List the frames of a file from its packets. Nothing is decoded.

    Raises:
        UnreadableFileError: no video stream, or no frame in it.
        LimitExceededError: the picture is larger than the limit, or there are absurdly many packets.
    """
    with media.open() as container:
        stream = video_stream(container, media)
        width, height = int(stream.width or 0), int(stream.height or 0)
        check_picture(media.name, width, height, limits.max_side_px)
        base = stream.time_base or Fraction(1, 90_000)
        times: list[Fraction] = []
        keys: list[Fraction] = []
        last_gap, latest = Fraction(0), Fraction(-(10**9))
        ceiling = int(max(limits.max_seconds, 7200) * _MAX_RATE)
        guess = Fraction(stream.average_rate or 25)
        present = 0
        for packet in _packets(container, stream):
            present += 1
            if present % 256 == 0:
                progress(0, 1, "Listing frames")
            if packet.is_discard:
                continue
            pts, duration = packet.pts, int(packet.duration or 0)
            time = pts * base if pts is not None else len(times) / guess
            times.append(time)
            if packet.is_keyframe:
                keys.append(time)
            if time >= latest:
                latest, last_gap = time, duration * base
            if len(times) > ceiling:
                raise LimitExceededError(f"{media.name} has more than {ceiling} frames. Cut it to the part you need.")
        announced = int(stream.frames or 0)
        aspect = Fraction(stream.sample_aspect_ratio or 1)
    if not times:
        raise media.unreadable("it holds no video frame")
    times = sorted(set(times))
    gap = _usual_gap(times)
    end = times[-1] + (last_gap if 0 < last_gap <= 2 * gap else gap)
    return Timeline(
        tuple(times), tuple(sorted(set(keys))) or (times[0],), end, announced, present, width, height,
        aspect if Fraction(1, 4) <= aspect <= 4 else Fraction(1),
    )  # fmt: skip


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Every packet with data, until the file ends or breaks off."""
    import av

    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except av.FFmpegError:
        return  # the file breaks off here; what came before is kept, and the report says so


def _usual_gap(times: tuple[Fraction, ...] | list[Fraction]) -> Fraction:
    gaps = [b - a for a, b in zip(times, times[1:])]
    return statistics.median_low(gaps) if gaps else _DEFAULT_GAP


def check_picture(name: str, width: int, height: int, max_side_px: int) -> None:
    """Raise LimitExceededError where a picture is larger than the limit (called before and while decoding)."""
    if max(width, height) > max_side_px:
        raise LimitExceededError(
            f"{name} has pictures of {width}x{height} px; the limit is {max_side_px} px on the longer side. "
            "Scale it down first."
        )


def plan(
    timeline: Timeline, name: str, limits: Limits, *, start_s: float, end_s: float | None, fps: Fraction | None
) -> Schedule:
    """Trim and resample: which moments are to be shown.

    Raises:
        InvalidInputError: the trim or the frame rate makes no sense for this file.
        LimitExceededError: what is left is too long.
    """
    rate = fps if fps is not None else timeline.rate.limit_denominator(1001)
    if not Fraction(1) <= rate <= Fraction(_MAX_RATE):
        raise InvalidInputError(f"The frame rate must be between 1 and {_MAX_RATE} fps, got {float(rate):g}.")
    start = Fraction(start_s).limit_denominator(10**6)
    whole = timeline.duration_s
    end = whole if end_s is None else min(whole, Fraction(end_s).limit_denominator(10**6))
    if start < 0 or start >= whole or end <= start:
        told = "the end" if end_s is None else f"{float(end_s):g} s"
        raise InvalidInputError(
            f"{name} is {float(whole):.2f} s long; the stretch from {float(start):g} s to {told} is not in it. "
            "Set start below end, both inside the clip."
        )
    seconds = end - start
    if seconds > Fraction(limits.max_seconds):
        raise LimitExceededError(
            f"{name} is {float(seconds):.1f} s long; the limit is {limits.max_seconds:g} s. Trim it with start and end."
        )
    count = max(1, int(seconds * rate + Fraction(1, 2)))
    if count > limits.max_frames:
        raise LimitExceededError(
            f"{name} gives {count} frames at {float(rate):g} fps; the limit is {limits.max_frames}. "
            "Trim it with start and end, or lower the frame rate."
        )
    return Schedule(timeline.start_s + start, rate, count)
