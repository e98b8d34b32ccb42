"""How the Gaussian map is initialised and how far it may move from the surface."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GaussianConfig:
    """Start values and limits; lengths in metres. The defaults are those of the measured recipe."""

    spacing_ratio: float = 0.8  # in-plane standard deviation as a share of the texel spacing
    normal_ratio: float = 0.25  # standard deviation along the normal as a share of the texel spacing
    normal_max_m: float = 0.4e-3  # and at most this
    opacity_logit: float = 1.4  # sigmoid = 0.80
    area_ratio_min: float = 0.5  # a triangle's growth changes the Gaussians on it by this factor at least ...
    area_ratio_max: float = 2.0  # ... and this at most
    offset_max_m: float = 2.0e-3  # beyond this the fit is pulled back: skin, eyes, mouth
    offset_max_scalp_m: float = 12.0e-3  # hair
    scale_max_m: float = 2.5e-3
    scale_max_scalp_m: float = 6.0e-3
    scale_most_m: float = 6.0e-3  # no Gaussian ever becomes larger: large ones are soft hems and rays from the side
    scale_most_long_m: float = 2.0e-2  # except where long hair stretches the texels apart


@dataclass(frozen=True)
class ColorMlpConfig:
    """Size of the network that lets colours follow expression and pose (stage 5 of the paper; off in the draft)."""

    features: int = 16  # learned numbers per texel
    hidden: int = 64
    out: int = 3


@dataclass(frozen=True)
class RenderConfig:
    """How an avatar is drawn."""

    antialiased: bool = True
    eps2d: float = 0.3  # px^2 added to the projected covariance
    chunk: int = 8  # frames bound at once; bounds the memory
    box_margin_px: int = 2  # around what the Gaussians can touch


def tiny() -> GaussianConfig:
    """The configuration for tests (the same: nothing here costs time)."""
    return GaussianConfig()
