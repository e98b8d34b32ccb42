"""A quick look at a clip: brightness, sharpness, cuts, damage. Graded in words for a person to read."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from ..progress import Progress, silent
from ..types import ClipReport
from .config import GradeConfig
from .decode import DecodeTally, decode, prepare
from .media import Media
from .picture import Orientation, is_hdr, orientation_of, to_gray
from .timeline import Schedule, Timeline, video_stream

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

_MEASURE_PX = 256  # long side of the picture that is measured
_THUMB_PX = 32
_GRADES = ("poor", "usable", "good")


@dataclass
class Survey:
    """What was seen in the trimmed stretch."""

    luma: list[float] = field(default_factory=list[float])
    sharpness: list[float] = field(default_factory=list[float])
    steps: list[float] = field(default_factory=list[float])  # change between neighbouring thumbnails
    orientation: Orientation = Orientation()
    is_hdr: bool = False
    every_frame: bool = True
    sound_problem: str = ""
    tally: DecodeTally = field(default_factory=DecodeTally)

    def cuts(self, config: GradeConfig) -> int:
        """Hard cuts: steps that are large in themselves and far above the usual step."""
        usual = statistics.median(self.steps) if self.every_frame and self.steps else 0.0
        return sum(step > max(config.cut_difference, 6 * usual) for step in self.steps)


def survey(
    media: Media, timeline: Timeline, schedule: Schedule, config: GradeConfig, progress: Progress = silent
) -> Survey:
    """Decode small grey pictures of the stretch: every frame of a short clip, the key frames of a long one.

    Raises:
        UnreadableFileError: no picture at all could be decoded.
    """
    import cv2
    import numpy as np

    found = Survey(every_frame=len(timeline.times_s) * timeline.width * timeline.height <= config.full_survey_px)
    end = schedule.time_s(schedule.count)
    previous: NDArray[np.uint8] | None = None
    for time, frame in _pictures(media, timeline, found):
        progress(int(1000 * (time - timeline.start_s)), int(1000 * (end - timeline.start_s)), "Looking at the clip")
        if not found.luma:
            found.orientation = orientation_of(frame)
            found.is_hdr = is_hdr(frame)
        elif time >= end or len(found.luma) >= config.max_survey_frames:
            break
        if found.luma and time < schedule.origin_s:
            continue
        gray = to_gray(frame, _MEASURE_PX)
        thumb = cv2.resize(gray, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
        found.luma.append(float(gray.mean()))
        found.sharpness.append(float(cv2.Laplacian(gray, cv2.CV_32F).var()))
        if previous is not None:
            found.steps.append(float(np.abs(thumb.astype(np.int16) - previous).mean()))
        previous = thumb.astype(np.uint8)
    if not found.luma:
        raise media.unreadable(f"no picture could be decoded from it ({found.tally.last_error or 'no data'})")
    return found


def _pictures(media: Media, timeline: Timeline, found: Survey) -> Iterator[tuple[Fraction, VideoFrame]]:
    with media.open() as container:
        stream = video_stream(container, media)
        prepare(stream, media.max_side_px)
        if not found.every_frame:
            stream.codec_context.skip_frame = "NONKEY"
        yield from decode(media, container, stream, timeline.rate, found.tally)


@dataclass(frozen=True)
class _Finding:
    """A sentence and the best grade that it allows."""

    level: int
    text: str


def _findings(
    size_px: tuple[int, int], seconds: float, timeline: Timeline, found: Survey, has_audio: bool, config: GradeConfig
) -> Iterator[_Finding]:
    """Every finding that is worth a sentence."""
    if seconds < config.good_seconds:
        level = 1 if seconds >= config.usable_seconds else 0
        yield _Finding(
            level, f"The clip is {seconds:.1f} s long; from {config.good_seconds:g} s on more mouth shapes are seen."
        )
    side = min(size_px)
    if side < config.good_side_px:
        level = 1 if side >= config.usable_side_px else 0
        text = f"The picture is {size_px[0]}x{size_px[1]} px"
        yield _Finding(level, f"{text}; record or crop so that the short side has {config.good_side_px} px.")
    luma, sharpness = statistics.median(found.luma), statistics.median(found.sharpness)
    if luma < config.dark_luma:
        yield _Finding(0, "The picture is dark. Light the face from the front.")
    if luma > config.bright_luma:
        yield _Finding(1, "The picture is very bright; skin may be burnt out. Lower the exposure.")
    if sharpness < config.blurred_sharpness:
        yield _Finding(1, "The picture is blurred. Clean the lens, fix the focus, use a higher bit rate.")
    cuts = found.cuts(config)
    if cuts:
        yield _Finding(
            0 if cuts > 2 else 1, f"There are {cuts} hard cuts. Use one uncut take, or trim to one with start and end."
        )
    if found.sound_problem:
        yield _Finding(1, f"The sound is left out: {found.sound_problem}")
    elif not has_audio:
        yield _Finding(1, "The clip has no sound, so how this person speaks cannot be learned from it.")
    yield from _file_findings(timeline, found)


def _file_findings(timeline: Timeline, found: Survey) -> Iterator[_Finding]:
    """What is odd about the file itself and what was done about it."""
    if timeline.is_variable:
        yield _Finding(2, "The frame rate varies; frames were taken at even times.")
    if found.orientation != Orientation():
        yield _Finding(2, "The file asks to be turned; it was turned upright.")
    if timeline.pixel_aspect != 1:
        yield _Finding(2, "Its pixels are not square; the picture was brought to its true proportions.")
    if found.is_hdr:
        yield _Finding(2, "The clip is HDR; its colours were brought to ordinary ones.")
    have, told = timeline.present, timeline.announced
    if told > have + 2:
        yield _Finding(
            1, f"The file breaks off: it announces {told} frames and holds {have}. The part that is there is used."
        )
    if found.tally.damaged:
        yield _Finding(1, f"{found.tally.damaged} frames are damaged; their neighbours are shown instead where needed.")


def grade(
    size_px: tuple[int, int],
    schedule: Schedule,
    timeline: Timeline,
    found: Survey,
    has_audio: bool,
    config: GradeConfig,
) -> ClipReport:
    """Put the survey into words and numbers."""
    seconds = float(schedule.count / schedule.fps)
    findings = list(_findings(size_px, seconds, timeline, found, has_audio, config))
    numbers = {
        "seconds": seconds, "frames": float(schedule.count), "fps": float(schedule.fps),
        "source_fps": float(timeline.rate), "width_px": float(size_px[0]), "height_px": float(size_px[1]),
        "has_audio": float(has_audio), "luma": statistics.median(found.luma),
        "sharpness": statistics.median(found.sharpness), "cuts": float(found.cuts(config)),
        "damaged_frames": float(found.tally.damaged), "variable_rate": float(timeline.is_variable),
    }  # fmt: skip
    level = min((finding.level for finding in findings), default=2)
    return ClipReport(_GRADES[level], tuple(finding.text for finding in findings), numbers)
