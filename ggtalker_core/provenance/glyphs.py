"""Letters without system fonts: prerendered wordings, and Pillow's own font for free Latin text."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidInputError, MissingPackageError, MissingWeightsError
from .config import PRESETS, LabelConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASSET = Path(__file__).resolve().parent.parent / "assets" / "labels.safetensors"
LONGEST_TEXT = 48
_LATIN_END = 0x7F  # the font lacks accented letters


@lru_cache(maxsize=1)
def _prerendered() -> dict[str, NDArray[np.uint8]]:
    """Coverage [h, w] of every preset's wording, trimmed to the ink."""
    from safetensors.numpy import load_file

    if not ASSET.is_file():
        raise MissingWeightsError(f"{ASSET.name} is missing from the pack's assets folder. Install the pack again.")
    return load_file(ASSET)


def _drawn(text: str) -> NDArray[np.uint8]:
    """Coverage [h, w] of a Latin text in the font that Pillow carries."""
    from PIL import Image, ImageDraw, ImageFont

    odd = [c for c in text if not c.isprintable() or ord(c) >= _LATIN_END]
    if odd or len(text) > LONGEST_TEXT:
        raise InvalidInputError(
            f"A free label text may have up to {LONGEST_TEXT} plain Latin characters (no accents), got {text[:60]!r}. "
            "For Chinese use the presets zh_generated and zh_synthesised."
        )
    try:
        font = ImageFont.load_default(128)
    except TypeError as error:
        raise MissingPackageError(
            "A free label text needs Pillow 10.1 or later: pip install --upgrade pillow. The presets work without."
        ) from error
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    image = Image.new("L", (right - left + 8, bottom - top + 8), 0)
    ImageDraw.Draw(image).text((4 - left, 4 - top), text, fill=255, font=font)
    coverage = np.asarray(image)
    rows, columns = np.nonzero(coverage.max(1) > 8)[0], np.nonzero(coverage.max(0) > 8)[0]
    if not len(rows):
        raise InvalidInputError(f"The label text {text!r} shows nothing.")
    return coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def wording_mask(config: LabelConfig, height_px: int) -> NDArray[np.float32]:
    """Coverage [height_px, w] in [0, 1] of the label's wording. Raises InvalidInputError for unusable text."""
    import cv2

    coverage = _prerendered()[config.preset] if config.preset in PRESETS else _drawn(config.wording)
    width = max(1, round(coverage.shape[1] * height_px / coverage.shape[0]))
    shrinks = height_px < coverage.shape[0]
    resized = cv2.resize(coverage, (width, height_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return resized.astype(np.float32) / 255.0
