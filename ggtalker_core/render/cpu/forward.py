"""Blend each tile's Gaussians front to back. A tile is sixteen blocks of 4x4 pixels, a block is one vector.

For every Gaussian a vector test over the sixteen blocks finds those it really touches; blocks in which all pixels
have ended are left out, which is most of the work behind an opaque surface.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `pipeline` calls them)
from __future__ import annotations

import numpy as np

from ...jit import inlined, jit
from ..config import ALPHA_MAX, ALPHA_MIN, T_STOP, TILE_PX
from . import lanes as L
from .projection import BLUE, GREEN, LEAN_X, LEAN_Y, LOG_OPACITY, RECORD, RED, UX, UY, A, C, f32

PIXELS = TILE_PX * TILE_PX
LOG_MIN = f32(np.log2(ALPHA_MIN))
DEAD = f32(1e30)  # no exponent reaches it: the threshold of a pixel that has ended
AHEAD = 8  # Gaussians: how early a record is fetched from memory
CHECK_EVERY = 32  # Gaussians between two looks at which blocks still have living pixels

# place of each pixel in its tile, in the order block by block; first pixel centre of each block
_block, _lane = np.divmod(np.arange(PIXELS), 16)
PIXEL_X = (_block % 4 * 4 + _lane % 4 + 0.5).astype(np.float32)
PIXEL_Y = (_block // 4 * 4 + _lane // 4 + 0.5).astype(np.float32)
BLOCK_X = (np.arange(16) % 4 * 4 + 0.5).astype(np.float32)
BLOCK_Y = (np.arange(16) // 4 * 4 + 0.5).astype(np.float32)


@inlined
def clamp(x, low, high):
    """x within [low, high]."""
    return L.minimum(L.maximum(x, low), high)


@inlined
def touched_blocks(records, r, ux, uy, block_x, block_y):
    """Bits of the blocks in which the Gaussian's coverage reaches 1/255 (with a little margin).

    The least exponent over a block lies on the edge that faces the Gaussian: the nearest x with the best y for it,
    or the nearest y with the best x for it.
    """
    a, lean, c = L.splat(records[r + A]), L.splat(records[r + LEAN_X]), L.splat(records[r + C])
    zero, wide = L.splat(f32(0)), L.splat(f32(3))
    x0, y0 = block_x - ux, block_y - uy
    x1, y1 = x0 + wide, y0 + wide
    near_x, near_y = clamp(zero, x0, x1), clamp(zero, y0, y1)
    best_y = clamp(L.splat(records[r + LEAN_Y]) * near_x, y0, y1)
    best_x = clamp(lean * near_y, x0, x1)
    on_x, _ = exponent(a, lean, c, zero, near_x, best_y)
    on_y, _ = exponent(a, lean, c, zero, best_x, near_y)
    reach = records[r + LOG_OPACITY] - LOG_MIN + f32(0.01)
    return L.bits(L.maximum(on_x, on_y) * L.splat(f32(0.999)) >= L.splat(-reach))


@inlined
def exponent(a, lean, c, log_opacity, dx, dy):
    """log2 of the coverage before it is limited, and dx - lean * dy."""
    along = dx - lean * dy
    return log_opacity - a * along * along - c * dy * dy, along


@inlined
def living_blocks(thresholds):
    """Bits of the blocks in which some pixel goes on."""
    alive = np.int32(0)
    for block in range(16):
        if L.bits(L.load(thresholds, block * 16) < L.splat(DEAD)) != 0:
            alive |= np.int32(1) << np.int32(block)
    return alive


@inlined
def open_tile(left, top, width, height, through, thresholds):
    """Full transmittance; pixels outside the picture have ended."""
    for p in range(PIXELS):
        through[p] = f32(1)
        inside = (left + PIXEL_X[p] < width) and (top + PIXEL_Y[p] < height)
        thresholds[p] = LOG_MIN if inside else DEAD


@inlined
def blend_block(at, a, lean, c, log_opacity, ux, uy, red, green, blue, pixel_x, pixel_y, through, thresholds, rgb):
    """Add one Gaussian to the sixteen pixels from `at` on."""
    dx, dy = ux - L.load(pixel_x, at), uy - L.load(pixel_y, at)
    power, _ = exponent(a, lean, c, log_opacity, dx, dy)
    limit = L.load(thresholds, at)
    value = L.minimum(L.exp2(L.maximum(power, L.splat(f32(-64)))), L.splat(f32(ALPHA_MAX)))
    alpha = L.select(power >= limit, value, L.splat(f32(0)))
    before = L.load(through, at)
    share = before * alpha
    going = before - share > L.splat(f32(T_STOP))
    weight = L.select(going, share, L.splat(f32(0)))
    L.store(through, at, before - weight)  # (a select here would become a masked store, which stalls the next load)
    L.store(thresholds, at, L.select(going, limit, L.splat(DEAD)))
    L.store(rgb, at, L.load(rgb, at) + weight * red)
    L.store(rgb, at + PIXELS, L.load(rgb, at + PIXELS) + weight * green)
    L.store(rgb, at + 2 * PIXELS, L.load(rgb, at + 2 * PIXELS) + weight * blue)


@inlined
def close_tile(left, top, background, rgb, through, image, alpha):
    """Write the tile's pixels that lie inside the picture, over the background."""
    height, width = alpha.shape
    for p in range(PIXELS):
        x, y = left + np.int64(PIXEL_X[p]), top + np.int64(PIXEL_Y[p])
        if x < width and y < height:
            t = through[p]
            for k in range(3):
                image[y, x, k] = rgb[k * PIXELS + p] + t * background[k]
            alpha[y, x] = f32(1) - t


