"""Renders of random heads with the landmarks that the bundled face mesh finds in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skin as skins
import torch
import zbuffer
from numpy.typing import NDArray

from ggtalker_core.head.model import HeadModel
from ggtalker_core.tracking.crops import cut_out, square_of_points, stack, to_frame
from ggtalker_core.tracking.networks import load_face_networks
from ggtalker_core.tracking.networks.face_mesh import INPUT_PX, N_MESH
from ggtalker_core.tracking.topology import OUTER_EYE_LEFT, OUTER_EYE_RIGHT

Points = NDArray[np.float64]
SIZE_PX = 512
WIDE_SHARE = 0.3  # of the views from up to 45 degrees; the rest as people look in videos


@dataclass(frozen=True)
class Picture:
    """One render and the places that the network found in it."""

    view: zbuffer.View
    vertices: Points  # [V, 3] head axes
    points_px: Points  # [478, 2]
    iod_px: float
    score: float


def random_pose(head: HeadModel, rng: np.random.Generator, sigma: float) -> Points:
    """Vertices of a random identity with an everyday expression."""
    args = head.rest()
    args["shape"] = torch.from_numpy(rng.normal(0, sigma, (1, head.n_shape))).float()
    weights: dict[str, float] = {}
    if rng.random() < 0.7:
        weights["jawOpen"] = rng.uniform(0, 0.5)
    for name in ("mouthSmile", "mouthPucker", "mouthFunnel", "browInnerUp", "browDown", "eyeSquint", "eyeWide"):
        if rng.random() < 0.2:
            weights[name] = rng.uniform(0, 0.6)
    assert head.arkit is not None
    args["expression"], args["jaw_rad"] = head.arkit.expression(**weights)
    return head.vertices(**args)[0].double().numpy()


def take_pictures(
    head: HeadModel, count: int, seed: int, sigma: float = 0.8
) -> list[tuple[Picture, NDArray[np.uint8]]]:
    """Render `count` heads and find their landmarks: first near the present embedding, then near what was found."""
    rng = np.random.default_rng(seed)
    painter, faces = skins.Skin(head), head.faces.numpy()
    mesh = load_face_networks("cpu").mesh
    out = []
    for _ in range(count):
        vertices = random_pose(head, rng, sigma)
        yaw = rng.uniform(-45, 45) if rng.random() < WIDE_SHARE else rng.normal(0, 14)
        view = zbuffer.View(size=(SIZE_PX, SIZE_PX), fov_deg=20, yaw_deg=float(yaw), pitch_deg=float(rng.normal(0, 8)))
        hits = zbuffer.trace(view, vertices, faces)
        light = (float(rng.uniform(-0.7, 0.7)), float(rng.uniform(0, 0.8)), 0.9)
        image = zbuffer.shade(
            view,
            vertices,
            faces,
            painter.paint(hits, skins.random_look(rng)),
            hits,
            light,
            float(rng.uniform(0.4, 0.7)),
        )
        image[hits.triangle < 0] = rng.integers(30, 225, 3)
        guess = head.landmarks.points(torch.from_numpy(vertices).float()[None])[0].double().numpy()
        points, score = view.project(guess)[0], 0.0
        for _ in range(2):
            square = square_of_points(points[:N_MESH], OUTER_EYE_RIGHT, OUTER_EYE_LEFT)
            with torch.inference_mode():
                found, scores = mesh(stack([cut_out(image, square, INPUT_PX)], "cpu"))
            points, score = to_frame(np.asarray(found[0]), square, INPUT_PX), float(scores[0])
        iod = float(np.linalg.norm(points[OUTER_EYE_LEFT] - points[OUTER_EYE_RIGHT]))
        out.append((Picture(view, vertices, points, iod, score), image))
    return out


def save_pictures(taken: list[tuple[Picture, NDArray[np.uint8]]], folder: Path) -> None:
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    page = Image.new("RGB", (SIZE_PX * 4, SIZE_PX * 3))
    for i, (picture, image) in enumerate(taken):
        tile = Image.fromarray(image)
        draw = ImageDraw.Draw(tile)
        for x, y in picture.points_px:
            draw.ellipse([x - 1, y - 1, x + 1, y + 1], fill=(0, 255, 0))
        page.paste(tile, ((i % 4) * SIZE_PX, (i // 4) * SIZE_PX))
    page.save(folder / "landmark_renders.png")
