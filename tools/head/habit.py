"""By how much the bundled face mesh overstates how far a head is turned: a build-time tool for the tracker.

    PYTHONPATH=. python tools/head/habit.py [--count 600] [--out ggtalker_core/assets/landmark_habit.safetensors]

Heads of random people are rendered (views.py) and looked at by the mesh. What it finds less where the landmarks truly
are is explained by yaw and pitch, landmark by landmark; only the part that grows with yaw is kept: it is what makes
turned heads look more turned than they are, by 8 %. The part that grows with pitch did not lower the error on drawn
clips of known truth, nor the mean error of held-out landmarks on real ones. Mirror images count too, so the result is
antisymmetric. Deterministic for a given head, networks and count.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from views import Picture, take_pictures

from ggtalker_core.head import load_head
from ggtalker_core.tracking.topology import N_MESH, OUTER_EYE_LEFT, OUTER_EYE_RIGHT
from ggtalker_core.tracking.views import mirror_order

Points = NDArray[np.float64]
OUT = Path("ggtalker_core/assets/landmark_habit.safetensors")
ROUNDS = 6  # of re-weighting: pictures in which the mesh went astray count little


def features(yaw: Points, pitch: Points) -> Points:
    """[N, 6] of yaw and pitch in radians [N]: first the one that is kept."""
    return np.stack([yaw, np.ones_like(yaw), pitch, yaw**2, pitch**2, yaw * pitch], -1)


def misses(pictures: list[Picture]) -> Points:
    """Found less true places [N, 478, 2] in distances of the outer eye corners seen from the front, y down."""
    head = load_head("default")
    out: list[Points] = []
    for picture in pictures:
        true = head.landmarks.points(torch.from_numpy(picture.vertices).float()[None])[0].double().numpy()
        eyes_m = np.linalg.norm(true[OUTER_EYE_LEFT] - true[OUTER_EYE_RIGHT])
        unit = picture.view.focal_px / picture.view.distance_m * eyes_m
        out.append((picture.points_px - picture.view.project(true)[0]) / unit)
    return np.stack(out)


def learn(pictures: list[Picture]) -> Points:
    """[478, 2] by which landmarks move per radian of yaw."""
    yaw = np.radians([p.view.yaw_deg for p in pictures])
    pitch = np.radians([p.view.pitch_deg for p in pictures])
    seen = misses(pictures)
    mirrored = seen[:, mirror_order()] * np.array([-1.0, 1.0])
    rows = np.concatenate([features(yaw, pitch), features(-yaw, pitch)])
    target = np.concatenate([seen, mirrored]).reshape(len(rows), -1)
    weight = np.ones(len(rows))
    found = np.zeros((rows.shape[1], target.shape[1]))
    for _ in range(ROUNDS):
        weighted = rows * weight[:, None]
        found = np.linalg.solve(weighted.T @ rows + 1e-4 * np.eye(rows.shape[1]), weighted.T @ target)
        rest = np.sqrt(((target - rows @ found) ** 2).mean(1))
        weight = 1 / (1 + (rest / np.median(rest)) ** 2)
    found_by_yaw = found[0].reshape(-1, 2)
    return found_by_yaw - found_by_yaw[:N_MESH].mean(0)  # a shift of them all turns nothing, and slides over the skin


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pictures = [p for p, _ in take_pictures(load_head("default"), args.count, seed=41, sigma=0.5) if p.score > 0.5]
    found = learn(pictures)
    about = {"format": "ggtalker-landmark-habit", "version": "1", "pictures": str(len(pictures))}
    save_file({"by_yaw": found.astype(np.float32)}, args.out, about)
    size = float((found**2).sum(-1).mean() ** 0.5)
    print(f"{len(pictures)} pictures; root mean square {size:.4f} of the distance of the eye corners per radian")


if __name__ == "__main__":
    main()
