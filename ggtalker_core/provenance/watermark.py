"""Writing the invisible mark, one frame at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInputError
from .carriers import carriers_of
from .config import FORMAT, PUBLIC_KEY, EmbedConfig
from .convolution import encode
from .payload import check_watermark_id, pack
from .perception import CLIP, band_pass, band_response, fold, local_level, luma, visibility_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[Any]  # [H, W] float32


def check_carrier_size(size_px: tuple[int, int]) -> None:
    """Raise InvalidInputError when a frame of `size_px` (width, height) is too small for a mark."""
    if min(size_px) < FORMAT.minimum_side_px:
        raise InvalidInputError(
            f"A frame of {size_px[0]}x{size_px[1]} pixels is too small for the invisible watermark, which needs at "
            f"least {FORMAT.minimum_side_px} pixels on the short side. Make larger frames, or switch the invisible "
            "watermark off (that is written into the file)."
        )


TILT = 0.6  # between the flat spectrum of a clean frame and what is left after strong compression


class Watermarker:
    """Writes one id into frames. Every frame is marked by itself, so frames may be asked for in any order.

    The pattern is the same in all frames of a clip (it survives in the video's key frames and does not flicker);
    per frame only its 325 amplitudes are steered so that the reader finds all of them at one level, whatever the
    picture itself holds in those directions (informed embedding).
    """

    def __init__(
        self, watermark_id: str, key: str = PUBLIC_KEY, strength: float = 1.0, config: EmbedConfig | None = None
    ):
        """`watermark_id`: 16 hex digits. `strength` 1.0 keeps 42 dB. Raises InvalidInputError for bad values."""
        self.watermark_id = check_watermark_id(watermark_id)
        self.config = config or EmbedConfig(strength=strength)
        self._carriers = carriers_of(key)
        self._target = self._carriers.spread(encode(pack(watermark_id, key)))  # [325]
        weights = self._carriers.tilt(TILT)
        self._listener = (self._carriers.basis * (weights / np.sqrt(np.mean(weights**2)))[:, None]).T  # [325, D]
        self._response = band_response(self._carriers.radius)

    def embed(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frame [H, W, 3] sRGB to the marked frame. Raises InvalidInputError for a wrong shape, type or size."""
        import cv2

        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InvalidInputError(
                f"The watermark takes uint8 frames [H, W, 3], got {frame.dtype} {list(frame.shape)}."
            )
        height, width = frame.shape[:2]
        check_carrier_size((width, height))
        plane = luma(np.ascontiguousarray(frame))
        scale = FORMAT.scale((width, height))
        if scale > 1.0:
            small = (round(width / scale), round(height / scale))
            plane = cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        pattern = self._pattern(plane)
        if scale > 1.0:
            pattern = cv2.resize(pattern, (width, height), interpolation=cv2.INTER_CUBIC)
        return _add(frame, pattern)

    def _pattern(self, plane: Plane) -> Plane:
        """The disturbance [H, W] in grey levels for a luma plane at reference scale."""
        height, width = plane.shape
        tile = FORMAT.tile_px
        repeat = -(-height // tile), -(-width // tile)
        mask = visibility_mask(plane, self.config)
        passed = band_pass(plane)
        level = local_level(passed)
        host, weight = passed / level, mask / level
        listener = self._listener

        def hear(seen: Plane) -> NDArray[Any]:
            return listener @ self._carriers.project(fold(seen))

        def received(coefficients: NDArray[Any]) -> NDArray[Any]:
            # The mask is smooth, so filtering the pattern equals masking the filtered pattern: no blur in the loop.
            filtered = np.tile(self._carriers.tile(coefficients, self._response), repeat)[:height, :width]
            seen = np.clip(host + weight * filtered, -CLIP, CLIP)
            return hear(seen)

        target = self._target
        coefficients: NDArray[Any] = target
        gain = 0.0
        silent = hear(np.clip(host, -CLIP, CLIP))
        for step in range(self.config.iterations):
            heard = received(coefficients)
            if step == 0:
                gain = max(float((heard - silent) @ target), 1e-3)
            coefficients = coefficients + 0.9 * (target * gain - heard) / gain
            coefficients /= max(1.0, float(np.linalg.norm(coefficients)))
        return np.tile(self._carriers.tile(coefficients), repeat)[:height, :width] * mask


def _add(frame: NDArray[np.uint8], pattern: Plane) -> NDArray[np.uint8]:
    """Add the same whole number of levels to red, green and blue, saturating."""
    import cv2

    whole = np.rint(pattern)
    up = np.clip(whole, 0, 255).astype(np.uint8)
    down = np.clip(-whole, 0, 255).astype(np.uint8)
    added: NDArray[Any] = cv2.add(frame, cv2.merge([up, up, up]))
    return np.asarray(cv2.subtract(added, cv2.merge([down, down, down])), np.uint8)
