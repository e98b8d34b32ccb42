"""The visible label: white letters on a dark box in a corner, readable on any picture."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidInputError
from .config import LabelConfig
from .glyphs import wording_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

REQUIRED_CONTRAST = 4.5  # WCAG 2.1, success criterion 1.4.3 (AA, normal text)
_PADDING = 0.45  # of the letter height, around the letters
_SMALLEST_LETTERS_PX = 8


def relative_luminance(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """WCAG relative luminance of sRGB colours [..., 3] in [0, 255]."""
    v = np.asarray(rgb, np.float32) / 255.0
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return (linear @ np.array([0.2126, 0.7152, 0.0722])).astype(np.float32)


def contrast_ratio(light: NDArray[np.float32], dark: NDArray[np.float32]) -> NDArray[np.float32]:
    """WCAG contrast of two colours [..., 3]: 1 (none) to 21."""
    a, b = relative_luminance(light), relative_luminance(dark)
    return ((np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)).astype(np.float32)


def _rounded_box(height: int, width: int, radius: float) -> NDArray[np.float32]:
    """Coverage of a box with round corners [height, width]."""
    y = np.abs(np.arange(height) + 0.5 - height / 2)[:, None] - (height / 2 - radius)
    x = np.abs(np.arange(width) + 0.5 - width / 2)[None] - (width / 2 - radius)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0)) - radius
    return np.clip(0.5 - outside, 0, 1).astype(np.float32)


class VisibleLabel:
    """Draws one label into frames; every frame by itself, so frames may be asked for in any order."""

    def __init__(self, config: LabelConfig, fps: Fraction = Fraction(25)):
        """`fps` turns the frame number into seconds for the durations "start" and "periodic"."""
        self.config, self.fps = config, fps
        self._made: dict[tuple[int, int], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def shows(self, index: int) -> bool:
        """Whether frame `index` carries the label."""
        config = self.config
        if not config.wording:
            return False
        if config.duration == "always":
            return True
        seconds = float(index / self.fps)
        if config.duration == "periodic":
            seconds %= config.every_s
        return seconds < config.seconds

    def letter_height_px(self, size_px: tuple[int, int]) -> int:
        """Height of the letters on frames of `size_px` (width, height)."""
        return max(math.ceil(self.config.size_pct / 100 * min(size_px)), 1)

    def draw(self, frame: NDArray[np.uint8], index: int = 0) -> NDArray[np.uint8]:
        """A copy of frame [H, W, 3] with the label, or the frame itself where none shows.

        Raises InvalidInputError when the label does not fit into the frame.
        """
        if not self.shows(index):
            return frame
        height, width = frame.shape[:2]
        letters, box = self._masks((width, height))
        rows, columns = self._place((width, height), box.shape)
        out = frame.copy()
        under = frame[rows, columns].astype(np.float32)
        opacity = self._opacity(under, box)
        dark = under * (1 - opacity * box[..., None])
        # Letters keep the same opacity over what was there before the box: they stay light on a light picture.
        light = 255.0 * opacity + under * (1 - opacity)
        blended = dark + (light - dark) * letters[..., None]
        out[rows, columns] = np.rint(blended).astype(np.uint8)
        return out

    def coverage(self, size_px: tuple[int, int], index: int = 0) -> NDArray[np.uint8]:
        """Where the label lies, [H, W] of 0..255: what becomes opaque in a video with alpha."""
        out = np.zeros((size_px[1], size_px[0]), np.uint8)
        if self.shows(index):
            _, box = self._masks(size_px)
            rows, columns = self._place(size_px, box.shape)
            out[rows, columns] = np.rint(box * 255).astype(np.uint8)
        return out

    def _masks(self, size_px: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Coverage of letters and of the box, both [h, w], for a frame size."""
        if size_px not in self._made:
            wanted = self.letter_height_px(size_px)
            height = max(wanted, _SMALLEST_LETTERS_PX)
            while True:
                letters = wording_mask(self.config, height)
                pad = max(2, round(_PADDING * height))
                shape = letters.shape[0] + 2 * pad, letters.shape[1] + 2 * pad
                if self._fits(size_px, shape):
                    break
                height -= 1
                if height < wanted:
                    raise InvalidInputError(
                        f"The label {self.config.wording!r} with letters of {wanted} px does not fit into a frame of "
                        f"{size_px[0]}x{size_px[1]}. Choose a shorter wording (eu_ai, zh_generated), a smaller "
                        "size_pct where the preset allows it, or larger frames."
                    )
            padded = np.pad(letters, pad)
            self._made[size_px] = padded, _rounded_box(*shape, radius=0.28 * shape[0])
        return self._made[size_px]

    def _margin_px(self, size_px: tuple[int, int]) -> int:
        return round(self.config.margin_pct / 100 * min(size_px))

    def _fits(self, size_px: tuple[int, int], shape: tuple[int, int]) -> bool:
        margin = 2 * self._margin_px(size_px)
        return shape[0] + margin <= size_px[1] and shape[1] + margin <= size_px[0]

    def _place(self, size_px: tuple[int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of the box in its corner."""
        margin = self._margin_px(size_px)
        y = margin if self.config.corner.startswith("top") else size_px[1] - margin - shape[0]
        x = margin if self.config.corner.endswith("left") else size_px[0] - margin - shape[1]
        return slice(y, y + shape[0]), slice(x, x + shape[1])

    def _opacity(self, under: NDArray[np.float32], box: NDArray[np.float32]) -> float:
        """The configured opacity, or as much more as the brightest and darkest spot under the box need."""
        spots = under[box > 0.99]
        if not len(spots):
            return self.config.opacity
        luminance = relative_luminance(spots)
        extremes = spots[[int(luminance.argmax()), int(luminance.argmin())]]  # [2, 3]
        for opacity in np.arange(self.config.opacity, 1.0, 0.02):
            light = 255.0 * opacity + extremes * (1 - opacity)
            dark = extremes * (1 - opacity)
            # Worst pair: letters over the darkest spot beside the box over the brightest one.
            if float(contrast_ratio(light[1], dark[0])) >= REQUIRED_CONTRAST * 1.03:
                return float(opacity)
        return 1.0
