"""Split a stage over threads. The kernels hold no interpreter lock and numba's own threading layers are not used:
nothing can abort on concurrent calls (macOS), fight with torch's OpenMP, or break in a forked process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_guard = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_key = (0, 0)  # process, workers


def _executor(workers: int) -> ThreadPoolExecutor:
    """The shared pool; made anew after a fork (threads do not survive one) or when more workers are needed."""
    global _pool, _pool_key
    with _guard:
        if _pool is None or _pool_key[0] != os.getpid() or _pool_key[1] < workers:
            if _pool is not None and _pool_key[0] == os.getpid():
                _pool.shutdown(wait=False)
            _pool = ThreadPoolExecutor(workers, thread_name_prefix="ggtalker-raster")
            _pool_key = (os.getpid(), workers)
        return _pool


def spread(job: Callable[[Any], object], parts: Sequence[Any]) -> None:
    """Call job(part) for every part, the last one here and the others in the pool; raises what a job raised."""
    if len(parts) == 1:
        job(parts[0])
        return
    pool = _executor(len(parts) - 1)
    waiting = [pool.submit(job, part) for part in parts[:-1]]
    job(parts[-1])
    for future in waiting:
        future.result()


def ranges(count: int, parts: int, multiple: int = 1, least: int = 1) -> list[tuple[int, int]]:
    """At most `parts` ranges that cover 0..count, inner borders at multiples, none shorter than `least`."""
    parts = max(1, min(parts, count // max(least, multiple)))
    borders = [count * k // parts // multiple * multiple for k in range(parts)] + [count]
    return list(zip(borders[:-1], borders[1:]))
