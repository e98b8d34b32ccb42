"""Landmarks steadied along the motion of the picture: where the skin under a landmark goes, the landmark goes too.

The mesh sees every frame alone and trembles; the optical flow under its points (Lucas and Kanade 1981, forwards and
back) knows to a few hundredths of a pixel how they move, but not where they are. Both together by least squares over
time: a chain per landmark, solved forwards and backwards. Nothing lags, because the motion itself is not held back.
Where the flow does not come back to its start (a lip that opens, a hand, a cut) it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .crops import cut_out, square_of_points, to_crop, to_frame
from .topology import LIDS, LIP_INNER, N_MESH, OUTER_EYE_LEFT, OUTER_EYE_RIGHT, REGION_LIPS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE, _WINDOW, _LEVELS = 256, 15, 2  # of the face picture, of the patch under a point, of the pyramid
_RETURN_PX = 0.3  # in that picture: a flow that comes back farther off counts less
# Times the usual strength. Where skin folds or is covered and uncovered the flow is no landmark's motion.
_LIPS, _INNER, _LIDS = 0.04, 0.0, 0.04
_KEEP, _AHEAD = 64, 32  # frames that are finished together, and how many later ones are known by then


@dataclass(frozen=True)
class Shift:
    """How the skin moved from one frame to the next."""

    moved_px: NDArray[np.float64]  # [468, 2]
    trust: NDArray[np.float64]  # [468] in [0, 1]


def skin_shift(
    before: NDArray[np.uint8], after: NDArray[np.uint8], points: NDArray[np.floating], goal: NDArray[np.floating]
) -> Shift:
    """From a frame [H, W, 3] with landmarks `points` [478, 2] to the next, in which they lie near `goal` [478, 2]."""
    import cv2
    import numpy as np

    square = square_of_points(goal[:N_MESH], OUTER_EYE_RIGHT, OUTER_EYE_LEFT)
    first, second = (cv2.cvtColor(cut_out(f, square, _SIDE), cv2.COLOR_RGB2GRAY) for f in (before, after))
    start = (to_crop(points[:N_MESH], square, _SIDE) - 0.5).astype(np.float32)[:, None]
    how = {"winSize": (_WINDOW, _WINDOW), "maxLevel": _LEVELS, "criteria": (3, 12, 0.01), "minEigThreshold": 1e-4}
    end, there, _ = cv2.calcOpticalFlowPyrLK(first, second, start, None, **how)  # type: ignore[call-overload]
    back, here, _ = cv2.calcOpticalFlowPyrLK(second, first, end, None, **how)  # type: ignore[call-overload]
    missed = np.linalg.norm((back - start)[:, 0].astype(np.float64), axis=1)
    found = (there[:, 0] == 1) & (here[:, 0] == 1) & np.isfinite(missed)
    trust = np.where(found, 1 / (1 + (np.where(found, missed, 0.0) / _RETURN_PX) ** 2) ** 2, 0.0)
    moved = to_frame(end[:, 0] + 0.5, square, _SIDE) - to_frame(start[:, 0] + 0.5, square, _SIDE)
    return Shift(np.where(found[:, None], moved, 0.0), trust)


@dataclass
class _Link:
    """One frame in the chain after elimination of those before it."""

    carry: NDArray[np.float64]  # [468] how much of the next frame's correction it takes
    place: NDArray[np.float64]  # [468, 2] where it would be if the next one lay at 0


@dataclass
class Steadier:
    """Fed frame by frame; gives the landmarks back, steadied, some frames later.

    `strength`: how much the flow counts against the mesh (whose weight is 1); 0 = not at all.
    """

    strength: float
    _frame: NDArray[np.uint8] | None = None
    _points: NDArray[np.float64] | None = None  # of that frame, as the mesh gave them
    _tied: NDArray[np.float64] | None = None  # [468] of that frame to the one before
    _shift: Shift | None = None  # the same
    _chain: list[_Link | None] = field(default_factory=list["_Link | None"])  # None: no face
    _waiting: list[NDArray[np.float64] | None] = field(default_factory=list["NDArray[np.float64] | None"])

    def add(
        self, frame: NDArray[np.uint8], points: NDArray[np.floating] | None, cut: bool
    ) -> list[NDArray[np.floating] | None]:
        """The next frame [H, W, 3] with its landmarks [478, 2] (or None). Returns those that are finished by now."""
        import numpy as np

        given = None if points is None else np.asarray(points, np.float64)
        shift = None
        if given is not None and self._points is not None and self._frame is not None and not cut:
            shift = skin_shift(self._frame, frame, self._points, given)
        self._link(shift)
        self._frame, self._points, self._shift = frame, given, shift
        self._tied = None if shift is None else shift.trust * strengths() * self.strength
        self._waiting.append(given)
        return self._finished(_KEEP) if len(self._chain) >= _KEEP + _AHEAD else []

    def rest(self) -> list[NDArray[np.floating] | None]:
        """What is left at the end."""
        self._link(None)
        return self._finished(len(self._chain))

    def _link(self, onward: Shift | None) -> None:
        """Eliminate the frame before the newest, now that its tie `onward` is known."""
        import numpy as np

        if len(self._chain) == len(self._waiting):
            return
        if self._points is None:
            self._chain.append(None)
            return
        weight, pull = np.ones(N_MESH), self._points[:N_MESH].copy()
        previous = self._chain[-1] if self._chain else None
        if self._tied is not None and self._shift is not None and previous is not None:
            weight += self._tied * (1 - previous.carry)
            pull += self._tied[:, None] * (previous.place + self._shift.moved_px)
        if onward is None:
            tie = np.zeros(N_MESH)
        else:
            tie = onward.trust * strengths() * self.strength
            pull -= tie[:, None] * onward.moved_px
        weight = weight + tie
        self._chain.append(_Link(tie / weight, pull / weight[:, None]))

    def _finished(self, count: int) -> list[NDArray[np.floating] | None]:
        """Substitute backwards through all that is known and hand out the first `count` frames."""
        import numpy as np

        out: list[NDArray[np.floating] | None] = []
        newest = self._waiting[-1] if len(self._waiting) > len(self._chain) else None
        after = None if newest is None else newest[:N_MESH]
        for i in reversed(range(len(self._chain))):
            link, points = self._chain[i], self._waiting[i]
            after = None if link is None else link.place if after is None else link.place + link.carry[:, None] * after
            if i < count:
                out.append(None if after is None or points is None else np.concatenate([after, points[N_MESH:]]))
        del self._chain[:count], self._waiting[:count]
        return out[::-1]


def strengths() -> NDArray[np.float64]:
    """How much the flow counts under each of the 468 landmarks, [468]."""
    import numpy as np

    out = np.ones(N_MESH)
    for names, share in ((REGION_LIPS, _LIPS), (LIP_INNER, _INNER), (LIDS, _LIDS)):
        out[list(names)] = share
    return out
