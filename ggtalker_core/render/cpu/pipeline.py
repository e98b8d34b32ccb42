"""One frame through the stages, in numpy arrays: project, sort, deal out to tiles, blend; and the way back."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import LimitExceededError
from ..config import FOV_MARGIN, TILE_PX
from .backward import SLOT, clear, differentiate_tiles
from .binning import (
    DIGIT_BITS,
    count_digits,
    count_tiles,
    deal_digits,
    deal_last,
    first_places,
    list_seen,
    scatter_tiles,
    survey,
)  # fmt: skip
from .forward import blend_tiles
from .projection import CAMERA, RECORD, project
from .projection_backward import differentiate_projection
from .threads import ranges, spread

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Ints64 = NDArray[np.int64]
PAIRS_MAX = 200_000_000  # of Gaussian and touched tile: 0.8 GB of lists, 7 GB of gradients
_EMPTY_TILE = 50  # what a tile costs besides its Gaussians, in Gaussians
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


class TileShare(NamedTuple):
    """Tiles that several threads work off, a run at a time."""

    tiles: Ints  # [T] in the order of work
    runs: Ints64  # [R + 1] where each run begins in `tiles`
    turn: Ints64  # [1] the run that is next


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

    spread(project_part, ranges(n, _portions(threads), 16, _LEAST), threads)
    order, boxes, slots = _sort_seen(depths, counts, rects.view(np.int64).ravel(), threads)
    columns, rows = -(-frame.width // TILE_PX), -(-frame.height // TILE_PX)
    offsets, listed = _deal_out(order, boxes, columns, columns * rows, threads)
    walked = np.empty(columns * rows, np.int32)

    def blend_part(share: TileShare) -> None:
        blend_tiles(*share, offsets, listed, records, frame.background, columns, image, alpha, walked)

    spread(blend_part, _share_tiles(np.diff(offsets), columns, threads), threads)
    return FrameState(image, alpha, records, rects, counts, slots, offsets, listed, walked)


def differentiate_frame(
    frame: FrameInput, state: FrameState, v_image: Floats, v_alpha: Floats, threads: int
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Gradients of means, quats, scales, opacities and colours, from those of image [H, W, 3] and alpha [H, W]."""
    n = frame.opacities.size
    columns = -(-frame.width // TILE_PX)
    # sixteen floats are read at a time: a few more than the last slot has
    gradients = np.empty(state.listed.size * SLOT + 16, np.float32)
    spread(lambda part: clear(gradients, part[0], part[1]), ranges(gradients.size, threads, 1, 1 << 20), threads)

    def blend_part(share: TileShare) -> None:
        differentiate_tiles(
            *share, state.offsets, state.listed, state.records, state.rects, state.slots, columns,
            state.image, state.alpha, v_image, v_alpha, state.walked, gradients,
        )  # fmt: skip

    spread(blend_part, _share_tiles(state.walked, columns, threads), threads)
    out = tuple(np.empty_like(x) for x in (frame.means, frame.quats, frame.scales, frame.opacities, frame.colors))

    def project_part(part: tuple[int, int]) -> None:
        differentiate_projection(
            frame.means, frame.quats, frame.scales, frame.opacities, frame.camera, state.records, state.counts,
            state.slots, gradients, part[0], part[1], *out,
        )  # fmt: skip

    spread(project_part, ranges(n, _portions(threads), 16, _LEAST), threads)
    return out  # type: ignore[return-value]


def try_out() -> None:
    """Run every kernel once on sixteen Gaussians: compiles what is not cached, and shows whether it works."""
    means = np.zeros((16, 3), np.float32)
    means[:, 2] = np.linspace(1, 9, 16)  # so that sorting takes all its steps
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


def _portions(threads: int) -> int:
    """Into how many ranges to cut: more than there are threads, so that one held back by the system takes fewer."""
    return 1 if threads == 1 else 4 * threads


def _sort_seen(depths: Floats, counts: Ints, boxes: Ints64, threads: int) -> tuple[Ints, Ints64, Ints]:
    """The M Gaussians that are seen, nearest first, ties by index; their boxes; every first gradient slot [N + 1]."""
    parts = ranges(counts.size, threads, 1, _LEAST)
    found = np.empty((len(parts), 4), np.int64)

    def survey_part(k: int) -> None:
        start, stop = parts[k]
        survey(depths, counts, start, stop, found[k])

    spread(survey_part, range(len(parts)), threads)
    seen, pairs = int(found[:, 0].sum()), int(found[:, 1].sum())
    if pairs > PAIRS_MAX:
        raise LimitExceededError(
            f"The Gaussians touch {pairs} tiles together, the limit is {PAIRS_MAX}: they are far too large for the "
            "picture. A training step has probably diverged."
        )
    least, most = int(found[:, 2].min()), int(found[:, 3].max())
    ends = found[:, :2].cumsum(0)
    starts = (ends - found[:, :2]).tolist()
    slots, keys = np.empty(counts.size + 1, np.int32), np.empty(seen, np.uint64)
    slots[-1] = pairs
    histograms = np.zeros((len(parts), 1 << DIGIT_BITS), np.int32)

    def list_part(k: int) -> None:
        (start, stop), (first, slot) = parts[k], starts[k]
        list_seen(depths, counts, start, stop, np.uint32(least), first, slot, slots, keys, histograms[k])

    spread(list_part, range(len(parts)), threads)
    # the first digits were counted part by part: they are dealt out so, too
    cuts = [(first, int(end)) for (first, _), end in zip(starts, ends[:, 0])]
    digits = max(1, -(-(most - least).bit_length() // DIGIT_BITS)) if seen else 1
    order, sorted_boxes = _sort_digits(keys, cuts, histograms, digits, boxes, threads)
    return order, sorted_boxes, slots


def _sort_digits(
    keys: NDArray[np.uint64],
    cuts: list[tuple[int, int]],
    histograms: Ints,
    digits: int,
    boxes: Ints64,
    threads: int,
) -> tuple[Ints, Ints64]:
    """Indices and boxes in the order of the keys: digit after digit, lowest first, each part by a thread of its own."""
    places, other = np.empty_like(histograms), np.empty_like(keys)
    order, sorted_boxes = np.empty(keys.size, np.int32), np.empty(keys.size, np.int64)
    numbers = range(len(cuts))
    shift = 0

    def count(p: int) -> None:
        start, stop = cuts[p]
        count_digits(keys, start, stop, shift, histograms[p])

    def deal(p: int) -> None:
        start, stop = cuts[p]
        deal_digits(keys, start, stop, shift, places[p], other)

    def finish(p: int) -> None:
        start, stop = cuts[p]
        deal_last(keys, start, stop, shift, places[p], boxes, order, sorted_boxes)

    first_places(histograms, places)
    for _ in range(digits - 1):
        spread(deal, numbers, threads)
        keys, other = other, keys
        shift += DIGIT_BITS
        histograms[:] = 0
        spread(count, numbers, threads)
        first_places(histograms, places)
    spread(finish, numbers, threads)
    return order, sorted_boxes


def _deal_out(order: Ints, boxes: Ints64, columns: int, tiles: int, threads: int) -> tuple[Ints, Ints]:
    """The tiles' lists: where each begins [T + 1] and the Gaussians [I]."""
    parts = ranges(order.size, threads, 1, _LEAST)
    cursors = np.zeros((len(parts), tiles), np.int32)
    numbers = range(len(parts))

    def count(k: int) -> None:
        start, stop = parts[k]
        count_tiles(boxes, columns, start, stop, cursors[k])

    spread(count, numbers, threads)
    # a tile's list holds the parts one after the other: depth order stays whole
    ends = np.cumsum(cursors.T.ravel(), dtype=np.int64)
    total = int(ends[-1])
    starts = (ends - cursors.T.ravel()).astype(np.int32).reshape(tiles, len(parts))
    cursors[:] = starts.T
    listed = np.empty(total, np.int32)

    def scatter(k: int) -> None:
        start, stop = parts[k]
        scatter_tiles(order, boxes, columns, start, stop, cursors[k], listed)

    spread(scatter, numbers, threads)
    return np.append(starts[:, 0], np.int32(total)).astype(np.int32), listed


def _share_tiles(work: Ints, columns: int, threads: int) -> list[TileShare]:
    """The tiles and how the threads share them: the same object for every thread.

    A run holds neighbouring tiles, whose Gaussians, and gradient slots beside each other, stay in one core's cache:
    tiles dealt out one by one cost two cores half of what they gain. The first runs are long, the last ones short.
    """
    total = int(work.sum())
    parts = max(1, min(threads, work.size, total // _LEAST))
    order = _tile_order(columns, work.size // columns)
    borders, left = [0.0], 1.0
    while parts > 1 and left > 0.04 / parts:
        left -= max(left / (2 * parts), 0.03 / parts)
        borders.append(1.0 - left)
    weight = np.cumsum(work[order] + _EMPTY_TILE)
    ends = np.searchsorted(weight, np.array(borders[1:]) * weight[-1])
    return [TileShare(order, np.array([0, *ends, work.size], np.int64), np.zeros(1, np.int64))] * parts


@functools.lru_cache(maxsize=64)
def _tile_order(columns: int, rows: int) -> Ints:
    """The tiles along a Z curve: neighbours in the order are neighbours in the picture."""
    y, x = np.divmod(np.arange(columns * rows), columns)
    key = np.zeros(columns * rows, np.int64)
    for bit in range(16):
        key |= ((x >> bit) & 1) << (2 * bit) | ((y >> bit) & 1) << (2 * bit + 1)
    return np.argsort(key, kind="stable").astype(np.int32)
