"""Build ggtalker_core/assets/labels.safetensors: the label wordings as bitmaps, so that no font is needed at run time.

python tools/labels/build.py LATIN.ttf CJK.ttc OUT.safetensors
Used: DejaVuSans-Bold.ttf (Debian fonts-dejavu-core 2.37-6, Bitstream Vera licence, free) and NotoSansCJK-Bold.ttc
(Debian fonts-noto-cjk 1:20220127, SIL Open Font License 1.1). Only pictures of the wordings are kept, no font data.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from safetensors.numpy import save_file

HEIGHT_PX = 72  # of the ink
ROOT = Path(__file__).resolve().parents[2]


def presets() -> dict[str, str]:
    """The wordings, read from the core without importing the pack's own `nodes`."""
    sys.path.insert(0, str(ROOT))
    spec = importlib.util.find_spec("ggtalker_core.provenance.config")
    assert spec is not None and spec.loader is not None
    from ggtalker_core.provenance.config import PRESETS

    return PRESETS


def ink(text: str, font_path: str, index: int) -> np.ndarray:
    """Coverage of a text, trimmed to its ink and scaled to HEIGHT_PX."""
    font = ImageFont.truetype(font_path, 400, index=index)
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    image = Image.new("L", (right - left + 40, bottom - top + 40), 0)
    ImageDraw.Draw(image).text((20 - left, 20 - top), text, fill=255, font=font)
    image = image.crop(image.getbbox())
    return np.asarray(
        image.resize((round(image.width * HEIGHT_PX / image.height), HEIGHT_PX), Image.Resampling.LANCZOS)
    )


def main() -> None:
    """Command line."""
    latin, cjk, out = sys.argv[1:4]
    tensors = {}
    for name, text in presets().items():
        font, index = (latin, 0) if text.isascii() else (cjk, 2)  # 2: simplified Chinese within the collection
        tensors[name] = np.ascontiguousarray(ink(text, font, index))
        print(name, text, tensors[name].shape)
    save_file(tensors, out, metadata={"format": "ggtalker.labels", "format_version": "1", "height_px": str(HEIGHT_PX)})


if __name__ == "__main__":
    main()
