"""The gradient of the blending, front to back like the blending itself, so nothing but the picture had to be kept.

Behind every Gaussian stands what is still to come: R = picture . v - (what was added so far) . v, one number per
pixel. Each (Gaussian, tile) pair writes its sums into a slot of its own: no atomics, the same bits every time.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `pipeline` calls them)
from __future__ import annotations

import numpy as np

from ...jit import inlined, jit
from ..config import ALPHA_MAX, T_STOP, TILE_PX
from . import lanes as L
from .forward import (
    AHEAD,
    BLOCK_X,
    BLOCK_Y,
    CHECK_EVERY,
    DEAD,
    PIXEL_X,
    PIXEL_Y,
    PIXELS,
    exponent,
    living_blocks,
    open_tile,
    touched_blocks,
)  # fmt: skip
from .projection import BLUE, GREEN, LEAN_X, LOG_OPACITY, RECORD, RED, UX, UY, A, C, f32

# Nine sums over the pixels: g s, g dy, g s^2, g s dy, g dy^2, g and the colour's three, where g is the coverage
# times its gradient and s = dx - k dy, the root of the first square (see `projection`)
SLOT = 9


@inlined
def open_gradient(left, top, image, alpha, v_image, v_alpha, colour, rest):
    """Per pixel the colour's gradient (three planes) and what the whole picture contributes to it."""
    height, width = alpha.shape
    for p in range(PIXELS):
        x, y = left + np.int64(PIXEL_X[p]), top + np.int64(PIXEL_Y[p])
        total = f32(0)
        if x < width and y < height:
            for k in range(3):
                v = v_image[y, x, k]
                colour[k * PIXELS + p] = v
                total += image[y, x, k] * v
            # alpha = 1 - transmittance: its gradient works like a background of -v_alpha
            total -= (f32(1) - alpha[y, x]) * v_alpha[y, x]
        else:
            for k in range(3):
                colour[k * PIXELS + p] = f32(0)
        rest[p] = total


@inlined
def differentiate_block(
    at, a, lean, c, log_opacity, ux, uy, red, green, blue, pixel_x, pixel_y, through, thresholds, colour, rest, sums
):
    """Undo one Gaussian in the sixteen pixels from `at` on; returns the nine sums with its share added."""
    zero, one = L.splat(f32(0)), L.splat(f32(1))
    dx, dy = ux - L.load(pixel_x, at), uy - L.load(pixel_y, at)
    power, along = exponent(a, lean, c, log_opacity, dx, dy)
    limit = L.load(thresholds, at)
    value = L.exp2(L.maximum(power, L.splat(f32(-64))))
    most = L.splat(f32(ALPHA_MAX))
    hit = power >= limit
    alpha = L.select(hit, L.minimum(value, most), zero)
    before = L.load(through, at)
    share = before * alpha
    going = before - share > L.splat(f32(T_STOP))
    weight = L.select(going, share, zero)
    L.store(through, at, before - weight)  # (a select here would become a masked store, which stalls the next load)
    L.store(thresholds, at, L.select(going, limit, L.splat(DEAD)))
    v_red, v_green = L.load(colour, at), L.load(colour, at + PIXELS)
    v_blue = L.load(colour, at + 2 * PIXELS)
    seen = red * v_red + green * v_green + blue * v_blue
    behind = L.load(rest, at) - weight * seen
    L.store(rest, at, behind)
    v = before * seen - behind / (one - alpha)
    g = L.select(hit & going & (value <= most), value * v, zero)
    gx, gy = g * along, g * dy
    return (
        sums[0] + gx, sums[1] + gy, sums[2] + gx * along, sums[3] + gx * dy, sums[4] + gy * dy, sums[5] + g,
        sums[6] + weight * v_red, sums[7] + weight * v_green, sums[8] + weight * v_blue,
    )  # fmt: skip


@jit
def clear(values, start, stop):
    """Zero values[start:stop]."""
    values[start:stop] = f32(0)


@jit
def differentiate_tiles(
    tiles, runs, turn, offsets, listed, records, rects, slots, columns, image, alpha, v_image, v_alpha, walked,
    gradients,
):  # fmt: skip
    """Fill the gradient slot of every (Gaussian, tile) pair that blending the given tiles really drew.

    The tiles are shared through `turn` with other threads, as in blending.
    """
    height, width = alpha.shape
    rest, colour = np.empty(PIXELS, np.float32), np.empty(3 * PIXELS, np.float32)
    through, thresholds = np.empty(PIXELS, np.float32), np.empty(PIXELS, np.float32)
    pixel_x, pixel_y = PIXEL_X.copy(), PIXEL_Y.copy()
    block_x, block_y = L.load(BLOCK_X, 0), L.load(BLOCK_Y, 0)
    zero = L.splat(f32(0))
    at_run = L.take(turn)
    while at_run + 1 < runs.size:
        for tile in tiles[runs[at_run] : runs[at_run + 1]]:
            column, row = tile % columns, tile // columns
            left, top = column * TILE_PX, row * TILE_PX
            begin = np.int64(offsets[tile])
            end = begin + walked[tile]
            if end == begin:
                continue
            open_tile(left, top, width, height, through, thresholds)
            open_gradient(left, top, image, alpha, v_image, v_alpha, colour, rest)
            alive = living_blocks(thresholds)
            for s in range(begin, end):
                if (s - begin) % CHECK_EVERY == 0:
                    alive = living_blocks(thresholds)
                L.prefetch(records, np.int64(listed[min(s + AHEAD, end - 1)]) * RECORD)
                g = np.int64(listed[s])
                r = g * RECORD
                x, y = L.splat(records[r + UX] - f32(left)), L.splat(records[r + UY] - f32(top))
                blocks = touched_blocks(records, r, x, y, block_x, block_y) & alive
                if blocks == 0:
                    continue
                a, lean, c = L.splat(records[r + A]), L.splat(records[r + LEAN_X]), L.splat(records[r + C])
                log_opacity = L.splat(records[r + LOG_OPACITY])
                red, green, blue = L.splat(records[r + RED]), L.splat(records[r + GREEN]), L.splat(records[r + BLUE])
                sums = (zero, zero, zero, zero, zero, zero, zero, zero, zero)
                while blocks != 0:
                    place = np.int64(L.lowest_bit(blocks)) * 16
                    blocks &= blocks - np.int32(1)
                    sums = differentiate_block(
                        place, a, lean, c, log_opacity, x, y, red, green, blue,
                        pixel_x, pixel_y, through, thresholds, colour, rest, sums,
                    )  # fmt: skip
                across = np.int64(rects[g, 2]) - np.int64(rects[g, 0])
                slot = np.int64(slots[g]) + (row - rects[g, 1]) * across + (column - rects[g, 0])
                L.store_nine(gradients, slot * SLOT, L.sum_each(sums))
        at_run = L.take(turn)
