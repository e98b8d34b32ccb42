"""The CPU rasteriser as a differentiable torch function; compiled by numba at its first use, cached on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """The compiled stages, imported on first use with a cache folder of their own."""
    with _cache_folder():
        from .cpu import pipeline

    return pipeline


def _compiled() -> ModuleType:
    """The compiled stages; raises BackendUnavailableError where numba cannot be used."""
    found = availability()
    if not found.ok:
        raise BackendUnavailableError(f"The numba backend cannot be used: {found.why} {found.how_to_fix}")
    return _kernels()


@contextlib.contextmanager
def _cache_folder() -> Generator[None]:
    """Give the kernels that are imported inside a cache folder that can be written and that is theirs alone.

    numba's files hold the full names of modules but are found by the path of the source: a host that loads the same
    source under another name (ComfyUI does) would find them and fail. So the folder depends on our name.
    """
    import numba

    config: Any = numba.config  # type: ignore[attr-defined]
    before: str = config.CACHE_DIR
    root = Path(before or os.environ.get("NUMBA_CACHE_DIR") or _writable_folder())
    config.CACHE_DIR = str(root / f"ggtalker-{hashlib.sha256(__name__.encode()).hexdigest()[:10]}")
    try:
        yield
    finally:
        config.CACHE_DIR = before


def _writable_folder() -> Path:
    """Beside the kernels, or in the temporary folder where the package's own cannot be written."""
    beside = Path(__file__).parent / "cpu" / "__pycache__"
    try:
        beside.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=beside):
            return beside
    except OSError:
        user = getattr(os, "getuid", lambda: "user")()
        folder = Path(tempfile.gettempdir()) / f"ggtalker-numba-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


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
        v_rgb, v_alpha = (v.contiguous() for v in cotangents)
        kernels = _compiled()
        collected: list[list[Tensor]] = [[] for _ in ctx.sizes]
        for i, (frame, state) in enumerate(ctx.states):
            found = kernels.differentiate_frame(frame, state, v_rgb[i].numpy(), v_alpha[i, ..., 0].numpy(), ctx.threads)
            for size, kept, gradient in zip(ctx.sizes, collected, map(torch.from_numpy, found)):
                if size == 1 and kept:
                    kept[0] += gradient
                else:
                    kept.append(gradient)
        stacked = [kept[0][None] if len(kept) == 1 else torch.stack(kept) for kept in collected]
        return (*stacked, None)


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
