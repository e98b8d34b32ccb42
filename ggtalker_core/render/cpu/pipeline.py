"""One frame through the stages, in numpy arrays: project, sort, deal out to tiles, blend; and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import LimitExceededError
from ..config import FOV_MARGIN, TILE_PX
from .backward import SLOT, differentiate_tiles
from .binning import count_tiles, scatter_tiles, sort_visible
from .forward import blend_tiles
from .projection import CAMERA, RECORD, project
from .projection_backward import differentiate_projection
from .threads import ranges, spread

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
PAIRS_MAX = 200_000_000  # of Gaussian and touched tile: 0.8 GB of lists, 7 GB of gradients
_LEAST = 16_384  # Gaussians, or pairs, below which another thread does not pay


@dataclass(frozen=True)
class FrameInput:
    """One frame as contiguous float32 arrays; at least sixteen Gaussians (a multiple is not needed)."""

    means: Floats  # [N, 3]
    quats: Floats  # [N, 4]
    scales: Floats  # [N, 3]
    opacities: Floats  # [N]
    colors: Floats  # [N, 3]
    camera: Floats  # [26], see camera_numbers
    background: Floats  # [3]
    width: int
    height: int


@dataclass(frozen=True)
class FrameState:
    """What the gradient needs of the forward pass, besides the input."""

    image: Floats  # [H, W, 3]
    alpha: Floats  # [H, W]
    records: Floats  # [N * 16]
    rects: NDArray[np.int16]  # [N, 4] tiles x0, y0, x1, y1
    counts: Ints  # [N] tiles touched
    slots: Ints  # [N + 1] first gradient slot
    offsets: Ints  # [T + 1] where each tile's list begins
    listed: Ints  # [I] Gaussians, by tile, then depth
    walked: Ints  # [T] how far each list was read


def camera_numbers(
    viewmat: Floats,
    intrinsics: Floats,
    size_px: tuple[int, int],
    range_m: tuple[float, float],
    eps2d: float,
    antialiased: bool,
) -> Floats:
    """The camera as one row of float32: rotation 9, shift 3, focal, centre, size, slope limits, near, far, options."""
    (width, height), (near_m, far_m) = size_px, range_m
    fx, fy, cx, cy = (float(intrinsics[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    margin_x, margin_y = FOV_MARGIN * 0.5 * width / fx, FOV_MARGIN * 0.5 * height / fy
    row = [
        *viewmat[:3, :3].ravel().tolist(), *viewmat[:3, 3].tolist(), fx, fy, cx, cy, width, height,
        (width - cx) / fx + margin_x, -(cx / fx + margin_x), (height - cy) / fy + margin_y, -(cy / fy + margin_y),
        near_m, far_m, eps2d, float(antialiased),
    ]  # fmt: skip
    return np.array(row, np.float32).reshape(CAMERA)


def render_frame(frame: FrameInput, threads: int, image: Floats, alpha: Floats) -> FrameState:
    """Fill `image` [H, W, 3] and `alpha` [H, W] with one frame; returns what its gradient needs."""
    n = frame.opacities.size
    records, rects = np.empty(n * RECORD, np.float32), np.empty((n, 4), np.int16)
    counts, depths = np.empty(n, np.int32), np.empty(n, np.float32)

    def project_part(part: tuple[int, int]) -> None:
        project(
            frame.means, frame.quats, frame.scales, frame.opacities, frame.colors, frame.camera,
            part[0], part[1], records, rects, counts, depths,
        )  # fmt: skip

    spread(project_part, ranges(n, threads, 16, _LEAST))
    pairs = int(counts.sum(dtype=np.int64))
    if pairs > PAIRS_MAX:
        raise LimitExceededError(
            f"The Gaussians touch {pairs} tiles together, the limit is {PAIRS_MAX}: they are far too large for the "
            "picture. A training step has probably diverged."
        )
    slots = np.empty(n + 1, np.int32)
    order, boxes = sort_visible(depths, counts, rects.view(np.int64).ravel(), slots)
    columns, rows = -(-frame.width // TILE_PX), -(-frame.height // TILE_PX)
    offsets, listed = _deal_out(order, boxes, columns, columns * rows, threads)
    walked = np.zeros(columns * rows, np.int32)

    def blend_part(tiles: Ints) -> None:
        blend_tiles(tiles, offsets, listed, records, frame.background, columns, image, alpha, walked)

    spread(blend_part, _share_tiles(np.diff(offsets), threads))
    return FrameState(image, alpha, records, rects, counts, slots, offsets, listed, walked)


def differentiate_frame(
    frame: FrameInput, state: FrameState, v_image: Floats, v_alpha: Floats, threads: int
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Gradients of means, quats, scales, opacities and colours, from those of image [H, W, 3] and alpha [H, W]."""
    n = frame.opacities.size
    columns = -(-frame.width // TILE_PX)
    # sixteen floats are read at a time: a few more than the last slot has
    gradients = np.zeros(state.listed.size * SLOT + 16, np.float32)

    def blend_part(tiles: Ints) -> None:
        differentiate_tiles(
            tiles, state.offsets, state.listed, state.records, state.rects, state.slots, columns,
            state.image, state.alpha, v_image, v_alpha, state.walked, gradients,
        )  # fmt: skip

    spread(blend_part, _share_tiles(state.walked, threads))
    out = tuple(np.empty_like(x) for x in (frame.means, frame.quats, frame.scales, frame.opacities, frame.colors))

    def project_part(part: tuple[int, int]) -> None:
        differentiate_projection(
            frame.means, frame.quats, frame.scales, frame.opacities, frame.camera, state.records, state.counts,
            state.slots, gradients, part[0], part[1], *out,
        )  # fmt: skip

    spread(project_part, ranges(n, threads, 16, _LEAST))
    return out  # type: ignore[return-value]


def try_out() -> None:
    """Run every kernel once on sixteen Gaussians: compiles what is not cached, and shows whether it works."""
    means = np.zeros((16, 3), np.float32)
    means[:, 2] = 1
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (16, 1))
    scales, opacities = np.full((16, 3), 0.1, np.float32), np.full(16, 0.5, np.float32)
    eye = np.eye(4, dtype=np.float32)
    camera = camera_numbers(eye, eye[:3, :3], (1, 1), (0.01, 10.0), 0.3, False)
    frame = FrameInput(means, quats, scales, opacities, means, camera, np.zeros(3, np.float32), 1, 1)
    image, alpha = np.empty((1, 1, 3), np.float32), np.empty((1, 1), np.float32)
    state = render_frame(frame, 1, image, alpha)
    gradients = differentiate_frame(frame, state, image, alpha, 1)
    if not all(np.isfinite(g).all() for g in (image, *gradients)) or not 0.3 < float(alpha[0, 0]) <= 1.0:
        raise RuntimeError(f"the trial picture is wrong (alpha {float(alpha[0, 0]):g})")


