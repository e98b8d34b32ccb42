"""Made-up clips, and a coder apart from the pack's own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np


def textured_clip(count: int = 12, height: int = 512, width: int = 512, seed: int = 0) -> list[np.ndarray]:
    """A textured disc that sways over a soft, still background: grain, edges and flat parts as in a talking head."""
    rng = np.random.default_rng(seed)
    noise = [rng.normal(0, 1, (height, width, 3)).astype(np.float32) for _ in range(2)]
    fine, soft = (cv2.GaussianBlur(n, (0, 0), s) for n, s in zip(noise, (1.5, 40)))
    fine, soft = fine / fine.std() * 12 + 140, soft / soft.std() * 30 + 110
    frames = []
    for t in range(count):
        disc = np.zeros((height, width), np.float32)
        center = width // 2 + int(6 * np.sin(t / 4)), height // 2 + int(4 * np.cos(t / 5))
        cv2.circle(disc, center, min(height, width) // 4, 1, -1)
        disc = cv2.GaussianBlur(disc, (0, 0), 3)[..., None]
        moved = np.roll(fine, (center[1] - height // 2, center[0] - width // 2), (0, 1))
        frames.append(np.clip(moved * disc + soft * (1 - disc), 0, 255).astype(np.uint8))
    return frames


def write(path: Path, frames: list[np.ndarray], crf: int, tags: dict[str, str] | None = None) -> Path:
    """A plain x264 encoder, apart from the pack's own."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as out:
        out.metadata.update(tags or {})
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        out.mux(stream.encode())
    return path


def read(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def psnr(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    error = np.mean([(x.astype(np.float64) - y) ** 2 for x, y in zip(a, b)])
    return float(10 * np.log10(255**2 / error))


FPS = Fraction(25)
ID = "0123456789abcdef"
