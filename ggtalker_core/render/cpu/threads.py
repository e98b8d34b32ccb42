"""Split a stage over threads. The kernels hold no interpreter lock and numba's own threading layers are not used:
nothing can abort on concurrent calls (macOS), fight with torch's OpenMP, or break in a forked process.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_guard = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_workers = 0


def _executor(workers: int) -> ThreadPoolExecutor:
    """The shared pool, made anew when more workers are needed; the old one ends when its last user lets go of it."""
    global _pool, _pool_workers
    with _guard:
        if _pool is None or _pool_workers < workers:
            _pool, _pool_workers = ThreadPoolExecutor(workers, thread_name_prefix="ggtalker-raster"), workers
        return _pool


def _forget() -> None:
    """In a forked child: threads do not survive a fork, and the lock may have been held by one of them."""
    global _guard, _pool, _pool_workers
    _guard, _pool, _pool_workers = threading.Lock(), None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def spread(job: Callable[[Any], object], parts: Sequence[Any], threads: int) -> None:
    """Call job(part) once for every part, here and in at most `threads` - 1 workers; raises what a job raised.

    Whoever is free takes the next part, so a worker that the system holds back does not hold back the rest.
    """
    helpers = min(threads, len(parts)) - 1
    if helpers < 1:
        for part in parts:
            job(part)
        return
    left = deque(parts)

    def work() -> None:
        while True:
            try:
                part = left.popleft()
            except IndexError:
                return
            job(part)

    pool = _executor(helpers)
    waiting = [pool.submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        left.clear()
        running = [future for future in waiting if not future.cancel()]  # a busy pool may not have begun
        for future in running:
            future.exception()
    for future in running:
        future.result()


def ranges(count: int, parts: int, multiple: int = 1, least: int = 1) -> list[tuple[int, int]]:
    """At most `parts` ranges that cover 0..count, inner borders at multiples, none shorter than `least`."""
    parts = max(1, min(parts, count // max(least, multiple)))
    borders = [count * k // parts // multiple * multiple for k in range(parts)] + [count]
    return list(zip(borders[:-1], borders[1:]))
