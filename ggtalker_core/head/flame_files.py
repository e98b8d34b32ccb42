"""FLAME files of the user: converted once to safetensors, loaded from there; and our own head in the FLAME format.

FLAME itself is not shipped: it needs a registration, and FLAME 2020/2023 are for non-commercial research only. A file
that a user brings is read without running it (flame_pickle.py) and checked.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import IncompatibleFileError, InvalidInputError, UnreadableFileError
from .flame_pickle import read_pickle
from .model import PARENTS, HeadModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT, VERSION = "ggtalker-flame", "1"
SHAPE_COLUMNS, EXPRESSION_COLUMNS = 300, 100  # of a FLAME file's shapedirs
N_EXPRESSION = 50
KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights")


def convert_flame(source: str | Path, target: str | Path) -> Path:
    """Read a FLAME pickle (.pkl) or .npz and write it as safetensors to `target`; returns `target`.

    Raises UnreadableFileError, LimitExceededError for a file that is not such a model, InvalidInputError for another
    ending. Nothing in the file is run. The target is written whole or not at all.
    """
    import numpy as np
    from safetensors.numpy import save

    source, target = Path(source), Path(target)
    if not source.is_file():
        raise UnreadableFileError(f"There is no file {source}.")
    if target.suffix != ".safetensors":
        raise InvalidInputError(f"The converted head must end in .safetensors, got {target.name}.")
    arrays = read_pickle(source, KEYS) if source.suffix == ".pkl" else _read_npz(source)
    checked = _checked(arrays, source.name)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "name": source.stem,
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    part.write_bytes(save({k: np.ascontiguousarray(v) for k, v in checked.items()}, metadata))
    part.replace(target)
    return target


def converted_flame(source: str | Path) -> Path:
    """The safetensors of a FLAME file beside it, converted when there is none yet or the file is newer.

    Raises as `convert_flame`, and UnreadableFileError where the folder cannot be written.
    """
    source = Path(source)
    target = source.with_name(source.stem + ".ggtalker.safetensors")
    if target.is_file() and target.stat().st_mtime >= source.stat().st_mtime:
        return target
    try:
        return convert_flame(source, target)
    except OSError as error:
        raise UnreadableFileError(
            f"{source.name} was read, but the converted head cannot be written to {source.parent} ({error}). "
            "Make the folder writable, or convert the file elsewhere and put both there."
        ) from error


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz, without pickled members."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in KEYS if key in file.files}
    except Exception as error:  # a damaged archive may raise anything
        raise UnreadableFileError(f"{path.name} cannot be read as a FLAME .npz: {error}.") from error


def _checked(arrays: dict[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """The arrays in our types. Raises UnreadableFileError unless they form a FLAME model."""
    import numpy as np

    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise UnreadableFileError(f"{name} is not a FLAME model: it lacks {', '.join(missing)}.")
    v, joints = len(arrays["v_template"]), len(PARENTS)
    columns = arrays["shapedirs"].shape[2] if arrays["shapedirs"].ndim == 3 else 0
    wanted = {
        "v_template": (v, 3), "shapedirs": (v, 3, columns), "posedirs": (v, 3, 9 * (joints - 1)),
        "J_regressor": (joints, v), "weights": (v, joints),
    }  # fmt: skip
    for key, shape in wanted.items():
        if arrays[key].shape != shape or not np.isfinite(arrays[key]).all():
            raise UnreadableFileError(f"{name}: {key} must be finite and of shape {shape}, got {arrays[key].shape}.")
    if columns != SHAPE_COLUMNS + EXPRESSION_COLUMNS:
        raise UnreadableFileError(f"{name}: shapedirs has {columns} columns; FLAME has 300 + 100.")
    faces = arrays["f"].astype(np.int64)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.min() < 0 or faces.max() >= v:
        raise UnreadableFileError(f"{name}: its triangles name vertices that do not exist.")
    parents = arrays["kintree_table"].astype(np.int64)
    if parents.shape != (2, joints) or tuple(parents[0, 1:]) != PARENTS[1:]:
        raise UnreadableFileError(f"{name}: its joints are not those of FLAME (root, neck, jaw, two eyes).")
    out = {key: arrays[key].astype(np.float32) for key in wanted}
    return out | {"f": faces.astype(np.int32)}


def read_converted(path: Path, name: str | None = None) -> HeadModel:
    """A head written by `convert_flame`: all shape components that are not empty, the first 50 of expression.

    `name`: what `load_head` knows it by; the path when None.
    Regions, landmarks and pairs are those of the default head, carried over to the nearest places (see transfer.py),
    and so are the meanings of its expressions (see retarget.py). Raises IncompatibleFileError for another file.
    """
    import numpy as np
    import torch
    from safetensors import SafetensorError, safe_open

    from .retarget import with_arkit
    from .transfer import carry_over

    try:
        with safe_open(str(path), framework="pt") as file:
            meta: dict[str, str] = file.metadata() or {}
            if (meta.get("format"), meta.get("version")) != (FORMAT, VERSION):
                raise IncompatibleFileError(
                    f"{path.name} is not a head converted by this version of the pack; convert the FLAME file again."
                )
            raw = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise IncompatibleFileError(f"{path} cannot be read as safetensors: {error}.") from error
    shape, expression = raw["shapedirs"][..., :SHAPE_COLUMNS], raw["shapedirs"][..., SHAPE_COLUMNS:]
    used = int(np.flatnonzero(shape.abs().amax((0, 1)).numpy()).max(initial=0)) + 1
    shape, expression = shape[..., :used].contiguous(), expression[..., :N_EXPRESSION].contiguous()
    regressor, template, faces = raw["J_regressor"], raw["v_template"], raw["f"].long()
    known = carry_over(template, faces, raw["weights"])
    head = HeadModel(
        name=name or str(path),
        template_m=template,
        faces=faces,
        shape_basis=shape,
        expression_basis=expression,
        pose_basis=raw["posedirs"],
        skin_weights=raw["weights"],
        joint_template_m=regressor @ template,
        joint_shape_basis=torch.einsum("jv,vcs->jcs", regressor, shape),
        joint_expression_basis=torch.einsum("jv,vcs->jcs", regressor, expression),
        joint_regressor=regressor,
        regions=known.regions,
        landmarks=known.landmarks,
        arkit=None,
        lip_pairs=known.lip_pairs,
        lip_corners=known.lip_corners,
        lid_pairs=known.lid_pairs,
        lid_corners=known.lid_corners,
        mirror=None,
        uv=None,
        fitted_default_m=torch.from_numpy(known.fitted_m).float(),
    )
    return with_arkit(head)


def export_flame(head: HeadModel, folder: str | Path) -> Path:
    """Write a head as FLAME_NEUTRAL.npz, which smplx.FLAME(folder, ext="npz") opens; returns its path.

    shapedirs is padded with zeros to 400 columns, because smplx reads expression from column 300 on. smplx also wants
    flame_static_embedding.pkl in the folder: it is written here, with the 51 usual landmarks of 68.
    """
    import numpy as np

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    v, s = head.n_vertices, head.n_shape
    basis = np.zeros((v, 3, SHAPE_COLUMNS + EXPRESSION_COLUMNS), np.float32)
    basis[..., :s] = head.shape_basis.numpy()
    basis[..., SHAPE_COLUMNS : SHAPE_COLUMNS + N_EXPRESSION] = head.expression_basis.numpy()
    path = folder / "FLAME_NEUTRAL.npz"
    np.savez(
        path,
        v_template=head.template_m.numpy(),
        f=head.faces.numpy().astype(np.uint32),
        shapedirs=basis,
        posedirs=head.pose_basis.numpy(),
        J_regressor=head.joint_regressor.numpy(),
        kintree_table=np.array([[2**32 - 1, *PARENTS[1:]], range(len(PARENTS))], np.int64),
        weights=head.skin_weights.numpy(),
        bs_style=np.array("lbs"),
        bs_type=np.array("lrotmin"),
    )
    _write_static_embedding(head, folder / "flame_static_embedding.pkl")
    return path


# Face-mesh points that stand for points 17 to 67 of the 68 iBUG landmarks.
_IBUG_51 = (
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144,
    362, 385, 387, 263, 373, 380, 61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14,
    87,
)  # fmt: skip


def _write_static_embedding(head: HeadModel, path: Path) -> None:
    """The landmark file that smplx.FLAME insists on (it is written as a pickle, never read by us)."""
    import pickle

    import numpy as np

    slot = {tuple(t): i for i, t in enumerate(head.faces.tolist())}
    chosen = head.landmarks.triangles[list(_IBUG_51)].tolist()
    content = {
        "lmk_face_idx": np.array([slot[tuple(t)] for t in chosen], np.uint32),
        "lmk_b_coords": head.landmarks.barycentric[list(_IBUG_51)].double().numpy(),
    }
    path.write_bytes(pickle.dumps(content, protocol=2))