def _deal_out(order: Ints, boxes: NDArray[np.int64], columns: int, tiles: int, threads: int) -> tuple[Ints, Ints]:
    """The tiles' lists: where each begins [T + 1] and the Gaussians [I]."""
    parts = ranges(order.size, threads, 1, _LEAST)
    cursors = np.zeros((len(parts), tiles), np.int32)

    jobs = [(start, stop, own) for (start, stop), own in zip(parts, cursors)]
    spread(lambda job: count_tiles(boxes, columns, job[0], job[1], job[2]), jobs)
    # a tile's list holds the parts one after the other: depth order stays whole
    ends = np.cumsum(cursors.T.ravel(), dtype=np.int64)
    total = int(ends[-1])
    starts = (ends - cursors.T.ravel()).astype(np.int32).reshape(tiles, len(parts))
    cursors[:] = starts.T
    listed = np.empty(total, np.int32)
    spread(lambda job: scatter_tiles(order, boxes, columns, job[0], job[1], job[2], listed), jobs)
    return np.append(starts[:, 0], np.int32(total)).astype(np.int32), listed


def _share_tiles(work: Ints, threads: int) -> list[Ints]:
    """The tiles dealt to the threads so that each gets about the same work, heaviest first."""
    parts = max(1, min(threads, work.size, int(work.sum()) // _LEAST))
    if parts == 1:
        return [np.arange(work.size, dtype=np.int32)]
    order = np.argsort(-work, kind="stable").astype(np.int32)
    return [np.ascontiguousarray(order[k::parts]) for k in range(parts)]
