"""How long work tells of itself: one callable that may raise to cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Progress(Protocol):
    """Called often (at least every half second of work) by everything that takes longer than a second.

    A host may raise from the call to cancel; the exception must pass through unharmed, after cheap clean-up.
    """

    def __call__(
        self,
        done: int,
        total: int,
        message: str = "",
        preview: NDArray[np.uint8] | None = None,  # [H, W, 3] sRGB
    ) -> None:
        """Report that `done` of `total` steps of the present job are over."""
        ...


def silent(done: int, total: int, message: str = "", preview: NDArray[np.uint8] | None = None) -> None:
    """The progress of somebody who does not want to know."""


class SubProgress:
    """Maps the progress of one part of a job to the slice [start, stop) of the whole."""

    def __init__(self, parent: Progress, start: float, stop: float, prefix: str = "", resolution: int = 1000):
        """Report to `parent` in 1/`resolution` steps, between the fractions `start` and `stop`, in [0, 1]."""
        self._parent, self._start, self._stop = parent, start, stop
        self._prefix, self._resolution = prefix, resolution

    def __call__(self, done: int, total: int, message: str = "", preview: NDArray[np.uint8] | None = None) -> None:
        """Report `done` of `total` steps of the part."""
        fraction = self._start + (self._stop - self._start) * (done / max(total, 1))
        text = f"{self._prefix}{message}"
        self._parent(round(fraction * self._resolution), self._resolution, text, preview)
