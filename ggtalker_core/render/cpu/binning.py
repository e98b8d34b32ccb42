"""Sort by depth once, then deal the Gaussians out to the tiles that they touch, keeping that order.

The sort is by digits of the depth's bits above the nearest one (a head takes two digits of eleven bits, not three),
each thread with a part of its own. Both steps are stable, so every tile's list is ordered by depth and, for equal
depths, by index (gsplat's order), whatever the number of threads.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `pipeline` calls them)
from __future__ import annotations

import numpy as np

from ...jit import inlined, jit

DIGIT_BITS = 11
_MASK = np.uint64((1 << DIGIT_BITS) - 1)


@jit
def survey(depths, counts, start, stop, found):
    """Of the Gaussians start..stop: how many are seen, their pairs with tiles, least and greatest depth as bits.

    Depths are positive floats, whose bits order as they do.
    """
    bits = depths.view(np.uint32)
    seen, pairs, least, most = 0, np.int64(0), np.uint32(0xFFFFFFFF), np.uint32(0)
    for i in range(start, stop):
        if counts[i] > 0:
            seen += 1
            pairs += counts[i]
            least, most = min(least, bits[i]), max(most, bits[i])
    found[0], found[1], found[2], found[3] = seen, pairs, np.int64(least), np.int64(most)


@jit
def list_seen(depths, counts, start, stop, least, first, slot, slots, keys, histogram):
    """Keys (depth above `least`, then index) of those seen among start..stop, from the place `first` on.

    Fills in every Gaussian's first gradient slot, and counts the lowest digits of the keys on the way.
    """
    bits = depths.view(np.uint32)
    at = first
    for i in range(start, stop):
        slots[i] = slot
        slot += counts[i]
        if counts[i] > 0:
            depth = np.uint64(bits[i] - least)
            keys[at] = (depth << np.uint64(32)) | np.uint64(i)
            at += 1
            histogram[depth & _MASK] += 1


@jit
def count_digits(keys, start, stop, shift, histogram):
    """Add to the histogram how often each digit of the depth (the bits from `shift` on) occurs in keys[start:stop]."""
    up = np.uint64(shift + 32)
    for i in range(start, stop):
        histogram[(keys[i] >> up) & _MASK] += 1


@jit
def deal_digits(keys, start, stop, shift, places, keys_to):
    """Move keys[start:stop] to where their digit belongs, from places[digit] on, keeping their order."""
    up = np.uint64(shift + 32)
    for i in range(start, stop):
        digit = (keys[i] >> up) & _MASK
        to = places[digit]
        places[digit] = to + 1
        keys_to[to] = keys[i]


@jit
def deal_last(keys, start, stop, shift, places, boxes, order, sorted_boxes):
    """As `deal_digits`, but what is written is the Gaussian's index and its box."""
    up = np.uint64(shift + 32)
    for i in range(start, stop):
        digit = (keys[i] >> up) & _MASK
        to = places[digit]
        places[digit] = to + 1
        g = np.int64(keys[i] & np.uint64(0xFFFFFFFF))
        order[to] = g
        sorted_boxes[to] = boxes[g]


@jit
def first_places(histograms, places):
    """Where each part's share of each digit begins: by digit, then by part, so that equal digits keep their order."""
    parts, digits = histograms.shape
    total = 0
    for digit in range(digits):
        for part in range(parts):
            places[part, digit] = total
            total += histograms[part, digit]


@inlined
def unpack(box, columns):
    """First tile of a packed box, and whether it is two wide and two high (else one); False if it is larger."""
    x0, y0 = box & 0xFFFF, (box >> 16) & 0xFFFF
    wide, high = ((box >> 32) & 0xFFFF) - x0 - 1, (box >> 48) - y0 - 1
    return y0 * columns + x0, wide, high, (wide | high) <= 1


@jit
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


@inlined
def append(cursors, listed, tile, g, really):
    """Write g at the end of a tile's list; if not `really` (0), the next one to be written there replaces it."""
    to = cursors[tile]
    listed[to] = g
    cursors[tile] = to + really


@jit
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
