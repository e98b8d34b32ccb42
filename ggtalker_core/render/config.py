"""The numbers every backend shares: gsplat 1.5's image formation, and the few choices a caller has."""

from __future__ import annotations

import os
from dataclasses import dataclass

TILE_PX = 16
ALPHA_MIN = 1.0 / 255.0  # a Gaussian adds nothing to a pixel below this coverage
ALPHA_MAX = 0.999  # coverage of one Gaussian in one pixel; its gradient is cut above
T_STOP = 1e-4  # a pixel ends before its transmittance would fall to this
EXTENT_MAX = 3.33  # standard deviations; beyond it even opacity 1 is below ALPHA_MIN
FOV_MARGIN = 0.3  # of the half field of view: where the projection's slope is clamped

BACKEND_VARIABLE = "GGTALKER_RASTER"
THREADS_VARIABLE = "GGTALKER_RASTER_THREADS"
_THREADS_MAX = 16  # unless more are asked for: beyond, handing out the parts costs what it gains


@dataclass(frozen=True)
class RenderConfig:
    """What may be chosen about rendering; the defaults are the paper's (gsplat's) rasteriser."""

    backend: str = "auto"  # auto, gsplat, numba (also: cpu), torch
    eps2d: float = 0.3  # px^2, low-pass added to the screen covariance
    antialiased: bool = False  # compensate opacity for the low-pass (Mip-Splatting)
    threads: int | None = None  # CPU threads; None = GGTALKER_RASTER_THREADS, else what torch uses

    @staticmethod
    def tiny() -> RenderConfig:
        """For tests: one thread, so that nothing depends on the machine."""
        return RenderConfig(threads=1)


def thread_count(asked: int | None = None) -> int:
    """How many CPU threads to use: `asked`, else the environment, else torch's own setting."""
    if asked is None:
        text = os.environ.get(THREADS_VARIABLE, "")
        asked = int(text) if text.isdigit() and int(text) > 0 else None
    if asked is None:
        import torch

        asked = min(torch.get_num_threads(), _THREADS_MAX)
    return max(1, asked)
