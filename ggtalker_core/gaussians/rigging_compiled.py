"""`rigging.bind_texels` for a processor as one differentiable function, compiled by numba at its first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .cpu import kernels

if TYPE_CHECKING:
    from .config import GaussianConfig
    from .rigging import Rig
    from .texels import Texels


def takes(texels: Texels, rig: Rig, vertices: Tensor) -> bool:
    """Whether `posed` can do it: numba, and single precision on the processor throughout."""
    values = (vertices, texels.offset_m, texels.log_scale, texels.quaternion, rig.barycentric, rig.rest_area_m2)
    return all(v.device.type == "cpu" and v.dtype == torch.float32 for v in values) and kernels() is not None


def posed(texels: Texels, rig: Rig, vertices: Tensor, config: GaussianConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Means [B, N, 3], quaternions [B, N, 4] and scales [B, N, 3] of the texels on vertices [B, V, 3]; differentiable
    like `rigging.bind_texels`."""
    limits = (config.area_ratio_min, config.area_ratio_max)
    return _Pose.apply(texels.offset_m, texels.log_scale, texels.quaternion, vertices, rig, limits)  # type: ignore[misc]


class _Pose(torch.autograd.Function):
    """Frame after frame; the texels' gradients are summed over the frames."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Pose; keeps per frame the triangles' frames."""
        *tensors, rig, (least, most) = args
        compiled = kernels()
        assert compiled is not None
        offset, log_scale, quaternion, vertices = (_array(t) for t in tensors)
        count, used, n = vertices.shape[0], _array(rig.used), offset.shape[0]
        means, quats, scales = (np.empty((count, n, width), np.float32) for width in (3, 4, 3))
        frames = np.empty((count, len(used), compiled.FRAME), np.float32)
        growth = np.empty(len(used), np.float32)
        surface = [_array(value) for value in (rig.corners, rig.barycentric, rig.texel_triangle)]
        limits = np.float32(least), np.float32(most)
        for b in range(count):
            compiled.pose_triangles(vertices[b], used, _array(rig.rest_area_m2), *limits, frames[b], growth)
            compiled.pose_texels(
                vertices[b], *surface, frames[b], growth, offset, log_scale, quaternion, means[b], quats[b], scales[b]
            )  # fmt: skip
        ctx.kept = (offset, quaternion, vertices, used, surface, frames, scales)
        return torch.from_numpy(means), torch.from_numpy(quats), torch.from_numpy(scales)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of offset, log scale, quaternion and vertices."""
        compiled = kernels()
        assert compiled is not None
        offset, quaternion, vertices, used, surface, frames, scales = ctx.kept
        corners, barycentric, triangle = surface
        g_means, g_quats, g_scales = (_array(g) for g in cotangents)
        of_texels = [np.zeros_like(value) for value in (offset, offset, quaternion)]
        of_vertices = np.zeros_like(vertices)
        scratch = np.empty((len(used), 9), np.float32)
        for b in range(len(vertices)):
            if any(ctx.needs_input_grad[:3]):
                compiled.texel_gradients(
                    triangle, frames[b], quaternion, scales[b], g_means[b], g_quats[b], g_scales[b], *of_texels
                )  # fmt: skip
            if ctx.needs_input_grad[3]:
                compiled.vertex_gradients(
                    vertices[b], used, corners, barycentric, triangle, frames[b], offset, g_means[b], scratch,
                    of_vertices[b],
                )  # fmt: skip
        found = [
            torch.from_numpy(g) if need else None for g, need in zip((*of_texels, of_vertices), ctx.needs_input_grad)
        ]
        return (*found, None, None)


def _array(value: Tensor) -> Any:
    """The tensor's memory as an array, copied only where it is not contiguous."""
    return value.detach().contiguous().numpy()
