"""Rows of numbers, one per frame: in memory while they are few, of a long clip in a temporary file.

The file is mapped, so that all of it can be used as one tensor; what was read of it is given back by `let_go`, and the
memory of a process does not grow with the length of a clip. Writing goes through the file, so that a full disk is an
error that can be met (the rows stay in memory then) and not the end of the process.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

IN_MEMORY = 1024  # rows; more go into a file
BLOCK = 512  # rows that are looked at together


def stay() -> None:
    """Of rows that are in memory there is nothing to let go."""


@dataclass(frozen=True)
class Rows:
    """All rows of a store, [T, ...]. They live as long as the tensor does."""

    values: Tensor
    let_go: Callable[[], None] = stay  # gives back the memory of what was read; the rows can be read again


class RowStore:
    """Takes rows of one shape and kind in order."""

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic]):
        """Rows of `shape`, e.g. (478, 2)."""
        self._shape, self._dtype = shape, dtype
        self._blocks: list[NDArray[np.generic]] = []  # what is in memory
        self._file: IO[bytes] | None = None
        self._count = 0  # rows in the file
        self._may_write = True

    def add(self, rows: NDArray[np.generic]) -> None:
        """Append rows [n, *shape]."""
        import numpy as np

        if len(rows):
            self._blocks.append(np.array(rows, self._dtype))
        if self._file is not None or sum(len(block) for block in self._blocks) > IN_MEMORY:
            self._spill()

    def rows(self) -> Rows:
        """All of it. Nothing can be added afterwards."""
        import numpy as np
        import torch

        if self._file is not None:
            self._spill()  # has no effect but where the disk is full
        if self._file is None:
            whole = np.concatenate(self._blocks) if self._blocks else np.zeros((0, *self._shape), self._dtype)
            return Rows(torch.from_numpy(whole))
        values, mapping = self._mapped(self._file)
        return Rows(torch.from_numpy(values), _letting_go(mapping))

    def _spill(self) -> None:
        """Move what is in memory into the file; where that cannot be, bring all back into memory."""
        if not self._may_write:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="ggtalker-rows-", buffering=0)  # noqa: SIM115 - lives on
            while self._blocks:
                data = memoryview(self._blocks[0].tobytes())
                while len(data):
                    data = data[self._file.write(data) :]
                self._count += len(self._blocks.pop(0))
        except OSError:
            if self._file is not None and self._count:
                self._blocks.insert(0, self._mapped(self._file)[0].copy())
            self._file, self._may_write = None, False

    def _mapped(self, file: IO[bytes]) -> tuple[NDArray[np.generic], mmap.mmap]:
        """The rows in the file [count, *shape]; private, so that nobody's writing reaches the file."""
        import numpy as np

        size = self._count * int(np.prod(self._shape)) * np.dtype(self._dtype).itemsize
        mapping = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
        return np.frombuffer(mapping, self._dtype).reshape(self._count, *self._shape), mapping


def _letting_go(mapping: mmap.mmap) -> Callable[[], None]:
    """Tells the system that pages read so far are not needed; where it cannot be told, it finds out by itself."""
    advice: int | None = getattr(mmap, "MADV_DONTNEED", None)
    if advice is None:
        return stay
    return lambda: mapping.madvise(advice)


def blocks(count: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of blocks of rows that are looked at together."""
    for start in range(0, count, BLOCK):
        yield start, min(start + BLOCK, count)
