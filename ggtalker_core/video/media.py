"""One media file (or one in memory): which demuxer may read it, and how it is opened again and again.

The demuxer is chosen by us from a short list, never by probing: probing would open an `ffconcat` or HLS text named
`.mp4` and read other files through it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import LimitExceededError, UnreadableFileError
from ..files import Limits, check_size, sha256_of
from ..progress import Progress, silent

if TYPE_CHECKING:
    from av.container import InputContainer

VIDEO_DEMUXERS = {
    ".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi",
    ".mpg": "mpeg", ".mpeg": "mpeg",
}  # fmt: skip
AUDIO_DEMUXERS = {
    ".wav": "wav", ".mp3": "mp3", ".flac": "flac", ".ogg": "ogg", ".oga": "ogg", ".opus": "ogg", ".m4a": "mov",
    ".aac": "aac",
}  # fmt: skip
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def _demuxer_of_content(head: bytes) -> str | None:
    """What the first bytes say, among the demuxers that we allow; None where they say nothing."""
    if head[4:8] in _MOV_BOXES:
        return "mov"
    if head[:4] == b"RIFF":
        return {b"AVI ": "avi", b"WAVE": "wav"}.get(head[8:12])
    starts = {b"\x1aE\xdf\xa3": "matroska", b"\x00\x00\x01\xba": "mpeg", b"fLaC": "flac", b"OggS": "ogg"}
    return starts.get(head[:4])


def choose_demuxer(name: str, head: bytes, allowed: dict[str, str]) -> str:
    """The demuxer for a file called `name` that starts with `head`.

    The content decides where it is recognised (a WebM named .mp4 is common), the suffix where it is not.

    Raises:
        UnreadableFileError: the suffix is not in `allowed`.
    """
    suffix = Path(name).suffix.lower()
    found = _demuxer_of_content(head)
    if suffix in AUDIO_DEMUXERS and suffix not in allowed:
        raise UnreadableFileError(f"{name} is a sound file, and a video is needed here. Give a video file.")
    if suffix and suffix not in allowed:
        raise UnreadableFileError(
            f"{name}: files of the kind '{suffix}' are not read. Convert it to one of {', '.join(sorted(allowed))}."
        )
    if found in allowed.values():
        return str(found)
    if not suffix:
        raise UnreadableFileError(f"{name}: neither its name nor its first bytes tell what it is. Give it a suffix.")
    return allowed[suffix]


@dataclass(frozen=True)
class Media:
    """A file on disk or in memory that can be opened any number of times."""

    name: str
    demuxer: str
    path: Path | None
    data: bytes | None = None
    max_side_px: int = Limits.max_side_px

    @classmethod
    def of(
        cls, file: str | Path | io.BufferedIOBase, limits: Limits, *, name: str | None = None, audio: bool = False
    ) -> Media:
        """Look at a file or binary stream without decoding it.

        Raises:
            UnreadableFileError: missing, empty or not of an allowed kind.
            LimitExceededError: too many bytes.
        """
        allowed = {**VIDEO_DEMUXERS, **AUDIO_DEMUXERS} if audio else VIDEO_DEMUXERS
        if isinstance(file, (str, Path)):
            path = Path(file)
            check_size(path, limits)
            try:
                with path.open("rb") as stream:
                    head = stream.read(16)
            except OSError as error:
                raise UnreadableFileError(
                    f"{path.name} cannot be read ({error.strerror}). Check its permissions."
                ) from error
            label = name or path.name
            return cls(label, choose_demuxer(path.name, head, allowed), path.resolve(), None, limits.max_side_px)
        file.seek(0)
        data = file.read(limits.max_stream_bytes + 1)
        label = name or "video in memory"
        if not data:
            raise UnreadableFileError(f"{label} is empty (0 bytes).")
        if len(data) > limits.max_stream_bytes:
            raise LimitExceededError(
                f"{label} has more than {limits.max_stream_bytes / 2**20:.0f} MiB in memory. Load it from a file."
            )
        suffix_name = label if Path(label).suffix.lower() in allowed else "stream"
        return cls(label, choose_demuxer(suffix_name, data[:16], allowed), None, data, limits.max_side_px)

    def sha256(self, progress: Progress = silent) -> str:
        """The checksum of the bytes."""
        return hashlib.sha256(self.data).hexdigest() if self.data is not None else sha256_of(self._path, progress)

    @property
    def _path(self) -> Path:
        if self.path is None:
            raise UnreadableFileError(f"{self.name} lies in memory and has no path.")
        return self.path

    @contextmanager
    def open(self) -> Generator[InputContainer]:
        """Open for demuxing; closed on leaving.

        Raises:
            UnreadableFileError: damaged, cut off, or not what its name says.
        """
        import av

        options = {"protocol_whitelist": "file", "fflags": "+genpts"}
        target: Any = io.BytesIO(self.data) if self.data is not None else str(self._path)
        try:
            opened = av.open(target, "r", format=self.demuxer, options=options, metadata_errors="replace")
        except (av.FFmpegError, ValueError, OSError) as error:
            kind = Path(self.name).suffix.lower() or f".{self.demuxer}"
            raise self.unreadable(f"it is damaged, cut off or not a {kind} file ({error_text(error)})") from error
        try:
            yield cast("InputContainer", opened)
        finally:
            opened.close()

    def unreadable(self, problem: str, remedy: str = "") -> UnreadableFileError:
        """The error that names this file, the problem and the remedy (default: another export)."""
        sound = Path(self.name).suffix.lower() in AUDIO_DEMUXERS
        remedy = remedy or f"Copy or export it again, best as {'16-bit .wav' if sound else 'H.264 in .mp4'}"
        return UnreadableFileError(f"{self.name}: {problem}. {remedy}.")


def error_text(error: BaseException) -> str:
    """The short text of a decoder's error, without paths."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
