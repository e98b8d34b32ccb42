"""Files: where they may lie, how large they may be, and their checksum. Nothing here decodes anything."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import InvalidInputError, LimitExceededError, UnreadableFileError, UnsafePathError
from .progress import Progress, silent

_DRIVE = re.compile(r"^[A-Za-z]:")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$", re.IGNORECASE)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The largest inputs that are taken. They are compared with what a file says before anything is decoded."""

    max_side_px: int = 4096
    max_frames: int = 15_000  # of the trimmed clip at its new frame rate: ten minutes at 25 fps
    max_seconds: float = 600.0  # of the trimmed clip
    max_bytes: int = 8 << 30
    max_stream_bytes: int = 1 << 30  # of a clip that is handed over in memory
    max_audio_seconds: float = 1800.0
    max_audio_channels: int = 8

    def __post_init__(self) -> None:
        """Refuse limits that would refuse everything."""
        for name, value in vars(self).items():
            if not value > 0:
                raise InvalidInputError(f"Limits.{name} must be positive, got {value}.")

    @classmethod
    def tiny(cls) -> Limits:
        """Limits for tests: a quarter of a megapixel, ten seconds."""
        return cls(max_side_px=512, max_frames=250, max_seconds=10.0, max_bytes=1 << 22, max_stream_bytes=1 << 22)


def _refuse_odd_text(text: str) -> None:
    """Raise UnsafePathError for what is a path only on some system, or no path at all."""
    if not text or text != text.strip() or any(ord(c) < 32 for c in text):
        raise UnsafePathError(f"{text!r} is not a file name: it is empty, padded or holds control characters.")
    if text.startswith(("\\\\", "//")):
        raise UnsafePathError(f"{text!r} names a network share. Copy the file into ComfyUI's input folder.")


def _refuse_odd_parts(text: str) -> None:
    """Raise UnsafePathError for a relative name with a drive, a stream, a reserved device or a way upwards."""
    if _DRIVE.match(text):
        raise UnsafePathError(f"{text!r} names a drive. Give a name relative to the allowed folder.")
    for part in re.split(r"[\\/]", text):
        if part == "..":
            raise UnsafePathError(f"{text!r} leads upwards out of its folder ('..').")
        if ":" in part:
            raise UnsafePathError(f"{text!r} holds a colon, which some systems read as a drive or a data stream.")
        if _RESERVED.match(part):
            raise UnsafePathError(f"{text!r} uses the name '{part}', which is a device on some systems.")


def resolve_inside(path: str | Path, roots: Sequence[str | Path], *, must_exist: bool = False) -> Path:
    """The real absolute path of `path`, which must lie inside one of `roots` once all links are followed.

    A relative name is looked for in the roots in order; where it exists in none, it belongs to the first. An absolute
    path is taken if it lies inside a root. The roots may themselves be links; a link inside that leads out is refused.

    Raises:
        UnsafePathError: the path leaves the roots, or is of a kind that is never allowed.
        UnreadableFileError: `must_exist` and there is no such file.
    """
    if not roots:
        raise InvalidInputError("resolve_inside needs at least one allowed folder.")
    text = str(path)
    _refuse_odd_text(text)
    real_roots = [Path(root).resolve() for root in roots]
    given = Path(text)
    if given.is_absolute():
        candidates = [given]
    else:
        _refuse_odd_parts(text)
        candidates = [Path(root) / given for root in roots]
    present = [c for c in candidates if c.exists()]
    chosen = (present or candidates)[0].resolve()
    if not any(chosen == root or root in chosen.parents for root in real_roots):
        names = ", ".join(str(root) for root in roots)
        raise UnsafePathError(
            f"{text!r} lies outside the folders the pack may use ({names}). Put the file into one of them."
        )
    if must_exist and not chosen.is_file():
        raise UnreadableFileError(f"{text!r} does not exist. Check the name, or upload the file again.")
    return chosen


def check_size(path: str | Path, limits: Limits | None = None) -> int:
    """The size of a regular file in bytes.

    Raises:
        UnreadableFileError: missing, not a regular file, or empty.
        LimitExceededError: larger than `limits.max_bytes`.
    """
    limits = limits or Limits()
    file = Path(path)
    if not file.exists():
        raise UnreadableFileError(f"{file.name}: there is no such file. Check the path, or upload the file again.")
    if not file.is_file():
        raise UnreadableFileError(f"{file.name} is not a regular file. Give the path of a video or audio file.")
    size = file.stat().st_size
    if size == 0:
        raise UnreadableFileError(f"{file.name} is empty (0 bytes). Copy or export it again.")
    if size > limits.max_bytes:
        raise LimitExceededError(
            f"{file.name} has {size / 2**20:.0f} MiB; the limit is {limits.max_bytes / 2**20:.0f} MiB. "
            "Cut it to the stretch you need, or raise the limit."
        )
    return size


def sha256_of(path: str | Path, progress: Progress = silent) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            progress(file.tell(), size, "Checksum")
            digest.update(chunk)
    return digest.hexdigest()


_HEAD_FOLDERS: list[Path] = []


def add_head_folder(folder: str | Path) -> None:
    """Look for the user's converted heads in `folder`, too; files then name such a head without its path."""
    if Path(folder) not in _HEAD_FOLDERS:
        _HEAD_FOLDERS.append(Path(folder))


def find_head(name: str) -> Path | None:
    """The converted head of this name in the folders that were added; None for anything but a plain file name."""
    if not name or name != Path(name).name or Path(name).suffix != ".safetensors":
        return None
    return next((folder / name for folder in _HEAD_FOLDERS if (folder / name).is_file()), None)
