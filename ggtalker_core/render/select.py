"""Which backend works here: found by looking, never by compiling or by importing CUDA code that cannot run."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BackendUnavailableError
from .config import BACKEND_VARIABLE

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..types import Camera, Gaussians

    RenderFrames = Callable[[Gaussians, Camera, Tensor, int, float, bool], tuple[Tensor, Tensor]]

# name -> module that holds `availability()` and `render_frames(...)`
_MODULES = {
    "gsplat": "backend_gsplat",
    "numba": "backend_numba",
    "torch": "backend_torch",
    "reference": "reference",
}
_ALIASES = {"cpu": "numba"}
BACKENDS = ("auto", "gsplat", "numba", "torch")


@dataclass(frozen=True)
class Availability:
    """Whether a backend can be used on this machine; `why` and `how_to_fix` are fit to be shown to a user."""

    ok: bool
    why: str
    how_to_fix: str = ""


def available_backends() -> dict[str, Availability]:
    """What can be used here and why, fastest first. Looks only: compiles nothing, starts no GPU work."""
    return {name: _availability(name) for name in ("gsplat", "numba", "torch")}


def choose_backend(name: str = "auto", device: torch.device | str = "cpu") -> str:
    """The backend to use for tensors on `device`.

    `auto` obeys GGTALKER_RASTER if set; else gsplat for CUDA (or ROCm) tensors, numba for everything that gsplat
    cannot take (tensors of other devices make the trip through the CPU), torch where numba cannot be loaded.

    Raises:
        BackendUnavailableError: a backend named by the caller or the environment is unknown or cannot work here.
    """
    import torch

    wanted = name
    if name == "auto":
        wanted = os.environ.get(BACKEND_VARIABLE, "").strip().lower() or "auto"
    wanted = _ALIASES.get(wanted, wanted)
    kind = torch.device(device).type
    if wanted == "auto":
        order = ("gsplat", "numba", "torch") if kind == "cuda" else ("numba", "torch")
        if kind == "cuda" and not _availability("gsplat").ok:
            order = ("torch", "numba")  # plain torch on the GPU beats copying everything to the CPU and back
        return next((b for b in order if _availability(b).ok), "torch")
    if wanted not in _MODULES:
        raise BackendUnavailableError(f"There is no rasteriser '{wanted}': choose one of {', '.join(BACKENDS)}.")
    if wanted == "gsplat" and kind != "cuda":
        raise BackendUnavailableError(
            f"The gsplat rasteriser needs tensors on a CUDA device, these are on '{kind}'. "
            "Choose 'auto' (or 'numba'), which gives the same picture."
        )
    found = _availability(wanted)
    if not found.ok:
        raise BackendUnavailableError(
            f"The rasteriser '{wanted}' cannot be used: {found.why} {found.how_to_fix}".strip()
        )
    return wanted


def auto_sentence() -> str:
    """What `auto` takes on this machine, why not the faster one, and the one command that helps.

    By looking alone: imports neither numba nor gsplat and starts no GPU, so it may be asked while a host starts.
    """
    import importlib.util

    from . import gsplat_extension

    try:
        fast = gsplat_extension.look()
        gpu = gsplat_extension.has_gpu()
    except Exception as error:  # a broken torch must not keep the host from starting
        fast, gpu = Availability(False, f"{type(error).__name__}: {error}."), False
    if fast.ok:
        return "Here auto takes gsplat."
    numba = importlib.util.find_spec("numba") is not None
    taken = "torch on the GPU" if gpu else "numba on the CPU" if numba else "torch on the CPU (numba is not installed)"
    return f"Here auto takes {taken}; not gsplat: {fast.why} {fast.how_to_fix}".strip()


def load_backend(name: str) -> RenderFrames:
    """The rendering function of a backend that `choose_backend` returned."""
    return importlib.import_module(f"{__package__}.{_MODULES[name]}").render_frames


def _availability(name: str) -> Availability:
    try:
        return importlib.import_module(f"{__package__}.{_MODULES[name]}").availability()
    except Exception as error:  # a broken package must not take the other backends with it
        return Availability(False, f"It could not be loaded ({type(error).__name__}: {error}).")
