"""Frames and tags of a file that is to be verified. It comes from anywhere, so nothing of it is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LimitExceededError, UnreadableFileError
from ..files import Limits, check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The demuxer is chosen by the file's name: sniffing would let a text file named .mp4 open other local files.
VIDEO_FORMATS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi", ".gif": "gif",
}  # fmt: skip
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_WHOLE_S = 20.0  # clips up to this length are read from end to end
_SPOTS = 6  # longer ones at so many places, each from a key frame on
_LONGEST_TAG = 64 * 1024


@dataclass(frozen=True)
class Sample:
    """What verification looks at."""

    frames: tuple[NDArray[np.uint8], ...]  # [H, W, 3] sRGB each, one size
    tags: dict[str, str]
    kind: str  # "video" or "image"


def read_sample(path: str | Path, frames: int, limits: Limits | None = None) -> Sample:
    """At most `frames` frames spread over a video or image file, and its tags.

    Raises:
        UnreadableFileError: missing, damaged, or of a kind that is not supported.
        LimitExceededError: larger than the limits; found before anything is decoded.
    """
    file, limits = Path(path), limits or Limits()
    check_size(file, limits)
    suffix = file.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return _read_image(file, limits)
    if suffix not in VIDEO_FORMATS:
        known = ", ".join((*VIDEO_FORMATS, *IMAGE_SUFFIXES))
        raise UnreadableFileError(f"{file.name}: files of this kind cannot be verified. Known: {known}.")
    return _read_video(file, frames, limits)


def _read_image(file: Path, limits: Limits) -> Sample:
    from PIL import Image

    wanted = {".png": "PNG", ".webp": "WEBP"}.get(file.suffix.lower(), "JPEG")
    try:
        with Image.open(file, formats=[wanted]) as image:
            _check_side(file, image.size, limits)
            info: dict[Any, Any] = dict(image.info)
            picture = np.asarray(image.convert("RGB"))
    except LimitExceededError:
        raise
    except Exception as error:  # the decoder meets foreign bytes: any failure means that it cannot be read
        raise UnreadableFileError(f"{file.name} could not be read as an image ({error}). Export it again.") from error
    tags = {str(k): v[:_LONGEST_TAG] for k, v in info.items() if isinstance(v, str)}
    return Sample((picture,), tags, "image")


def _check_side(file: Path, size_px: tuple[int, int], limits: Limits) -> None:
    if min(size_px) < 1 or max(size_px) > limits.max_side_px:
        raise LimitExceededError(
            f"{file.name} is {size_px[0]}x{size_px[1]}; sides of 1 to {limits.max_side_px} px can be verified."
        )


def _read_video(file: Path, frames: int, limits: Limits) -> Sample:
    import av

    try:
        container: Any = av.open(
            str(file.resolve()), format=VIDEO_FORMATS[file.suffix.lower()],
            options={"protocol_whitelist": "file"}, metadata_errors="replace",
        )  # fmt: skip
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableFileError(f"{file.name} could not be opened ({error}). Is it a whole video file?") from error
    with container:
        if not container.streams.video:
            raise UnreadableFileError(f"{file.name} has no picture.")
        stream = container.streams.video[0]
        _check_side(file, (int(stream.width or 0), int(stream.height or 0)), limits)
        tags = {str(k): str(v)[:_LONGEST_TAG] for k, v in {**stream.metadata, **container.metadata}.items()}
        try:
            pictures = list(_spread(container, stream, frames))
        except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
            raise UnreadableFileError(f"{file.name} is damaged ({error}).") from error
    same = tuple(p for p in pictures if p.shape == pictures[0].shape)
    if not same:
        raise UnreadableFileError(f"{file.name} holds no frame that can be decoded.")
    return Sample(same, tags, "video")


def _spread(container: Any, stream: Any, frames: int) -> Iterator[NDArray[np.uint8]]:
    """Frames spread over the stream; a long one is only read in places."""
    seconds = float(container.duration or 0) / 1_000_000
    rate = float(stream.average_rate or 25)
    if seconds <= _WHOLE_S:
        expected = max(1.0, seconds * rate)
        yield from _every(container, stream, max(1, round(expected / frames)), frames)
        return
    each = max(1, frames // _SPOTS)
    for spot in range(_SPOTS):
        container.seek(int(seconds * (spot + 0.3) / _SPOTS * 1_000_000), backward=True, any_frame=False)
        yield from _every(container, stream, 1, each)


def _every(container: Any, stream: Any, step: int, most: int) -> Iterator[NDArray[np.uint8]]:
    """Every `step`-th decoded frame, at most `most`."""
    given = 0
    for index, frame in enumerate(container.decode(stream)):
        if index % step:
            continue
        if frame.width > 2 * stream.width or frame.height > 2 * stream.height:
            raise ValueError(f"a frame of {frame.width}x{frame.height} hides in it")
        yield frame.to_ndarray(format="rgb24")
        given += 1
        if given >= most:
            return
