"""Sort by depth once, then deal the Gaussians out to the tiles that they touch, keeping that order.

Both steps are stable, so every tile's list is ordered by depth and, for equal depths, by index (gsplat's order),
whatever the number of threads.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `pipeline` calls them)
from __future__ import annotations

import numpy as np

from . import lanes as L

_MASK = np.uint32(2047)
_SHIFT1, _SHIFT2 = np.uint32(11), np.uint32(22)


@L.jit
def sort_visible(depths, counts, slots):
    """Indices of the Gaussians that are seen, nearest first; fills `slots` with the first of each one's slots.

    Depths are positive floats, whose bits order as they do: a radix sort in three passes of 11 bits.
    """
    n = depths.size
    keys = np.empty(n, np.uint32)
    ids = np.empty(n, np.int32)
    bits = depths.view(np.uint32)
    histogram = np.zeros((3, 2048), np.int32)
    seen, slot = 0, 0
    for i in range(n):
        slots[i] = slot
        slot += counts[i]
        if counts[i] > 0:
            key = bits[i]
            keys[seen] = key
            ids[seen] = i
            seen += 1
            histogram[0, key & _MASK] += 1
            histogram[1, (key >> _SHIFT1) & _MASK] += 1
            histogram[2, key >> _SHIFT2] += 1
    slots[n] = slot
    for p in range(3):
        total = 0
        for j in range(2048):
            here = histogram[p, j]
            histogram[p, j] = total
            total += here
    keys2, ids2 = np.empty(seen, np.uint32), np.empty(seen, np.int32)
    for i in range(seen):
        place = keys[i] & _MASK
        to = histogram[0, place]
        histogram[0, place] = to + 1
        keys2[to], ids2[to] = keys[i], ids[i]
    for i in range(seen):
        place = (keys2[i] >> _SHIFT1) & _MASK
        to = histogram[1, place]
        histogram[1, place] = to + 1
        keys[to], ids[to] = keys2[i], ids2[i]
    for i in range(seen):
        place = keys[i] >> _SHIFT2
        to = histogram[2, place]
        histogram[2, place] = to + 1
        ids2[to] = ids[i]
    return ids2


@L.jit
def count_tiles(order, rects, columns, start, stop, cursors):
    """Add to cursors[tile] how many of order[start:stop] touch each tile."""
    for s in range(start, stop):
        g = order[s]
        x0, x1 = np.int64(rects[g, 0]), np.int64(rects[g, 2])
        for y in range(rects[g, 1], rects[g, 3]):
            for x in range(x0, x1):
                cursors[y * columns + x] += 1


@L.jit
def scatter_tiles(order, rects, columns, start, stop, cursors, listed):
    """Write order[start:stop] into the tiles' lists, each from cursors[tile] on."""
    for s in range(start, stop):
        g = order[s]
        x0, x1 = np.int64(rects[g, 0]), np.int64(rects[g, 2])
        for y in range(rects[g, 1], rects[g, 3]):
            for x in range(x0, x1):
                tile = y * columns + x
                to = cursors[tile]
                cursors[tile] = to + 1
                listed[to] = g
