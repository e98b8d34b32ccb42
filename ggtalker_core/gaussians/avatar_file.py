"""The avatar file: one NAME.avatar.safetensors with JSON metadata. Never a pickle.

Tensors: gaussians.map, head.shape, head.offset_m, style.*, body.* (encoded images as one uint8 blob with offsets,
the loop's track), camera.intrinsics_px, thumbnail, color.* when there is a colour network, inpainter.* with
a Body Inpainter, hair_sway.* where hair follows the pose in its own way. A checkpoint of an adaptation is the same
file, so it can be looked at and resumed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import GGTalkerError, IncompatibleFileError, LimitExceededError, UnreadableFileError
from ..types import Avatar
from . import avatar_schema

FORMAT = "ggtalker.avatar"
VERSION = "1"
SUFFIX = ".avatar.safetensors"
MAX_BYTES = 1 << 30  # a full avatar is below 100 MB
MAX_METADATA_BYTES = 1 << 20


def save_avatar(avatar: Avatar, path: Path | str) -> Path:
    """Write the avatar, all or nothing: a temporary file beside the target takes its name at the end.

    Raises UnreadableFileError when the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(path)
    tensors = {name: value.detach().cpu().contiguous() for name, value in avatar_schema.tensors_of(avatar).items()}
    metadata = {
        "format": FORMAT,
        "format_version": VERSION,
        "content_sha256": content_sha256(tensors),
        "avatar": json.dumps(avatar_schema.metadata_of(avatar), ensure_ascii=False, sort_keys=True),
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise UnreadableFileError(f"The avatar cannot be written to {target}: {error}.") from error
    part = Path(name)
    try:
        os.close(handle)
        save_file(tensors, str(part), metadata=metadata)
        part.replace(target)
    except (OSError, SafetensorError) as error:
        raise UnreadableFileError(
            f"The avatar cannot be written to {target} ({error}). Check the free space and the permissions."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def load_avatar(path: Path | str) -> Avatar:
    """Read and check an avatar file.

    Raises UnreadableFileError (missing, damaged, not such a file), LimitExceededError (too large) and
    IncompatibleFileError (another version, missing or misshapen tensors).
    """
    source = Path(path)
    metadata, tensors = _read(source)
    if metadata.get("format") != FORMAT:
        raise IncompatibleFileError(
            f"{source.name} is a safetensors file but not an avatar (format "
            f"{metadata.get('format', 'not given')!r}). Choose a file that ends in {SUFFIX}."
        )
    if metadata.get("format_version", "").split(".")[0] != VERSION:
        raise IncompatibleFileError(
            f"{source.name} has avatar format version {metadata.get('format_version', 'not given')!r}; this pack reads "
            f"version {VERSION}. Update the pack, or adapt the avatar again."
        )
    if metadata.get("content_sha256") != content_sha256(tensors):
        raise UnreadableFileError(
            f"{source.name} is damaged: its tensors do not match the checksum written with them. Copy the file again "
            "from where it came, or adapt the avatar again."
        )
    words = _json(metadata.get("avatar", ""), source)
    try:
        return avatar_schema.avatar_from(tensors, words)
    except (GGTalkerError, KeyError, TypeError, ValueError) as error:
        raise IncompatibleFileError(
            f"{source.name} is not a complete avatar: {error}. Adapt the avatar again with this version of the pack."
        ) from error


def content_sha256(tensors: Mapping[str, Tensor]) -> str:
    """A checksum over names, types, shapes and bytes of the tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(source: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not source.is_file():
        raise UnreadableFileError(f"There is no avatar file {source}.")
    size = source.stat().st_size
    if size > MAX_BYTES:
        raise LimitExceededError(f"{source.name} has {size} bytes; an avatar file has at most {MAX_BYTES}.")
    try:
        with safe_open(str(source), framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            if sum(len(key) + len(value) for key, value in metadata.items()) > MAX_METADATA_BYTES:
                raise LimitExceededError(f"{source.name} carries more than {MAX_METADATA_BYTES} bytes of metadata.")
            # Clones: the file must not stay mapped, or it could not be replaced while the avatar lives.
            return metadata, {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(
            f"{source.name} cannot be read as an avatar file ({error}). It may be cut short or be of another "
            "kind. Copy it again, or choose a file that Save Avatar wrote."
        ) from error


def _json(text: str, source: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableFileError(f"The metadata of {source.name} is damaged: {error}.") from error
    if not isinstance(value, dict):
        raise UnreadableFileError(f"The metadata of {source.name} is not a table of values.")
    return value
