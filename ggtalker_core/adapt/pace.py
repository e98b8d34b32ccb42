"""When to show a picture again, and how long the rest will take."""

from __future__ import annotations

import time

_SURE_S = 3.0  # a shorter stretch says nothing about the pace


class Throttle:
    """Says yes at most once per `every_s` seconds; the first time too."""

    def __init__(self, every_s: float):
        """Start counting."""
        self._every, self._last = every_s, -1e9

    def due(self) -> bool:
        """Whether it is time again."""
        now = time.monotonic()
        if now - self._last < self._every:
            return False
        self._last = now
        return True


class TimeLeft:
    """Guesses the rest from the pace so far."""

    def __init__(self, cost: float):
        """`cost` is all the work, in any unit."""
        self._left, self._done = cost, 0.0
        self._start: float | None = None

    def after(self, cost: float) -> str:
        """`cost` more is done; words such as ", about 3 min left", or nothing while it is too early to tell."""
        self._left = max(self._left - cost, 0.0)
        if self._start is None:  # the first piece also loads and compiles: it says nothing about the pace
            self._start = time.monotonic()
            return ""
        self._done += cost
        spent = time.monotonic() - self._start
        if spent < _SURE_S or self._done <= 0:
            return ""
        left = spent / self._done * self._left
        return f", about {round(left / 60)} min left" if left >= 90 else f", about {round(left)} s left"
