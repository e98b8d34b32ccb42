"""Hard cuts, from small colour pictures of neighbouring frames."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE = 24
_MEMORY = 12  # differences that say how much this clip moves anyway
_LEAST = 0.035  # mean absolute difference (of full scale) below which nothing is a cut
_TIMES, _TIMES_LARGEST = 5.0, 2.0  # a cut stands out this many times over the usual and the largest recent one
_REPEATED = 1e-3  # differences of frames that are shown twice say nothing


class CutDetector:
    """Fed frame by frame; a cut is a sudden change, large and far above the recent ones."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._recent: deque[float] = deque(maxlen=_MEMORY)

    def is_cut(self, frame: NDArray[np.uint8]) -> bool:
        """Whether `frame` [H, W, 3] starts a new shot; False for the first frame."""
        import cv2
        import numpy as np

        small = np.asarray(cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), dtype=np.float32)
        last, self._last = self._last, small
        if last is None:
            return False
        change = float(np.abs(small - last).mean()) / 255
        usual = float(np.median(self._recent)) if self._recent else 0.0
        largest = max(self._recent, default=0.0)
        cut = change > _LEAST and change > _TIMES * usual and change > _TIMES_LARGEST * largest
        if not cut and change > _REPEATED:
            self._recent.append(change)
        return cut
