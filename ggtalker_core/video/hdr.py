"""HDR pictures (phones record them by default) brought to ordinary sRGB.

Sources: ITU-R BT.2100 (PQ and HLG curves, HLG system gamma 1.2 at 1000 cd/m2), BT.2408 (graphics white at 203 cd/m2),
BT.2087 (BT.2020 to BT.709 primaries). Highlights above white are rolled off exponentially.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Light = NDArray[np.float32]  # [H, W, 3]

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
_WHITE_NITS = 203.0
_KNEE = np.float32(0.7)  # share of white up to which light stays as it is
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # fmt: skip


def to_srgb(signal: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """BT.2020 R'G'B' of 16 bits per channel, [H, W, 3], to sRGB bytes."""
    value = np.asarray(signal / 65535, np.float32)
    light = pq_light(value) if transfer == PQ else hlg_light(value)
    rolled = _KNEE + (1 - _KNEE) * (1 - np.exp((_KNEE - light) / (1 - _KNEE)))
    light = np.where(light > _KNEE, rolled, light)
    light = np.clip(light @ _TO_709.T, 0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-6) ** (1 / 2.4) - 0.055)
    return (curve * 255 + 0.5).astype(np.uint8)


def pq_light(value: Light) -> Light:
    """PQ signal in [0, 1] to display light in units of graphics white."""
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    power = value ** np.float32(1 / m2)
    nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return (nits / _WHITE_NITS).astype(np.float32)


def hlg_light(value: Light) -> Light:
    """HLG signal in [0, 1] to the light of a display of 1000 cd/m2, in units of graphics white."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(value <= 0.5, value * value / 3, (np.exp((np.maximum(value, 0.5) - c) / a) + b) / 12)
    luminance = np.maximum(scene @ _LUMA, 1e-6)[..., None]
    return (scene * luminance**0.2 * (1000 / _WHITE_NITS)).astype(np.float32)
