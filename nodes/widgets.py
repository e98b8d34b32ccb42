"""Inputs that several nodes have, described once."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..ggtalker_core.body.config import REGIONS
from ..ggtalker_core.render.select import auto_sentence

BACKENDS = ("auto", "numba", "gsplat", "torch")
BACKEND_TOOLTIP = (
    "What draws the Gaussians; the picture is the same. auto: gsplat on an NVIDIA GPU where it works, else numba on "
    "the CPU; torch: plain PyTorch, slow."
)


def rare(kind: Any, name: str, **options: Any) -> io.Input:
    """A widget under "Show advanced inputs" that a saved workflow may lack; `kind` as in io.Float."""
    return kind.Input(name, optional=True, advanced=True, **options)


def seed(tooltip: str) -> io.Int.Input:
    """The seed of everything random; stays as it is from run to run."""
    return io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF, control_after_generate=False, tooltip=tooltip)


def fps(tooltip: str, least: float = 10.0, most: float = 60.0) -> io.Input:
    """A frame rate."""
    return rare(io.Float, "fps", default=25.0, min=least, max=most, step=0.001, tooltip=tooltip)


def backend() -> io.Input:
    """The choice of rasteriser."""
    return rare(
        io.Combo,
        "backend",
        options=list(BACKENDS),
        default="auto",
        tooltip=f"{BACKEND_TOOLTIP} {auto_sentence()}",
    )


def region() -> io.Input:
    """The choice of what is replaced."""
    return rare(
        io.Combo,
        "region",
        options=list(REGIONS),
        default="auto",
        tooltip="How much of the clip's own head is replaced: mouth and jaw, the face, or the whole head. auto: as "
        "little as the motion allows.",
    )
