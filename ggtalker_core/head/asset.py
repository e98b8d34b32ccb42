"""Reads the packed default head (format "ggtalker-head", written by tools/head)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import IncompatibleFileError
from .arkit import JAW_NAMES, ArkitMap
from .landmarks import LandmarkEmbedding
from .model import HeadModel
from .regions import masks_from_faces
from .uv import UVChart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

DEFAULT_ASSET = Path(__file__).resolve().parent.parent / "assets" / "default_head.safetensors"
FORMAT, VERSION = "ggtalker-head", "1"


def read_default_head(path: Path) -> HeadModel:
    """The head of a packed asset, float32 on the CPU. Raises IncompatibleFileError for another format or version."""
    import numpy as np
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            meta: dict[str, str] = file.metadata() or {}
            if (meta.get("format"), meta.get("version")) != (FORMAT, VERSION):
                raise IncompatibleFileError(
                    f"{path.name} is format {meta.get('format')!r} version {meta.get('version')!r}; this pack reads "
                    f"{FORMAT!r} version {VERSION!r}. Rebuild it with tools/head/build.py."
                )
            raw: dict[str, NDArray[Any]] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise IncompatibleFileError(f"{path} cannot be read as safetensors: {error}. Reinstall the pack.") from error
    mixing = raw["psi_to_arkit"]  # [49, 49] float64: psi -> ARKit weights
    arkit = _dense_arkit(raw)  # [49, V, 3]
    expression = np.zeros((50, *arkit.shape[1:]), np.float32)
    expression[:49] = np.tensordot(mixing.T.astype(np.float32), arkit, 1)
    return _assemble(raw, meta, expression)


def _assemble(raw: dict[str, NDArray[Any]], meta: dict[str, str], expression: NDArray[np.float32]) -> HeadModel:
    """The model from the unpacked tensors. expression [50, V, 3]."""
    import numpy as np
    import torch

    faces = _ints(raw["faces"])
    template = torch.from_numpy(raw["template_m"].copy())
    weights = torch.from_numpy(raw["skin_weights"].astype(np.float32))
    weights = weights / weights.sum(1, keepdim=True)
    regressor = torch.from_numpy(raw["joint_regressor"].copy())
    shape = torch.from_numpy(_dequantise(raw, "shape")).permute(1, 2, 0).contiguous()  # [V, 3, S]
    psi = torch.from_numpy(expression).permute(1, 2, 0).contiguous()
    jaw = _dequantise(raw, "jaw")  # [2, V, 3]
    names = tuple(json.loads(meta["region_names"]))
    regions = masks_from_faces(_ints(raw["region"]), faces, template[:, 0], names)
    corners = _ints(raw["uv_corners"])
    mixing = torch.from_numpy(raw["psi_to_arkit"])
    return HeadModel(
        name=meta["name"],
        template_m=template,
        faces=faces,
        shape_basis=shape,
        expression_basis=psi,
        pose_basis=_pose_basis(jaw),
        skin_weights=weights,
        joint_template_m=regressor @ template,
        joint_shape_basis=torch.einsum("jv,vcs->jcs", regressor, shape),
        joint_expression_basis=torch.einsum("jv,vcs->jcs", regressor, psi),
        joint_regressor=regressor,
        regions=regions,
        landmarks=LandmarkEmbedding(
            faces[_ints(raw["landmark_faces"])], torch.from_numpy(raw["landmark_barycentric"].copy())
        ),
        arkit=ArkitMap(
            names=(*json.loads(meta["arkit_names"]), *JAW_NAMES),
            psi_to_arkit=mixing.float(),
            arkit_to_psi=torch.linalg.inv(mixing).float(),
            jaw_open_rad=float(meta["jaw_open_rad"]),
            jaw_side_rad=float(meta["jaw_side_rad"]),
        ),
        lip_pairs=_ints(raw["lip_pairs"]),
        lip_corners=_ints(raw["lip_corners"]),
        lid_pairs=_ints(raw["lid_pairs"]),
        lid_corners=_ints(raw["lid_corners"]),
        mirror=_ints(raw["mirror"]),
        uv=UVChart(
            xy=torch.from_numpy(raw["uv_xy"].copy()),
            corners=torch.where(corners == 65535, torch.full_like(corners, -1), corners),
            mirror_faces=_ints(raw["mirror_faces"]),
        ),
    )


def _ints(array: NDArray[Any]) -> Tensor:
    """Any integer array as an int64 tensor (torch knows no uint16 arithmetic)."""
    import numpy as np
    import torch

    return torch.from_numpy(array.astype(np.int64))


def _dequantise(raw: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    """Integer components of `name` times their steps, in their first order, [K, V, 3] float32 metres."""
    import numpy as np

    is8, step = raw[f"{name}_is8"], raw[f"{name}_step_m"]
    v = raw["template_m"].shape[0]
    basis = np.zeros((len(step), v, 3), np.float32)
    basis[is8] = raw[f"{name}_q8"]
    basis[~is8] = raw[f"{name}_q16"]
    basis *= step[:, None, None]
    return basis


def _dense_arkit(raw: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The sparse ARKit offsets as [49, V, 3] float32 metres."""
    import numpy as np

    count = raw["arkit_count"]
    which = np.repeat(np.arange(len(count)), count)
    dense = np.zeros((len(count), raw["template_m"].shape[0], 3), np.float32)
    dense[which, raw["arkit_vertex"]] = raw["arkit_offset"] * raw["arkit_step_m"][which, None]
    return dense


def _pose_basis(jaw: NDArray[np.float32]) -> Tensor:
    """The two jaw correctives [2, V, 3] spread over the 36 entries of R - I: antisymmetric, so linear in the sine."""
    import torch

    basis = torch.zeros(jaw.shape[1], 3, 36)
    opening, side = torch.from_numpy(jaw[0]) / 2, torch.from_numpy(jaw[1]) / 2
    first = 9  # the jaw is the second of the four blocks
    basis[..., first + 3 * 2 + 1] = opening
    basis[..., first + 3 * 1 + 2] = -opening
    basis[..., first + 3 * 0 + 2] = side
    basis[..., first + 3 * 2 + 0] = -side
    return basis
