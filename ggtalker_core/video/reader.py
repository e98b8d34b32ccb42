"""Open a clip: check, list, trim, resample, grade. The frames themselves stay in the file until they are asked for."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

from ..errors import UnreadableFileError
from ..files import Limits
from ..progress import Progress, SubProgress, silent
from ..types import AudioTrack, ReferenceClip
from .config import GradeConfig
from .decode import VideoFrames
from .media import Media
from .picture import Geometry, fit_size
from .sound import extract_audio
from .survey import Survey, grade, survey
from .timeline import Schedule, Timeline, plan, scan

DEFAULT_FPS = Fraction(25)
_SCANNED, _SURVEYED = 0.1, 0.9  # shares of the progress


def open_clip(
    path: str | Path | io.BufferedIOBase,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    fps: Fraction | None = DEFAULT_FPS,
    max_side_px: int = 1024,
    limits: Limits | None = None,
    name: str | None = None,
    config: GradeConfig | None = None,
    progress: Progress = silent,
) -> ReferenceClip:
    """Open a video file (or a binary stream) as a clip: upright, trimmed, at a constant rate, read lazily.

    Args:
        path: the file, or a binary stream that holds one (then `name` is shown in messages).
        start_s: where the clip begins, in seconds from the first frame.
        end_s: where it ends; None for the end of the file.
        fps: the new frame rate; frames are taken at the nearest time. None keeps the file's (average) rate.
        max_side_px: larger pictures are scaled down, to even sizes.
        limits: checked before anything is decoded.
        name: what messages call it; default: the file's name.
        config: when a clip is good, usable, poor.
        progress: asked while the file is looked through; may raise to cancel.

    Raises:
        UnreadableFileError: damaged beyond use, or not a video of an allowed kind.
        LimitExceededError: too large or too long.
        InvalidInputError: the trim or the rate makes no sense.
    """
    limits, config = limits or Limits(), config or GradeConfig()
    media = Media.of(path, limits, name=name)
    timeline = scan(media, limits, SubProgress(progress, 0.0, _SCANNED))
    schedule = plan(timeline, media.name, limits, start_s=start_s, end_s=end_s, fps=fps)
    found = survey(media, timeline, schedule, config, SubProgress(progress, _SCANNED, _SURVEYED))
    _refuse_wreck(media, timeline, found, config)
    stored = fit_size(timeline.width, timeline.height, timeline.pixel_aspect, max_side_px)
    source = VideoFrames(media, timeline, schedule, Geometry(stored, found.orientation))
    duration = schedule.count / schedule.fps
    audio, found.sound_problem = _sound(media, limits, schedule, progress)
    return ReferenceClip(
        path=media.path, name=media.name, source=source, fps=schedule.fps,
        start_s=float(schedule.origin_s - timeline.start_s), duration_s=duration, audio=audio,
        report=grade(source.size_px, schedule, timeline, found, audio is not None, config),
        sha256=media.sha256(SubProgress(progress, _SURVEYED, 1.0)),
    )  # fmt: skip


def _sound(media: Media, limits: Limits, schedule: Schedule, progress: Progress) -> tuple[AudioTrack | None, str]:
    """The sound of the stretch; where it cannot be decoded none, and why: the pictures are still of use."""
    try:
        length = schedule.count / schedule.fps
        ask = SubProgress(progress, _SURVEYED, _SURVEYED)
        return extract_audio(media, limits, start_s=schedule.origin_s, duration_s=length, progress=ask), ""
    except UnreadableFileError as error:
        return None, str(error)


def _refuse_wreck(media: Media, timeline: Timeline, found: Survey, config: GradeConfig) -> None:
    """Raise UnreadableFileError where too little of the file is left to be worth using."""
    have = timeline.present
    if timeline.announced and have < config.min_readable_share * timeline.announced:
        raise media.unreadable(f"it breaks off: of {timeline.announced} announced frames {have} are there")
    tally = found.tally
    if tally.decoded < config.min_readable_share * (tally.decoded + tally.damaged):
        raise media.unreadable(f"{tally.damaged} of its frames are damaged and only {tally.decoded} can be read")
