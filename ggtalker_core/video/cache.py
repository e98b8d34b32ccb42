"""Generated frames are made once, however many stages and viewers pull them: a cache on disk."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..errors import InvalidInputError
from ..types import RgbaFrame, RgbaSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_MAX_BYTES = 16 << 30


class FrameCache:
    """A file without a name that holds uint8 frames of one size; it is gone when this object is."""

    def __init__(
        self, count: int, size_px: tuple[int, int], max_bytes: int = DEFAULT_MAX_BYTES, folder: Path | None = None
    ) -> None:
        """Reserve nothing yet: the file grows with what is stored, up to `max_bytes` or half of the free space.

        `folder`: where the file lies while it lives; default the system's temporary folder.
        """
        if count < 0 or min(size_px) < 1:
            raise InvalidInputError(f"A frame cache needs count >= 0 and a size, got {count} and {size_px}.")
        self._width, self._height = size_px
        self._pixels = self._width * self._height
        self._slots: dict[int, tuple[int, bool]] = {}  # frame -> slot in the file, whether it has alpha
        self._folder = folder or Path(tempfile.gettempdir())
        self._folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder).free // 2
        self._room = min(max_bytes, free) // (4 * self._pixels)
        self._file: IO[bytes] | None = None

    def __contains__(self, index: int) -> bool:
        """Whether the frame is stored."""
        return index in self._slots

    def put(self, index: int, frame: RgbaFrame) -> None:
        """Store a frame; silently left out when there is no room (it is then made again when asked for)."""
        if index in self._slots or len(self._slots) >= self._room:
            return
        shape = (self._height, self._width)
        if frame.rgb.shape != (*shape, 3) or (frame.alpha is not None and frame.alpha.shape != shape):
            raise InvalidInputError(f"A generated frame has shape {list(frame.rgb.shape)}, expected {[*shape, 3]}.")
        slot = len(self._slots)
        try:
            self._write(slot, frame)
        except OSError:  # the disk is full after all
            self._room = slot
            return
        self._slots[index] = (slot, frame.alpha is not None)

    def _write(self, slot: int, frame: RgbaFrame) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - lives as long as we do
                prefix="ggtalker-frames-", dir=self._folder, buffering=0
            )
        self._file.seek(slot * 4 * self._pixels)
        for part in (frame.rgb, frame.alpha):
            data = memoryview(b"" if part is None else part.tobytes())
            while len(data):
                data = data[self._file.write(data) :]

    def get(self, index: int) -> RgbaFrame:
        """A stored frame, as a copy of its own."""
        import numpy as np

        if self._file is None or index not in self._slots:
            raise InvalidInputError(f"Frame {index} is not in the cache.")
        slot, has_alpha = self._slots[index]
        self._file.seek(slot * 4 * self._pixels)
        data = np.frombuffer(bytearray(self._file.read((4 if has_alpha else 3) * self._pixels)), np.uint8)
        rgb: NDArray[np.uint8] = data[: 3 * self._pixels].reshape(self._height, self._width, 3)
        alpha = data[3 * self._pixels :].reshape(self._height, self._width) if has_alpha else None
        return RgbaFrame(rgb, alpha)

    def close(self) -> None:
        """Give the disk space back now."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._slots.clear()

    def __del__(self) -> None:
        """Give the disk space back."""
        if getattr(self, "_file", None) is not None:
            self.close()


class CachedRgbaSource:
    """An RgbaSource over another one: every frame is produced once and may be asked for from several threads."""

    def __init__(
        self, source: RgbaSource, count: int, size_px: tuple[int, int], max_bytes: int = DEFAULT_MAX_BYTES,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        """Wrap `source`, which makes `count` frames of `size_px` (width, height), kept in `folder` while this lives."""
        self._source, self._count = source, count
        self._cache = FrameCache(count, size_px, max_bytes, folder)
        self._lock = threading.RLock()
        self._maker: Iterator[RgbaFrame] | None = None
        self._next = -1  # the frame that `_maker` gives next

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        """The frames start..stop in order, from the cache where they are in it."""
        stop = self._count if stop is None else stop
        if not 0 <= start <= stop <= self._count:
            raise InvalidInputError(f"There are {self._count} frames; {start}..{stop} is not a range of them.")
        return (self._frame(index) for index in range(start, stop))

    def _frame(self, index: int) -> RgbaFrame:
        with self._lock:
            if index in self._cache:
                return self._cache.get(index)
            return self._make(index)

    def _make(self, index: int) -> RgbaFrame:
        """Produce one frame, going on with the running source where it stands right before it."""
        if self._maker is None or self._next != index:
            self._maker = self._source.frames(index, self._end_of_gap(index))
            self._next = index
        try:
            frame = next(self._maker)
        except StopIteration:
            self._maker = None
            raise InvalidInputError(f"The source ended before frame {index} of {self._count}.") from None
        except BaseException:
            self._maker = None
            raise
        self._next = index + 1
        if self._next == self._count or self._next in self._cache:
            self._maker = None
        self._cache.put(index, frame)
        return frame

    def _end_of_gap(self, index: int) -> int:
        """The first frame after `index` that is already there: the source need not go further."""
        return next((i for i in range(index + 1, self._count) if i in self._cache), self._count)
