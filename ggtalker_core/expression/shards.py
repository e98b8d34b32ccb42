"""One file of training data: a safetensors shard, or a tar in the WebDataset layout (files of one chunk share a key).

Both hold the same: features [N, T, F], channels [N, M, T, 13], manners [N, M, 4], closure [N, T], and frames [N] where
chunks are shorter than T. A tar can be written, mixed and streamed with the usual tools for large corpora; reading one
needs no package beyond the standard library.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError

NAMES = ("features", "channels", "manners", "closure")
KINDS = (".safetensors", ".tar")


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a folder, in order of name."""
    return sorted(p for p in folder.glob("*") if p.suffix in KINDS)


def read_shard(path: Path) -> dict[str, Tensor]:
    """The tensors of one shard, `frames` among them (int64). Raises InvalidInputError when it cannot be read."""
    try:
        tensors = _read_tar(path) if path.suffix == ".tar" else _read_safetensors(path)
    except (OSError, KeyError, ValueError, RuntimeError, tarfile.TarError) as error:
        raise InvalidInputError(f"{path} cannot be read as a training shard: {error}") from error
    missing = [name for name in NAMES if name not in tensors]
    if missing:
        raise InvalidInputError(f"{path} is not a training shard: it lacks {', '.join(missing)}.")
    whole = torch.full((len(tensors["features"]),), tensors["features"].shape[1])
    return tensors | {"frames": tensors.get("frames", whole).long().reshape(-1)}


def write_shard(path: Path, tensors: Mapping[str, Tensor], phones: Sequence[object] = ()) -> None:
    """Write a shard, in the format that the ending of `path` says.

    phones: of every chunk (start s, end s, IPA), so that targets can be made again. Raises InvalidInputError for
    another ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        metadata = {"phones": json.dumps(list(phones))} if phones else None
        save_file({name: t.contiguous() for name, t in tensors.items()}, part, metadata)
    elif path.suffix == ".tar":
        _write_tar(part, path.stem, tensors, phones)
    else:
        raise InvalidInputError(f"A training shard ends in {' or '.join(KINDS)}, got {path.name}.")
    part.replace(path)


def _write_tar(part: Path, stem: str, tensors: Mapping[str, Tensor], phones: Sequence[object]) -> None:
    """A WebDataset tar: KEY.NAME.npy for every chunk and tensor, KEY.json with its phones."""
    with tarfile.open(part, "w") as tar:

        def add(name: str, data: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))

        for i in range(len(tensors["features"])):
            for name in sorted(tensors):
                data = io.BytesIO()
                np.save(data, tensors[name][i].contiguous().numpy(), allow_pickle=False)
                add(f"{stem}_{i:05d}.{name}.npy", data.getvalue())
            if phones:
                add(f"{stem}_{i:05d}.json", json.dumps({"phones": phones[i]}, ensure_ascii=False).encode())


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _read_tar(path: Path) -> dict[str, Tensor]:
    """All chunks of a tar, stacked in order of their keys. Other files in it (a .json, the sound) are passed over."""
    chunks: dict[str, dict[str, Tensor]] = {}
    with tarfile.open(path) as tar:
        for entry in tar:
            key, _, name = entry.name.partition(".")
            file = tar.extractfile(entry) if name in {f"{n}.npy" for n in (*NAMES, "frames")} else None
            if file is not None:
                array = np.load(io.BytesIO(file.read()), allow_pickle=False)
                chunks.setdefault(key, {})[name.removesuffix(".npy")] = torch.from_numpy(array)
    if not chunks:
        raise ValueError("no chunk in it")
    rows = [chunks[key] for key in sorted(chunks)]
    return {name: torch.stack([row[name] for row in rows]) for name in sorted(rows[0])}
