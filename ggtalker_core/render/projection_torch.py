"""The projection of 3D Gaussians onto the screen in plain torch, any device and float type (gsplat 1.5's formulas)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .config import ALPHA_MIN, EXTENT_MAX, FOV_MARGIN


@dataclass(frozen=True)
class Projected:
    """N Gaussians on the screen of one camera."""

    means_px: Tensor  # [N, 2]
    conics: Tensor  # [N, 3] xx, xy, yy of the inverse covariance [1/px^2]
    squares: Tensor  # [N, 3] a, k, c: the same form as a (dx - k dy)^2 + c dy^2, in which nothing cancels
    depths_m: Tensor  # [N]
    opacities: Tensor  # [N], compensated in antialiased mode
    radii_px: Tensor  # [N, 2] whole pixels, no gradient
    visible: Tensor  # [N] bool


def quaternion_to_matrix(quats: Tensor) -> Tensor:
    """Rotation matrices [N, 3, 3] of quaternions [N, 4] wxyz, which need not be normalised."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(*quats.shape[:-1], 3, 3)


def screen_slope(mean: Tensor, intrinsics: Tensor, width: int, height: int) -> Tensor:
    """Derivative [N, 2, 3] of the pixel by the camera position `mean` [N, 3], clamped off the screen."""
    x, y, z = mean.unbind(-1)
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    margin_x, margin_y = FOV_MARGIN * 0.5 * width / fx, FOV_MARGIN * 0.5 * height / fy
    tx = z * torch.minimum(torch.maximum(x / z, -(cx / fx + margin_x)), (width - cx) / fx + margin_x)
    ty = z * torch.minimum(torch.maximum(y / z, -(cy / fy + margin_y)), (height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    rows = [fx / z, zero, -fx * tx / z**2, zero, fy / z, -fy * ty / z**2]
    return torch.stack(rows, -1).reshape(-1, 2, 3)


def project(
    means: Tensor,  # [N, 3] m
    quats: Tensor,  # [N, 4] wxyz
    scales: Tensor,  # [N, 3] m
    opacities: Tensor,  # [N]
    viewmat: Tensor,  # [4, 4] world to camera, OpenCV
    intrinsics: Tensor,  # [3, 3] px
    width: int,
    height: int,
    near_m: float,
    far_m: float,
    eps2d: float,
    antialiased: bool,
) -> Projected:
    """Project N Gaussians; differentiable except for radii and visibility."""
    rotation, shift = viewmat[:3, :3], viewmat[:3, 3]
    mean = means @ rotation.T + shift
    in_range = (mean[:, 2] >= near_m) & (mean[:, 2] <= far_m)
    # what is culled must not put infinities into the gradient of what is seen
    safe = torch.where(in_range[:, None], mean, torch.ones_like(mean))
    slope = screen_slope(safe, intrinsics, width, height)
    axes = slope @ rotation @ (quaternion_to_matrix(quats) * scales[:, None, :])  # [N, 2, 3]
    a, b = axes.unbind(1)
    xx, xy, yy = (a * a).sum(-1) + eps2d, (a * b).sum(-1), (b * b).sum(-1) + eps2d
    # the determinants as sums of squared minors: nothing cancels for needles
    det_sharp = torch.linalg.cross(a, b).square().sum(-1)
    det = det_sharp + eps2d * (xx + yy - eps2d)
    det_safe = torch.where(det > 0, det, torch.ones_like(det))
    conics = torch.stack([yy / det_safe, -xy / det_safe, xx / det_safe], -1)
    squares = torch.stack([yy / det_safe, xy / yy, 1 / yy], -1)
    if antialiased:
        ratio = det_sharp / det_safe
        root = torch.where(ratio > 0, ratio, torch.ones_like(ratio)).sqrt()  # no infinite slope at zero
        opacities = opacities * torch.where(ratio > 0, root, torch.zeros_like(ratio))
    focal, centre = intrinsics[[0, 1], [0, 1]], intrinsics[[0, 1], [2, 2]]
    means_px = safe[:, :2] / safe[:, 2:] * focal + centre
    with torch.no_grad():
        extent = (2 * (opacities * 255).clamp(min=1.0).log()).sqrt().clamp(max=EXTENT_MAX)
        radii = torch.ceil(extent[:, None] * torch.stack([xx, yy], -1).sqrt())
        size = torch.tensor([width, height], dtype=means.dtype, device=means.device)
        on_screen = ((means_px + radii > 0) & (means_px - radii < size)).all(-1) & (radii > 0).any(-1)
        visible = in_range & (det > 0) & (opacities >= ALPHA_MIN) & on_screen
    return Projected(means_px, conics, squares, safe[:, 2], opacities, radii, visible)
