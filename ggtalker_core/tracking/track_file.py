"""`NAME.track.safetensors`: a Track as tensors, with the rest as JSON in the metadata. Never a pickle."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import IncompatibleFileError, InvalidInputError, UnreadableFileError
from ..types import Track

if TYPE_CHECKING:
    from torch import Tensor

KIND, VERSION, SUFFIX = "ggtalker.track", 1, ".track.safetensors"
_TENSORS = (
    "shape", "expression", "jaw_rad", "neck_rad", "eyes_rad", "rotation_rad", "translation_m", "intrinsics_px", "valid",
    "error_px", "landmarks_px",
)  # fmt: skip
_OPTIONAL = ("light", "offset_m", "bias_m", "albedo", "mesh_turn_rad")


def save_track(track: Track, path: str | Path) -> Path:
    """Write `track` to `path` (the suffix .track.safetensors is added where it is missing) and return the path.

    The file appears whole or not at all. Raises UnreadableFileError where it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(path)
    if not target.name.endswith(SUFFIX):
        target = target.with_name(target.name.removesuffix(".safetensors").removesuffix(".track") + SUFFIX)
    tensors: dict[str, Tensor] = {name: getattr(track, name).contiguous().cpu() for name in _TENSORS}
    for name in _OPTIONAL:
        value: Tensor | None = getattr(track, name)
        if value is not None:
            tensors[name] = value.contiguous().cpu()
    facts = {
        "kind": KIND,
        "version": VERSION,
        "head_model": track.head_model,
        "size_px": list(track.size_px),
        "fps": [track.fps.numerator, track.fps.denominator],
        "clip_sha256": track.clip_sha256,
        "report": track.report,
        "cuts": list(track.cuts),
    }
    partial = target.with_name(target.name + f".{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, {"ggtalker": json.dumps(facts)})
        partial.replace(target)
    except (OSError, SafetensorError) as error:
        raise UnreadableFileError(
            f"The track cannot be written to {target} ({error}). Check the free space and the permissions."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def load_track(path: str | Path) -> Track:
    """Read a track.

    Raises UnreadableFileError where the file is missing or damaged, and IncompatibleFileError where it is something
    else, of an unknown version, or lacks tensors.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    try:
        with safe_open(source, framework="pt", device="cpu") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UnreadableFileError(f"The track file {source} cannot be read: {error}.") from error
    facts = _facts(metadata, source)
    missing = [name for name in _TENSORS if name not in tensors]
    if missing:
        raise IncompatibleFileError(f"{source.name} lacks {', '.join(missing)}; track the clip again.")
    known = {name: tensors[name] for name in (*_TENSORS, *_OPTIONAL) if name in tensors}
    try:
        width, height = (int(n) for n in facts["size_px"])
        numerator, denominator = (int(n) for n in facts["fps"])
        return Track(
            head_model=str(facts["head_model"]), size_px=(width, height), fps=Fraction(numerator, denominator),
            clip_sha256=str(facts["clip_sha256"]), report=str(facts["report"]),
            cuts=tuple(int(n) for n in facts.get("cuts", ())), **known,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, ZeroDivisionError, InvalidInputError) as error:
        raise IncompatibleFileError(f"{source.name} is no valid track: {error}. Track the clip again.") from error


def _facts(metadata: dict[str, str], source: Path) -> dict[str, Any]:
    """The JSON part, checked for kind and version."""
    try:
        facts: Any = json.loads(metadata.get("ggtalker", "null"))
    except json.JSONDecodeError as error:
        raise IncompatibleFileError(f"{source.name}: its metadata is not JSON ({error}).") from error
    if not isinstance(facts, dict) or facts.get("kind") != KIND:
        raise IncompatibleFileError(f"{source.name} is not a track file of this pack (kind '{KIND}' is not stated).")
    if facts.get("version") != VERSION:
        raise IncompatibleFileError(
            f"{source.name} has track version {facts.get('version')}, this pack reads version {VERSION}: "
            "update the pack, or track the clip again."
        )
    return facts
