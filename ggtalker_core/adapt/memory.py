"""How much memory an adaptation needs, said before it starts; and what is done when it does not suffice."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from ..errors import LimitExceededError
from .config import AdaptConfig

if TYPE_CHECKING:
    from ..types import Track

_T = TypeVar("_T")
_MB = 1_000_000
_DRAWN = 0.98  # of the page's texels
_PROGRAM_MB = 600  # networks, rasteriser and head model, beside what the program holds already
_CARD_MB = 500  # the same on a graphics card: context and libraries
_TEXEL_BYTES = 1600  # a Gaussian with gradient, Adam, limits, neighbours, and one step of the rasteriser
_COLOR_BYTES = 1500  # more with the colour network
_PIXEL_BYTES = 220  # of the head's box, in one step
_ALLOWED = 0.95  # of the free memory
SHRINK_MOST = 4


@dataclass(frozen=True)
class MemoryNeed:
    """Megabytes, rough."""

    work: float  # where the fit runs
    frames: float  # kept frames and body loop; always in main memory
    shared: bool  # the fit runs in main memory too

    def text(self) -> str:
        """The need in words."""
        if self.shared:
            return f"about {_size(self.work + self.frames)} of memory"
        return f"about {_size(self.work)} of the graphics card's memory and {_size(self.frames)} of main memory"


def memory_need(config: AdaptConfig, track: Track, usable: int, device: str = "cpu") -> MemoryNeed:
    """What the adaptation of a clip with `usable` good frames will hold at its peak."""
    width, height = track.size_px
    shrink = min(1.0, config.max_box_px / max(width, height))
    box = width * height * shrink * shrink
    texels = _DRAWN * config.uv_size**2
    color = any(stage.fit_colors for stage in config.stages)
    on_card = torch.device(device).type != "cpu"
    work = texels * (_TEXEL_BYTES + _COLOR_BYTES * color) + box * _PIXEL_BYTES
    frames = min(config.memory_mb * _MB, 5.0 * box * usable) + config.loop_mb * _MB * 2
    base = (_CARD_MB if on_card else _PROGRAM_MB) * _MB
    return MemoryNeed((work + base) / _MB, frames / _MB, not on_card)


def check_memory(need: MemoryNeed, free_mb: float | None, preset: str) -> None:
    """Refuse what clearly cannot be done in the free memory where the fit runs; unknown memory is let through.

    Raises LimitExceededError.
    """
    wanted = need.work + (need.frames if need.shared else 0.0)
    if free_mb is None or wanted * _ALLOWED <= free_mb:
        return
    where = "memory" if need.shared else "memory on the graphics card"
    raise LimitExceededError(
        f"The preset '{preset}' needs {need.text()} for this clip, but only {_size(free_mb)} of {where} are free. "
        "Choose a smaller preset (draft needs least), close other programs, or unload other models first."
    )


def free_memory_mb(device: str = "cpu") -> float | None:
    """Free memory where a fit on `device` works, in megabytes; None where the system does not say."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(torch.device(device))[0] / _MB
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024 / _MB
    try:
        import psutil
    except ImportError:
        return None
    return float(psutil.virtual_memory().available) / _MB


def out_of_memory(error: BaseException) -> bool:
    """Whether this error says that the memory did not suffice: of torch on any device, of numpy, of Python."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in said for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


def give_back() -> None:
    """Free what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Frugal:
    """Repeats work in a smaller size when the memory does not suffice, at most down to a quarter of each side."""

    def __init__(self, what: str):
        """`what` is made smaller, in words."""
        self._what, self.shrink = what, 1

    def do(self, work: Callable[[int], _T]) -> _T:
        """work(shrink), again with twice the shrink after running out of memory.

        Raises LimitExceededError when even the smallest size does not fit.
        """
        while True:
            try:
                return work(self.shrink)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if self.shrink >= SHRINK_MOST:
                    raise LimitExceededError(
                        f"The memory does not suffice, not even with {self._what} at 1/{self.shrink} of its size. "
                        "Choose a smaller preset, close other programs, or use another device."
                    ) from error
            # Outside the handler: the traceback would keep the step's tensors alive.
            self.shrink *= 2
            give_back()

    @property
    def note(self) -> str | None:
        """What the user should know, or None."""
        if self.shrink == 1:
            return None
        return f"The memory did not suffice: {self._what} was worked on at 1/{self.shrink} of its size."


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"
