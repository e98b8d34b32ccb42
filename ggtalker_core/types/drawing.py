"""What a rasteriser takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from .checks import check_shape, moved

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Gaussians:
    """What a rasteriser takes. B = frames; a leading 1 broadcasts over the frames."""

    means: Tensor  # [B, N, 3] metres, world
    quats: Tensor  # [B, N, 4] wxyz, need not be normalised
    scales: Tensor  # [B, N, 3] linear, metres
    opacities: Tensor  # [B, N] in [0, 1]
    colors: Tensor  # [B, N, 3] sRGB, may leave [0, 1] during training

    def __post_init__(self) -> None:
        """Check the shapes."""
        n = int(self.means.shape[1]) if self.means.ndim == 3 else -1
        check_shape(self, "means", self.means, (None, None, 3))
        check_shape(self, "quats", self.quats, (None, n, 4))
        check_shape(self, "scales", self.scales, (None, n, 3))
        check_shape(self, "opacities", self.opacities, (None, n))
        check_shape(self, "colors", self.colors, (None, n, 3))

    def to(self, device: torch.device | str) -> Gaussians:
        """The same Gaussians on `device`."""
        return moved(self, device)


@dataclass(frozen=True)
class Camera:
    """Pinhole cameras, one per frame (a leading 1 broadcasts)."""

    viewmat: Tensor  # [B, 4, 4] world to camera, OpenCV
    intrinsics_px: Tensor  # [B, 3, 3]
    width: int
    height: int
    near_m: float = 0.01
    far_m: float = 1e10

    def __post_init__(self) -> None:
        """Check the shapes and the size."""
        check_shape(self, "viewmat", self.viewmat, (None, 4, 4))
        check_shape(self, "intrinsics_px", self.intrinsics_px, (None, 3, 3))
        if self.width < 1 or self.height < 1:
            raise InvalidInputError(f"Camera size must be positive, got {self.width}x{self.height}.")

    def to(self, device: torch.device | str) -> Camera:
        """The same cameras on `device`."""
        return moved(self, device)


@dataclass(frozen=True)
class Rendered:
    """What a rasteriser gives: colour over the background, and coverage."""

    rgb: Tensor  # [B, H, W, 3]
    alpha: Tensor  # [B, H, W, 1]
