"""The CPU rasteriser as a differentiable torch function; compiled by numba at its first use, cached on disk."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..compiled import import_kernels
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
    here = Path(__file__).parent
    return import_kernels(f"{__package__}.cpu.pipeline", here / "cpu", (here / "config.py",))


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
