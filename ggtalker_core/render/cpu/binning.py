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
def sort_visible(depths, counts, boxes, slots):
    """Indices and boxes of the Gaussians that are seen, nearest first; fills `slots` with the first of each one's.

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
    sorted_boxes = np.empty(seen, np.int64)
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
        sorted_boxes[to] = boxes[ids[i]]
    return ids2, sorted_boxes


@L.inlined
def unpack(box, columns):
    """First tile of a packed box, and whether it is two wide and two high (else one); False if it is larger."""
    x0, y0 = box & 0xFFFF, (box >> 16) & 0xFFFF
    wide, high = ((box >> 32) & 0xFFFF) - x0 - 1, (box >> 48) - y0 - 1
    return y0 * columns + x0, wide, high, (wide | high) <= 1


@L.jit
def count_tiles(boxes, columns, start, stop, cursors):
    """Add to cursors[tile] how many of boxes[start:stop] touch each tile.

    Boxes of up to two by two tiles, nearly all, take no branch: a column or row that is not there adds nothing.
    """
    for s in range(start, stop):
        tile, wide, high, small = unpack(boxes[s], columns)
        if small:
            below = tile + high * columns
            cursors[below + wide] += wide & high
            cursors[below] += high
            cursors[tile + wide] += wide
            cursors[tile] += 1
        else:
            for y in range(high + 1):
                for x in range(wide + 1):
                    cursors[tile + y * columns + x] += 1


@L.inlined
def append(cursors, listed, tile, g, really):
    """Write g at the end of a tile's list; if not `really` (0), the next one to be written there replaces it."""
    to = cursors[tile]
    listed[to] = g
    cursors[tile] = to + really


@L.jit
def scatter_tiles(order, boxes, columns, start, stop, cursors, listed):
    """Write order[start:stop] into the tiles' lists, each from cursors[tile] on."""
    for s in range(start, stop):
        g = order[s]
        tile, wide, high, small = unpack(boxes[s], columns)
        if small:  # a tile that is not there falls on one that is, which comes later and overwrites the false entry
            below = tile + high * columns
            append(cursors, listed, below + wide, g, wide & high)
            append(cursors, listed, below, g, high)
            append(cursors, listed, tile + wide, g, wide)
            append(cursors, listed, tile, g, 1)
        else:
            for y in range(high + 1):
                for x in range(wide + 1):
                    append(cursors, listed, tile + y * columns + x, g, 1)