@jit
def blend_tiles(tiles, runs, turn, offsets, listed, records, background, columns, image, alpha, walked):
    """Render the given tiles, sharing them through `turn` with other threads that do the same.

    `walked[tile]` is how far its list was read before all its pixels ended.
    """
    height, width = alpha.shape
    rgb = np.empty(3 * PIXELS, np.float32)
    through = np.empty(PIXELS, np.float32)
    thresholds = np.empty(PIXELS, np.float32)
    pixel_x, pixel_y = PIXEL_X.copy(), PIXEL_Y.copy()
    block_x, block_y = L.load(BLOCK_X, 0), L.load(BLOCK_Y, 0)
    at_run = L.take(turn)
    while at_run + 1 < runs.size:
        for tile in tiles[runs[at_run] : runs[at_run + 1]]:
            left, top = tile % columns * TILE_PX, tile // columns * TILE_PX
            open_tile(left, top, width, height, through, thresholds)
            rgb[:] = f32(0)
            alive = living_blocks(thresholds)
            begin, end = offsets[tile], offsets[tile + 1]
            at = begin
            while at < end and alive != 0:
                until = min(end, at + CHECK_EVERY)
                for s in range(at, until):
                    L.prefetch(records, np.int64(listed[min(s + AHEAD, end - 1)]) * RECORD)
                    r = np.int64(listed[s]) * RECORD
                    x, y = L.splat(records[r + UX] - f32(left)), L.splat(records[r + UY] - f32(top))
                    blocks = touched_blocks(records, r, x, y, block_x, block_y) & alive
                    a, lean, c = L.splat(records[r + A]), L.splat(records[r + LEAN_X]), L.splat(records[r + C])
                    log_opacity = L.splat(records[r + LOG_OPACITY])
                    red, green = L.splat(records[r + RED]), L.splat(records[r + GREEN])
                    blue = L.splat(records[r + BLUE])
                    while blocks != 0:
                        place = np.int64(L.lowest_bit(blocks)) * 16
                        blocks &= blocks - np.int32(1)
                        blend_block(
                            place, a, lean, c, log_opacity, x, y, red, green, blue,
                            pixel_x, pixel_y, through, thresholds, rgb,
                        )  # fmt: skip
                at = until
                alive = living_blocks(thresholds)
            walked[tile] = at - begin
            close_tile(left, top, background, rgb, through, image, alpha)
        at_run = L.take(turn)
