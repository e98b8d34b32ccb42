"""How long work tells of itself: one callable that may raise to cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_T = TypeVar("_T")
_ASK_EVERY_S = 0.1


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


def patiently(work: Callable[[], _T], progress: Progress, message: str = "") -> _T:
    """The result of `work`, which cannot report by itself: it runs in a thread, and `progress` is asked meanwhile.

    For imports, compiling and loading only: when `progress` raises, `work` is left to end by itself, unheard. It must
    not write files. What it raises is raised here.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the caller
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        progress(0, 1, message)
        thread.join(_ASK_EVERY_S)
    if errors:
        raise errors[0]
    return results[0]
