"""One call for every backend: `render(gaussians, camera, background) -> rgb, alpha`."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import TYPE_CHECKING

from ..errors import BackendUnavailableError, InvalidInputError
from ..types import Camera, Gaussians, Rendered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_log = logging.getLogger(__name__)
_MANY = 50_000  # Gaussians from which on it pays to share a sum among threads
_FIELDS = ("means", "quats", "scales", "opacities", "colors")


def render(
    gaussians: Gaussians,
    camera: Camera,
    background: Tensor | None = None,  # [3] or [B, 3] in [0, 1]; None = black
    *,
    backend: str = "auto",
    eps2d: float = 0.3,
    antialiased: bool = False,
) -> Rendered:
    """Rasterise B frames of N Gaussians, as gsplat 1.5 does; differentiable in the five tensors of `gaussians`.

    Args:
        gaussians: float32; leading axes B or 1 (broadcast), all on one device.
        camera: leading axes B or 1. No gradient flows to the camera or the background.
        background: colour behind everything.
        backend: auto, gsplat, numba (cpu), torch or reference; see `available_backends`.
        eps2d: low-pass added to the screen-space covariance [px^2].
        antialiased: lower the opacity of Gaussians that the low-pass widened.

    Returns:
        rgb [B, H, W, 3] over the background and alpha [B, H, W, 1], on the device of `gaussians`.

    Raises:
        InvalidInputError: shapes, types or devices do not fit, or a value is not finite (the text names it).
        BackendUnavailableError: a backend asked for by name cannot work here (the text says what to do).
    """
    import torch

    from .select import choose_backend, load_backend

    frames = _frame_count(gaussians, camera)
    _check_types(gaussians)
    device = gaussians.means.device
    camera = _checked_camera(camera)
    back = _background(background, frames, device)
    if not eps2d >= 0.0:
        raise InvalidInputError(f"eps2d must not be negative, got {eps2d}.")
    _check_finite(gaussians)
    if gaussians.means.shape[1] == 0:
        size = (frames, camera.height, camera.width)
        rgb = back[:, None, None, :].expand(*size, 3).clone()
        return _differentiable(gaussians, rgb, torch.zeros(*size, 1, device=device))
    chosen = choose_backend(backend, device)
    try:
        rgb, alpha = load_backend(chosen)(gaussians, camera, back, frames, eps2d, antialiased)
    except BackendUnavailableError as error:
        if backend != "auto" or chosen == "torch":
            raise
        _log.warning("%s Rendering goes on in plain torch, which is slower.", error)
        rgb, alpha = load_backend("torch")(gaussians, camera, back, frames, eps2d, antialiased)
    return _differentiable(gaussians, rgb, alpha)


def render_depth(
    gaussians: Gaussians, camera: Camera, *, backend: str = "auto", eps2d: float = 0.3, antialiased: bool = False
) -> Tensor:
    """Expected depth along the viewing axis [m], 0 where nothing is seen: [B, H, W, 1]; differentiable.

    The depths are rendered as colours, so every backend has it and it is the mean weighted as the picture is.
    """
    import torch

    rotation, shift = camera.viewmat[:, 2, :3].detach(), camera.viewmat[:, 2, 3].detach()
    means = gaussians.means
    depth = (means * rotation[:, None, :].to(means)).sum(-1) + shift[:, None].to(means)  # [B, N]
    painted = dataclasses.replace(gaussians, colors=depth[..., None].expand(*depth.shape, 3))
    seen = render(painted, camera, backend=backend, eps2d=eps2d, antialiased=antialiased)
    covered = seen.alpha > 1.0 / 255.0
    return torch.where(covered, seen.rgb[..., :1] / seen.alpha.clamp(min=1.0 / 255.0), torch.zeros_like(seen.alpha))


def _differentiable(gaussians: Gaussians, rgb: Tensor, alpha: Tensor) -> Rendered:
    """The result, with a gradient (zero) to the Gaussians also where none of them is seen."""
    import torch

    inputs: list[Tensor] = [getattr(gaussians, name) for name in _FIELDS]
    if torch.is_grad_enabled() and not rgb.requires_grad and any(t.requires_grad for t in inputs):
        nothing = sum((t.sum() * 0.0 for t in inputs), start=torch.zeros((), device=rgb.device))
        rgb, alpha = rgb + nothing, alpha + nothing
    return Rendered(rgb=rgb, alpha=alpha)


def _frame_count(gaussians: Gaussians, camera: Camera) -> int:
    """The common number of frames; every leading axis must be that or 1."""
    sizes = {name: int(getattr(gaussians, name).shape[0]) for name in _FIELDS}
    sizes["viewmat"], sizes["intrinsics_px"] = int(camera.viewmat.shape[0]), int(camera.intrinsics_px.shape[0])
    frames = max(sizes.values())
    wrong = {name: size for name, size in sizes.items() if size not in (1, frames)}
    if wrong or min(sizes.values()) < 1:
        raise InvalidInputError(f"Every leading axis must be 1 or the number of frames, got {sizes}.")
    return frames


def _check_types(gaussians: Gaussians) -> None:
    """All five tensors float32 on one device."""
    import torch

    for name in _FIELDS:
        value: Tensor = getattr(gaussians, name)
        if value.dtype != torch.float32:
            raise InvalidInputError(f"Gaussians.{name} must be float32, got {value.dtype}.")
        if value.device != gaussians.means.device:
            raise InvalidInputError(
                f"Gaussians.{name} is on {value.device}, Gaussians.means on {gaussians.means.device}: "
                "put all five on one device."
            )


def _check_finite(gaussians: Gaussians) -> None:
    """Refuse values that are not finite, naming the first one. One sum over each tensor unless something is wrong."""
    import torch

    with torch.no_grad():
        values: list[Tensor] = [getattr(gaussians, name).detach() for name in _FIELDS]
        if math.isfinite(_magnitude(values)):
            return
        for name, value in zip(_FIELDS, values):
            bad = (~value.isfinite()).nonzero()
            if bad.shape[0]:
                where = [int(i) for i in bad[0]]
                raise InvalidInputError(
                    f"Gaussians.{name} is not finite in {bad.shape[0]} places, the first at frame {where[0]}, "
                    f"Gaussian {where[1]}: {float(value[tuple(where)])}. A training step has probably diverged; "
                    "lower the learning rate or resume from the last checkpoint."
                )


def _magnitude(values: list[Tensor]) -> float:
    """Some sum over all values, not finite if one of them is not. It must cost next to nothing beside the picture."""
    import torch

    if values[0].is_cuda:  # all five at once
        norms = torch._foreach_norm(values, 1)  # pyright: ignore[reportPrivateUsage]
        return float(torch.stack(list(norms)).sum())
    if values[0].device.type != "cpu":
        return float(torch.stack([v.sum() for v in values]).sum())
    # in our own threads: torch's would go on spinning for a while on the cores that the rasteriser needs next
    import numpy as np

    from .config import thread_count
    from .cpu.threads import spread

    sums: list[float] = []

    def add(value: NDArray[np.float32]) -> None:
        with np.errstate(all="ignore"):
            sums.append(float(value.sum()))

    threads = thread_count() if values[0].shape[1] >= _MANY else 1
    spread(add, [v.numpy() for v in values], threads)
    return sum(sums)


def _checked_camera(camera: Camera) -> Camera:
    """The camera on the CPU in float32 and without gradient (it is a handful of numbers), checked."""
    import torch

    viewmat = camera.viewmat.detach().to("cpu", torch.float32)
    intrinsics = camera.intrinsics_px.detach().to("cpu", torch.float32)
    for name, value in (("viewmat", viewmat), ("intrinsics_px", intrinsics)):
        if not bool(value.isfinite().all()):
            frame = int((~value.isfinite()).nonzero()[0, 0])
            raise InvalidInputError(f"Camera.{name} of frame {frame} holds values that are not finite.")
    focal = intrinsics[:, [0, 1], [0, 1]]
    if not bool((focal > 0).all()):
        raise InvalidInputError(f"Camera.intrinsics_px needs positive focal lengths, got {focal.min().item():g} px.")
    if not 0.0 < camera.near_m < camera.far_m:
        raise InvalidInputError(f"Camera needs 0 < near < far, got {camera.near_m:g} and {camera.far_m:g} m.")
    return dataclasses.replace(camera, viewmat=viewmat, intrinsics_px=intrinsics)


def _background(background: Tensor | None, frames: int, device: object) -> Tensor:
    """The background as [B, 3] float32 on the CPU's or the Gaussians' device."""
    import torch

    if background is None:
        return torch.zeros(frames, 3, device=device)  # type: ignore[arg-type]
    back = background.detach().to(device, torch.float32)  # type: ignore[call-overload]
    if back.ndim == 1:
        back = back[None]
    if back.ndim != 2 or back.shape[1] != 3 or back.shape[0] not in (1, frames):
        raise InvalidInputError(f"The background must be [3] or [{frames}, 3], got {list(background.shape)}.")
    if not bool(back.isfinite().all()):
        raise InvalidInputError("The background holds values that are not finite.")
    return back.expand(frames, 3)
