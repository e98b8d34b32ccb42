"""From a decoded picture to an upright sRGB array of the wanted size."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .hdr import HLG, PQ, to_srgb

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

_BT709, _BT601, _BT2020 = 1, 5, 9  # ITU-T H.273 matrix coefficients
_UNSPECIFIED = 2


@dataclass(frozen=True)
class Orientation:
    """How stored pixels become upright: first swap rows and columns, then mirror."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright image, contiguous. `image` is [H, W, 3]."""
        import numpy as np

        if self.transpose:
            image = image.transpose(1, 0, 2)
        if self.flip_x:
            image = image[:, ::-1]
        if self.flip_y:
            image = image[::-1]
        return np.ascontiguousarray(image)


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read the display matrix that phones write.

    Its rows are a b u, c d v, x y w; a point (x, y) goes to (ax + cy, bx + dy).
    """
    for item in frame.side_data:  # type: ignore[attr-defined]
        entry: Any = item
        if entry.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("9i", bytes(entry)[:36])
            if abs(b) + abs(c) > abs(a) + abs(d):
                return Orientation(True, c < 0, b < 0)
            return Orientation(False, a < 0, d < 0)
    return Orientation()


@dataclass(frozen=True)
class Geometry:
    """The size in which pictures leave the decoder, and how they are turned upright."""

    stored_px: tuple[int, int]  # width, height to which the stored picture is scaled
    orientation: Orientation

    @property
    def size_px(self) -> tuple[int, int]:
        """Width, height of the upright image."""
        w, h = self.stored_px
        return (h, w) if self.orientation.transpose else (w, h)


def fit_size(width: int, height: int, aspect: Fraction, max_side_px: int) -> tuple[int, int]:
    """Square pixels, no side above `max_side_px`; even sizes where anything is scaled down, else as stored."""
    wide = max(1, round(width * aspect))
    longest = max(wide, height)
    if longest <= max_side_px:
        return wide, height
    scale = max_side_px / longest
    return max(2, int(wide * scale / 2 + 0.5) * 2), max(2, int(height * scale / 2 + 0.5) * 2)


def to_rgb(frame: VideoFrame, geometry: Geometry) -> NDArray[np.uint8]:
    """The upright sRGB image, uint8 [H, W, 3]. Alpha is dropped; an untagged matrix is taken as players take it."""
    width, height = geometry.stored_px
    if is_hdr(frame):
        return geometry.orientation.apply(_from_hdr(frame, width, height))
    matrix = int(frame.colorspace)
    if matrix == _UNSPECIFIED:
        matrix = _BT709 if frame.height >= 720 else _BT601
    area = width * height < frame.width * frame.height
    converted = frame.reformat(
        width=width, height=height, format="rgb24", src_colorspace=matrix, dst_colorspace=matrix,
        interpolation="AREA" if area else "BICUBIC",
    )  # fmt: skip
    return geometry.orientation.apply(_bytes(converted))


def is_hdr(frame: VideoFrame) -> bool:
    """Whether the picture says that its values follow an HDR curve."""
    return int(getattr(frame, "color_trc", 0)) in (PQ, HLG)


def _from_hdr(frame: VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
    import numpy as np

    deep = frame.reformat(width=width, height=height, format="rgb48le", src_colorspace=_BT2020, dst_colorspace=_BT2020)
    return to_srgb(deep.to_ndarray().astype(np.uint16, copy=False), int(frame.color_trc))


def to_gray(frame: VideoFrame, long_side_px: int) -> NDArray[np.uint8]:
    """A small luma image for measuring, as stored (not turned), uint8 [h, w]."""
    scale = min(1.0, long_side_px / max(frame.width, frame.height))
    width, height = max(2, round(frame.width * scale)), max(2, round(frame.height * scale))
    return _bytes(frame.reformat(width=width, height=height, format="gray", interpolation="AREA"))


def _bytes(frame: VideoFrame) -> NDArray[np.uint8]:
    """The pixels of an 8-bit picture."""
    import numpy as np

    return frame.to_ndarray().astype(np.uint8, copy=False)
