"""The CPU rasteriser as a differentiable torch function; compiled by numba at its first use, cached on disk."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BackendUnavailableError
from ..types import Camera, Gaussians
from .config import thread_count
from .select import Availability

if TYPE_CHECKING:
    from types import ModuleType

_LEAST = 16  # Gaussians that the kernels take at once


@functools.cache
def availability() -> Availability:
    """Whether numba and the kernels' definitions can be imported; compiles nothing."""
    try:
        _kernels()
    except Exception as error:
        return Availability(
            False,
            f"numba could not be loaded ({type(error).__name__}: {error}).",
            f'Run: "{sys.executable}" -m pip install --upgrade numba',
        )
    return Availability(True, "Compiled CPU code (numba); the first use ever takes some seconds to compile.")


@functools.cache
def _kernels() -> ModuleType:
    """The compiled stages, imported on first use; their machine code is cached on disk."""
    import numba

    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(cache_folder())  # read while the kernels are defined
    try:
        from .cpu import pipeline
    finally:
        config.CACHE_DIR = before
    return pipeline


def cache_folder() -> Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR, else beside the source, else the temporary folder.

    One folder for each state of the source and each name of the package: numba finds its files by the path of the
    file that holds a kernel, but a kernel also holds the functions and constants of other files, and its modules'
    full names (which ComfyUI chooses).
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(__name__.encode())
    for path in (here / "config.py", *sorted((here / "cpu").glob("*.py"))):
        digest.update(path.read_bytes())
    user = getattr(os, "getuid", lambda: "user")()
    asked = os.environ.get("NUMBA_CACHE_DIR")
    places = [here / "cpu" / "__pycache__", Path(tempfile.gettempdir()) / f"ggtalker-numba-{user}"]
    for place in [Path(asked), *places] if asked else places:
        folder = place / f"kernels-{digest.hexdigest()[:12]}"
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _only_ours(place):
                continue
            folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    raise BackendUnavailableError(
        f"The compiled CPU rasteriser found no folder it may write to ({places[0]}, {places[1]}). "
        "Set NUMBA_CACHE_DIR to one."
    )


def _only_ours(folder: Path) -> bool:
    """Whether nobody else can have put machine code into the folder, which is run as it is found."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.stat()
    return found.st_uid in (os.getuid(), 0) and not found.st_mode & 0o002


@functools.cache
def _compiled() -> ModuleType:
    """The stages after each ran once on sixteen Gaussians, so that any failure to compile shows here.

    Raises:
        BackendUnavailableError: they do not compile or do not run with this numba.
    """
    try:
        kernels = _kernels()
        kernels.try_out()
    except Exception as error:
        raise BackendUnavailableError(
            f"The compiled CPU rasteriser does not work with this numba ({type(error).__name__}: {error}). "
            f'Run: "{sys.executable}" -m pip install --upgrade numba'
        ) from error
    return kernels


def render_frames(
    gaussians: Gaussians, camera: Camera, background: Tensor, frames: int, eps2d: float, antialiased: bool
) -> tuple[Tensor, Tensor]:
    """Render every frame on the CPU (tensors of other devices are copied there and back); rgb and alpha."""
    tensors = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors)
    device = gaussians.means.device
    on_cpu = [t.to("cpu") for t in tensors]
    missing = _LEAST - int(gaussians.means.shape[1])
    if missing > 0:  # fill up with Gaussians that are never seen
        on_cpu = [torch.cat([t, t.new_zeros(t.shape[0], missing, *t.shape[2:])], 1) for t in on_cpu]
    options = (camera, background.to("cpu"), frames, float(eps2d), bool(antialiased), thread_count())
    rgb, alpha = _Rasterise.apply(*on_cpu, options)  # type: ignore[misc]
    return rgb.to(device), alpha.to(device)


class _Rasterise(torch.autograd.Function):
    """Frames one after the other, threads inside a frame."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        """Render; keeps per frame what the gradient needs."""
        *tensors, options = args
        camera, _, frames, _, _, threads = options
        kernels = _compiled()
        rgb = torch.empty(frames, camera.height, camera.width, 3)
        alpha = torch.empty(frames, camera.height, camera.width, 1)
        keep = any(ctx.needs_input_grad)
        states: list[Any] = []
        for i in range(frames):
            frame = _frame(tensors, options, i)
            state = kernels.render_frame(frame, threads, rgb[i].numpy(), alpha[i, ..., 0].numpy())
            if keep:
                states.append((frame, state))
        ctx.states, ctx.threads, ctx.sizes = states, threads, [int(t.shape[0]) for t in tensors]
        return rgb, alpha

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> tuple[Tensor | None, ...]:
        """Gradients of the five tensors; a tensor shared by all frames gets their sum."""
        # numpy copies and adds, not torch: its threads would go on spinning on the cores that are needed next
        v_rgb, v_alpha = (np.ascontiguousarray(v.detach().numpy()) for v in cotangents)
        kernels = _compiled()
        collected: list[list[Any]] = [[] for _ in ctx.sizes]
        for i, (frame, state) in enumerate(ctx.states):
            found = kernels.differentiate_frame(frame, state, v_rgb[i], v_alpha[i, ..., 0], ctx.threads)
            for size, kept, gradient in zip(ctx.sizes, collected, found):
                if size == 1 and kept:
                    kept[0] += gradient
                else:
                    kept.append(gradient)
        stacked = [kept[0][None] if len(kept) == 1 else np.stack(kept) for kept in collected]
        return (*map(torch.from_numpy, stacked), None)


def _frame(tensors: list[Tensor], options: tuple[Any, ...], i: int) -> Any:
    """Frame i as contiguous numpy arrays (views wherever the tensors are contiguous already)."""
    camera, background, _, eps2d, antialiased, _ = options
    kernels = _compiled()
    arrays = [t.detach()[min(i, t.shape[0] - 1)].contiguous().numpy() for t in tensors]
    viewmat = camera.viewmat[min(i, camera.viewmat.shape[0] - 1)].numpy()
    intrinsics = camera.intrinsics_px[min(i, camera.intrinsics_px.shape[0] - 1)].numpy()
    numbers = kernels.camera_numbers(
        viewmat, intrinsics, (camera.width, camera.height), (camera.near_m, camera.far_m), eps2d, antialiased
    )
    back = background[i].contiguous().numpy()
    return kernels.FrameInput(*arrays, numbers, back, camera.width, camera.height)
