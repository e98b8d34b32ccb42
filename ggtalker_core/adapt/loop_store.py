"""The body loop's pictures within the size of a file: quality gives way first, then length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .body_loop import encode_jpeg, encode_png

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUALITIES = (90, 88, 85)  # after the wished one; below it the frames look worse than a shorter loop
_RESERVE = 1.08  # the first frame may be a light one


class LoopStore:
    """Takes the loop's frames one by one, until the budget is used up."""

    def __init__(self, count: int, quality: int, budget_bytes: float, least: int):
        """`count` frames are wished, `least` are kept whatever they weigh."""
        self._count, self._least, self._budget = count, least, budget_bytes
        self._qualities = (quality, *(q for q in _QUALITIES if q < quality))
        self.quality: int | None = None
        self.jpegs: list[bytes] = []
        self.pngs: list[bytes] = []
        self._bytes = 0
        self._full = False

    def add(self, image: NDArray[np.uint8], matte: NDArray[np.uint8]) -> None:
        """The next frame [H, W, 3] with its matte [H, W]; left out when there is no room any more."""
        if self._full:
            return
        png = encode_png(matte)
        if self.quality is None:
            jpeg = self._chosen(image, len(png))
        else:
            jpeg = encode_jpeg(image, self.quality)
        if len(self.jpegs) >= self._least and self._bytes + len(jpeg) + len(png) > self._budget:
            self._full = True  # later frames would not join on
            return
        self.jpegs.append(jpeg)
        self.pngs.append(png)
        self._bytes += len(jpeg) + len(png)

    def _chosen(self, image: NDArray[np.uint8], matte_bytes: int) -> bytes:
        """The first frame in the best quality in which all would find room; in the last one where none does."""
        jpeg = b""
        for quality in self._qualities:
            self.quality, jpeg = quality, encode_jpeg(image, quality)
            if (len(jpeg) + matte_bytes) * self._count * _RESERVE <= self._budget:
                break
        return jpeg
