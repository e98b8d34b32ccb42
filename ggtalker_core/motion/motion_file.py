"""The motion file: NAME.motion.safetensors, the tensors of a MotionTrack (without its sound)."""

from __future__ import annotations

import uuid
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GGTalkerError, IncompatibleFileError, UnreadableFileError
from ..files import Limits, check_size
from ..types import MotionTrack

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "ggtalker.motion"
VERSION = "1"
SUFFIX = ".motion.safetensors"
_REQUIRED = ("expression", "jaw_rad")
_OPTIONAL = ("eyes_rad", "eyelids", "rotation_rad", "translation_m")
_LIMITS = Limits(max_bytes=1 << 28)


def save_motion(motion: MotionTrack, path: Path | str) -> Path:
    """Write a motion, all or nothing.

    Raises UnreadableFileError where the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(path)
    tensors: dict[str, Tensor] = {}
    for name in _REQUIRED + _OPTIONAL:
        value: Tensor | None = getattr(motion, name)
        if value is not None:
            tensors[name] = value.detach().cpu().float().contiguous().clone()
    metadata = {
        "format": FORMAT, "format_version": VERSION, "fps": str(motion.fps),
        "covers_upper_face": str(int(motion.covers_upper_face)),
    }  # fmt: skip
    part = target.with_name(f".{target.name[:60]}.{uuid.uuid4().hex[:8]}.part")
    try:
        save_file(tensors, str(part), metadata=metadata)
        part.replace(target)
    except (OSError, SafetensorError) as error:
        raise UnreadableFileError(f"The motion cannot be written to {target}: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def load_motion(path: Path | str) -> MotionTrack:
    """Read and check a motion file.

    Raises UnreadableFileError (missing, damaged), LimitExceededError (too large) and IncompatibleFileError (of another
    kind or version, or with tensors missing).
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    check_size(source, _LIMITS)
    try:
        with safe_open(str(source), framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            wanted = [name for name in file.keys() if name in _REQUIRED + _OPTIONAL]  # noqa: SIM118
            tensors: dict[str, Tensor] = {name: file.get_tensor(name).clone() for name in wanted}
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(
            f"{source.name} cannot be read as a motion file ({error}). It may be cut short or be of another kind."
        ) from error
    if metadata.get("format") != FORMAT or metadata.get("format_version", "").split(".")[0] != VERSION:
        kind, version = (metadata.get(key, "not given") for key in ("format", "format_version"))
        raise IncompatibleFileError(
            f"{source.name} is not a motion of version {VERSION} (format '{kind}', version '{version}'). "
            f"Choose a file that ends in {SUFFIX}."
        )
    try:
        return MotionTrack(
            **{name: value.float() for name, value in tensors.items()},  # type: ignore[arg-type]
            fps=Fraction(metadata["fps"]),
            covers_upper_face=metadata.get("covers_upper_face") == "1",
        )
    except (GGTalkerError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise IncompatibleFileError(f"{source.name} is not a complete motion: {error}.") from error
