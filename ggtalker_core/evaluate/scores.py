"""Scores of one contender, gathered frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .metrics import correlation, lip_gap_px, mouth_distance_px, psnr_db, squared_error, ssim_map
from .steadiness import Flicker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .masks import HeadMask


@dataclass
class Scores:
    """One list per metric, one entry per scored frame; a mean over frames is the result, as in the paper."""

    scale: float = 1.0  # from the clip's pixels to those of a 512 px picture
    full_psnr_db: list[float] = field(default_factory=list[float])
    head_psnr_db: list[float] = field(default_factory=list[float])
    mouth_psnr_db: list[float] = field(default_factory=list[float])
    edge_psnr_db: list[float] = field(default_factory=list[float])
    head_ssim: list[float] = field(default_factory=list[float])
    mouth_lmd_px: list[float] = field(default_factory=list[float])
    gaps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])  # original, contender
    seam_ratios: list[float] = field(default_factory=list[float])
    flicker: Flicker = field(default_factory=Flicker)
    faces_lost: int = 0

    def add(self, original: NDArray[np.uint8], made: NDArray[np.uint8], mask: HeadMask) -> NDArray[np.float64]:
        """Score the picture of one frame; returns its squared error [H, W]."""
        error = squared_error(original, made)
        self.full_psnr_db.append(psnr_db(error))
        self.head_psnr_db.append(psnr_db(error, mask.head))
        self.mouth_psnr_db.append(psnr_db(error, mask.mouth))
        self.edge_psnr_db.append(psnr_db(error, mask.edge))
        inside = float(error[mask.head].mean()) if mask.head.any() else 0.0
        self.seam_ratios.append(float(error[mask.seam].mean()) / inside if mask.seam.any() and inside > 0 else math.nan)
        similar = ssim_map(original, made)[mask.head]
        self.head_ssim.append(float(similar.mean()) if similar.size else math.nan)
        return error

    def add_landmarks(self, original: NDArray[np.float32] | None, made: NDArray[np.float32] | None) -> None:
        """Compare what the detector sees in both pictures, [478, 2]; None where it saw no face."""
        if original is None:
            return  # no ground truth in this frame
        if made is None:
            self.faces_lost += 1
            return
        self.mouth_lmd_px.append(mouth_distance_px(original, made) * self.scale)
        self.gaps.append((lip_gap_px(original) * self.scale, lip_gap_px(made) * self.scale))

    def summary(self) -> dict[str, float | None]:
        """The means, under the names of the report; None where nothing could be measured."""
        gap = correlation([a for a, _ in self.gaps], [b for _, b in self.gaps])
        return {
            "full_psnr_db": _mean(self.full_psnr_db),
            "head_psnr_db": _mean(self.head_psnr_db),
            "mouth_psnr_db": _mean(self.mouth_psnr_db),
            "edge_psnr_db": _mean(self.edge_psnr_db),
            "head_ssim": _mean(self.head_ssim),
            "mouth_lmd_px": _mean(self.mouth_lmd_px),
            "lip_gap_correlation": None if math.isnan(gap) else gap,
            "lip_gap_error_px": _mean([abs(a - b) for a, b in self.gaps]),
            "seam_error_ratio": _mean(self.seam_ratios),
            "flicker_ratio": self.flicker.ratio(),
            "faces_lost": self.faces_lost,
        }


def _mean(values: list[float]) -> float | None:
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else None
