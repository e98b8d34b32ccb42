"""The keyed patterns: 324 orthonormal carriers and a pilot in a band of a tile's spectrum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .config import FORMAT
from .payload import CODED_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_P = FORMAT.tile_px
RINGS = 10


@dataclass(frozen=True)
class Carriers:
    """Everything that follows from a key. A tile lives in D real dimensions: the band of its half spectrum."""

    band: NDArray[np.int64]  # [D/2] positions in the raveled rfft2 of a tile
    radius: NDArray[np.float32]  # [D/2] cycles per tile
    ring: NDArray[np.int64]  # [D/2] in which of the RINGS rings of the band it lies
    basis: NDArray[np.float32]  # [D, 325] orthonormal columns; the last is the pilot
    order: NDArray[np.int64]  # [324] which carrier bears which coded bit
    signs: NDArray[np.float32]  # [324] scrambling
    pilot_spectrum: NDArray[np.complex64]  # [P, P/2+1]

    def project(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tile [P, P] to its band coordinates [D] (isometric on the band)."""
        spectrum = np.fft.rfft2(tile).ravel()[self.band] * (np.sqrt(2) / _P)
        return np.concatenate([spectrum.real, spectrum.imag]).astype(np.float32)

    def spectrum(self, coordinates: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Band coordinates [D] to a half spectrum [P, P/2+1]."""
        n = len(self.band)
        out = np.zeros(_P * (_P // 2 + 1), np.complex64)
        out[self.band] = (coordinates[:n] + 1j * coordinates[n:]) * (_P / np.sqrt(2))
        half = out.reshape(_P, _P // 2 + 1)
        half[_P // 2 + 1 :, 0] = np.conj(half[_P // 2 - 1 : 0 : -1, 0])  # this column is its own mirror
        return half

    def tile(self, coefficients: NDArray[Any], response: NDArray[np.float32] | None = None):
        """Coefficients [325] to a tile [P, P] of unit rms (when they have unit norm), optionally filtered.

        `response` [D/2] multiplies the spectrum: the tile as a linear filter would leave it.
        """
        coordinates = self.basis @ coefficients
        if response is not None:
            coordinates = coordinates * np.concatenate([response, response])
        return (np.fft.irfft2(self.spectrum(coordinates), s=(_P, _P)) * _P).astype(np.float32)

    def spread(self, coded: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Coded bits [324] of 0/1 to the target amplitudes [325], pilot included, of unit norm."""
        target = np.empty(CODED_BITS + 1, np.float32)
        target[:-1] = (1.0 - 2.0 * coded[self.order]) * self.signs
        target[-1] = FORMAT.pilot
        target /= np.linalg.norm(target)
        return target

    def tilt(self, exponent: float) -> NDArray[np.float32]:
        """Weights [D] that rise with frequency: pictures, and codecs, disturb the long waves most."""
        weights = (self.radius / float(self.radius.max())) ** exponent
        return np.concatenate([weights, weights]).astype(np.float32)

    def whitening(self, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weights [D] that give every ring of the received spectrum the same power (a matched filter for a mark
        whose share of the power is about the same in every ring, as measured after H.264)."""
        n = len(self.band)
        power = coordinates[:n] ** 2 + coordinates[n:] ** 2
        mean = np.bincount(self.ring, power, RINGS) / np.bincount(self.ring, minlength=RINGS)
        weights = (1.0 / np.sqrt(mean + 1e-9))[self.ring]
        return np.concatenate([weights, weights]).astype(np.float32)

    def gather(self, amplitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Received amplitudes [324 or more] to soft coded bits [324]; positive stands for 0."""
        soft = np.empty(CODED_BITS, np.float32)
        soft[self.order] = amplitudes[:CODED_BITS] * self.signs
        return soft


def _band() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions and radii of the band; each real degree of freedom once (no axis that mirrors itself)."""
    fy, fx = np.fft.fftfreq(_P) * _P, np.arange(_P // 2 + 1)
    radius = np.hypot(fy[:, None], fx[None])
    low, high = _P / FORMAT.longest_wavelength_px, _P / FORMAT.shortest_wavelength_px
    inside = (radius >= low) & (radius <= high)
    inside[:, 0] &= fy > 0
    inside[:, -1] = False
    index = np.nonzero(inside.ravel())[0]
    return index, radius.ravel()[index].astype(np.float32)


@lru_cache(maxsize=8)
def carriers_of(key: str) -> Carriers:
    """The carriers of a key: always the same on every machine (Philox counter generator, explicit normals)."""
    band, radius = _band()
    seed = int.from_bytes(hashlib.sha256(b"ggtalker carriers" + key.encode()).digest()[:16], "big")
    random = np.random.Generator(np.random.Philox(key=seed))
    # Box-Muller on raw 64-bit words: numpy promises the stream of the words, not of its normals.
    words = random.bit_generator.random_raw(2 * len(band) * (CODED_BITS + 1) * 2)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    half = len(uniform) // 2
    normal = np.sqrt(-2 * np.log(uniform[:half])) * np.cos(2 * np.pi * uniform[half:])
    matrix, triangle = np.linalg.qr(normal.reshape(2 * len(band), CODED_BITS + 1))
    basis = (matrix * np.sign(np.diag(triangle))).astype(np.float32)  # the sign of a QR is a matter of taste
    order = np.argsort(random.bit_generator.random_raw(CODED_BITS), kind="stable")
    signs = 1.0 - 2.0 * (random.bit_generator.random_raw(CODED_BITS) & np.uint64(1)).astype(np.float32)
    empty = np.zeros((_P, _P // 2 + 1), np.complex64)
    span = float(radius.max() - radius.min()) + 1e-3
    ring = ((radius - radius.min()) / span * RINGS).astype(np.int64)
    made = Carriers(band, radius, ring, basis, order, signs.astype(np.float32), empty)
    return replace(made, pilot_spectrum=made.spectrum(basis[:, -1]))
