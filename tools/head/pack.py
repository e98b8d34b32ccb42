"""Packing of the default head into one small safetensors file (format "ggtalker-head" version 1).

Bases are stored with their component first, as integers with one float32 step per component: int8 where the rounding
error stays under `MAX_STEP_M` / 2, int16 elsewhere. The 49 expression shapes are stored as the sparse ARKit offsets and
recombined at load, which is smaller and exact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
MAX_STEP_M = 2e-5  # metres per int8 step: a rounding error of at most 0.01 mm
UNUSED_CORNER = 65535


@dataclass(frozen=True)
class BuiltHead:
    """Everything the asset holds, before packing. V vertices, F triangles, K identity components."""

    template_m: Floats  # [V, 3]
    faces: Ints  # [F, 3]
    shape_basis: Floats  # [K, V, 3] metres per unit (one standard deviation)
    arkit_shapes: Floats  # [49, V, 3] metres
    arkit_names: list[str]  # 49
    psi_to_arkit: Floats  # [49, 49]
    jaw_correctives: Floats  # [2, V, 3]: on (R21-R12)/2 and on (R02-R20)/2 of the jaw rotation
    skin_weights: Floats  # [V, 5]
    joint_regressor: Floats  # [5, V]
    jaw_open_rad: float
    jaw_side_rad: float
    region: Ints  # [F]
    region_names: list[str]
    uv_xy: Floats  # [U, 2] in [0, 1], v up
    uv_corners: Ints  # [F, 3] rows of uv_xy, UNUSED_CORNER where the triangle has no texels
    mirror: Ints  # [V]
    mirror_faces: Ints  # [F]
    landmark_faces: Ints  # [478]
    landmark_barycentric: Floats  # [478, 3]
    lip_pairs: Ints  # [11, 2] upper, lower, from the person's right to left; the middle one is row 5
    lip_corners: Ints  # [2] the person's right, left
    lid_pairs: Ints  # [2, 6, 2] left eye, right eye; inner to outer; upper, lower
    lid_corners: Ints  # [2, 2] left eye, right eye; inner, outer


def quantise(basis: Floats) -> tuple[NDArray[np.int8], NDArray[np.int16], NDArray[np.bool_], NDArray[np.float32]]:
    """[K, V, 3] metres -> (int8 components, int16 components, which are int8, step per component)."""
    peak = np.abs(basis).reshape(len(basis), -1).max(1)
    small = peak / 127 <= MAX_STEP_M
    step = np.maximum(peak / np.where(small, 127, 32767), 1e-12).astype(np.float32)
    q = np.rint(basis / step[:, None, None].astype(np.float64))
    return q[small].astype(np.int8), q[~small].astype(np.int16), small, step


def sparse_shapes(shapes: Floats, floor_m: float = 1e-6) -> dict[str, NDArray[np.generic]]:
    """[N, V, 3] -> counts per shape, vertex ids and int16 offsets of the vertices that move by more than `floor_m`."""
    ids, values, counts, steps = [], [], [], []
    for shape in shapes:
        moved = np.flatnonzero(np.abs(shape).max(1) > floor_m)
        step = max(float(np.abs(shape).max()) / 32767, 1e-12)
        ids.append(moved)
        counts.append(len(moved))
        steps.append(step)
        values.append(np.rint(shape[moved] / step))
    return {
        "arkit_count": np.array(counts, np.int32),
        "arkit_vertex": np.concatenate(ids).astype(np.uint16),
        "arkit_offset": np.concatenate(values).astype(np.int16),
        "arkit_step_m": np.array(steps, np.float32),
    }


def pack(head: BuiltHead) -> dict[str, NDArray[np.generic]]:
    """The tensors of the asset."""
    q8, q16, is8, step = quantise(head.shape_basis)
    jaw8, jaw16, jaw_is8, jaw_step = quantise(head.jaw_correctives)
    tensors: dict[str, NDArray[np.generic]] = {
        "template_m": head.template_m.astype(np.float32),
        "faces": head.faces.astype(np.uint16),
        "shape_q8": q8,
        "shape_q16": q16,
        "shape_is8": is8,
        "shape_step_m": step,
        "jaw_q8": jaw8,
        "jaw_q16": jaw16,
        "jaw_is8": jaw_is8,
        "jaw_step_m": jaw_step,
        "psi_to_arkit": head.psi_to_arkit.astype(np.float64),
        "skin_weights": head.skin_weights.astype(np.float16),
        "joint_regressor": head.joint_regressor.astype(np.float32),
        "region": head.region.astype(np.uint8),
        "uv_xy": head.uv_xy.astype(np.float32),
        "uv_corners": head.uv_corners.astype(np.uint16),
        "mirror": head.mirror.astype(np.uint16),
        "mirror_faces": head.mirror_faces.astype(np.uint16),
        "landmark_faces": head.landmark_faces.astype(np.uint16),
        "landmark_barycentric": head.landmark_barycentric.astype(np.float32),
        "lip_pairs": head.lip_pairs.astype(np.uint16),
        "lip_corners": head.lip_corners.astype(np.uint16),
        "lid_pairs": head.lid_pairs.astype(np.uint16),
        "lid_corners": head.lid_corners.astype(np.uint16),
    }
    return tensors | sparse_shapes(head.arkit_shapes)


def write(head: BuiltHead, path: Path) -> int:
    """Write the asset; returns its size in bytes. The same input gives the same bytes."""
    from safetensors.numpy import save

    metadata = {
        "format": "ggtalker-head",
        "version": "1",
        "name": "default",
        "license": "CC0-1.0 (MakeHuman / MPFB2 and Face Units 01 data)",
        "arkit_names": json.dumps(head.arkit_names),
        "region_names": json.dumps(head.region_names),
        "jaw_open_rad": repr(float(head.jaw_open_rad)),
        "jaw_side_rad": repr(float(head.jaw_side_rad)),
    }
    data = save({k: np.ascontiguousarray(v) for k, v in sorted(pack(head).items())}, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return len(data)


def field_names() -> list[str]:
    """Names of the fields of BuiltHead."""
    return [f.name for f in fields(BuiltHead)]
