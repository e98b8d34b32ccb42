"""Vertices of the lips and of the lids that face each other.

Numbers of the head's 4,706 vertices, found once as the closest facing vertices of the second edge ring around the mouth
cavity and the eye sockets, and looked at. (MakeHuman's mesh never changes, so neither do they.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# (upper, lower) from the person's right corner to the middle, then mirrored.
LIPS_RIGHT = [(1333, 444), (418, 437), (516, 475), (515, 518), (472, 517)]
LIP_MIDDLE = (474, 523)
LIP_CORNER_LEFT = 2562
# Left eye, inner to outer.
LIDS_LEFT = [(4184, 4181), (4191, 4187), (4172, 4190), (4178, 4193), (4176, 4186), (4174, 4195)]
LID_CORNERS_LEFT = (4183, 4197)

Ids = NDArray[np.int64]


def lip_pairs(mirror: Ids) -> tuple[Ids, Ids]:
    """(pairs [11, 2] from the person's right to left, corners [2] right, left)."""
    left = [(int(mirror[a]), int(mirror[b])) for a, b in LIPS_RIGHT[::-1]]
    return np.array([*LIPS_RIGHT, LIP_MIDDLE, *left]), np.array([mirror[LIP_CORNER_LEFT], LIP_CORNER_LEFT])


def lid_pairs(mirror: Ids) -> tuple[Ids, Ids]:
    """(pairs [2, 6, 2] left eye, right eye, corners [2, 2] inner, outer)."""
    left, corners = np.array(LIDS_LEFT), np.array(LID_CORNERS_LEFT)
    return np.stack([left, mirror[left]]), np.stack([corners, mirror[corners]])
