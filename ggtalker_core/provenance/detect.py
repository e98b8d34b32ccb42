"""Finding the mark again: pilot search over scale, shift, mirror, aspect and rotation, then soft decoding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInputError
from .carriers import Carriers, carriers_of
from .config import FORMAT, PUBLIC_KEY, SearchConfig
from .convolution import decode, encode
from .payload import CHECK_BITS, PAYLOAD_BITS, unpack
from .perception import feature, fold, luma

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[Any]  # [H, W] float32


@dataclass(frozen=True)
class Geometry:
    """How the picture was deformed after marking: sizes relative to the reference, then a rotation."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    rotation_deg: float = 0.0
    flipped: bool = False


@dataclass(frozen=True)
class Finding:
    """What the reader found in the pixels."""

    watermark_id: str | None  # None: nothing was found
    agreement: float  # share of the received coded bits that agree with the decoded ones; 0.5 is chance
    pilot: float  # peak of the pilot correlation in standard deviations; above 8 is certain by itself
    geometry: Geometry
    attempts: int  # decodings tried
    frames: int  # frames averaged

    @property
    def false_positive_bound(self) -> float:
        """Chance that an unmarked picture would have passed the 32-bit check in as many attempts."""
        return self.attempts * 2.0**-CHECK_BITS


@dataclass(frozen=True)
class _Probe:
    pilot: float
    geometry: Geometry
    shift: tuple[int, int]


def mean_feature(frames: Iterable[NDArray[np.uint8]]) -> tuple[Plane, int]:
    """Average feature of frames [H, W, 3] at reference scale, and how many there were. Sizes must agree."""
    import cv2

    total: Plane | None = None
    count = 0
    for frame in frames:
        plane = luma(np.ascontiguousarray(frame))
        height, width = plane.shape
        scale = FORMAT.scale((width, height))
        if scale > 1.0:
            plane = cv2.resize(plane, (round(width / scale), round(height / scale)), interpolation=cv2.INTER_AREA)
        seen = feature(plane)
        if total is None:
            total = seen
        elif total.shape != seen.shape:
            raise InvalidInputError("The frames of one clip must have one size to be searched for a watermark.")
        else:
            total += seen
        count += 1
    if total is None:
        raise InvalidInputError("There are no frames to search for a watermark.")
    return total / count, count


class Reader:
    """Looks for the mark of one key in an average feature."""

    def __init__(self, key: str = PUBLIC_KEY, config: SearchConfig | None = None):
        """`config` says how hard to look."""
        self.key, self.config = key, config or SearchConfig()
        self._carriers: Carriers = carriers_of(key)

    def read(self, frames: Iterable[NDArray[np.uint8]]) -> Finding:
        """Search frames [H, W, 3] (all of one clip). Raises InvalidInputError without frames."""
        mean, count = mean_feature(frames)
        return replace(self.search(mean), frames=count)

    def search(self, mean: Plane) -> Finding:
        """Search an average feature [H, W]: as it is, scaled, mirrored, then sheared and rotated."""
        best = Finding(None, 0.5, 0.0, Geometry(), 0, 0)
        for candidates in self._stages(mean):
            candidates.sort(key=lambda probe: -probe.pilot)
            for probe in candidates[: self.config.candidates]:
                best, done = self._try(mean, probe, best)
                if done:
                    return best
        return best

    def _stages(self, mean: Plane) -> Iterator[list[_Probe]]:
        """Probes from the likely to the far-fetched; each stage only runs when those before found nothing."""
        yield [self._probe(mean, Geometry())]
        config = self.config
        low, high = (float(np.log(bound)) for bound in config.scale_range)
        scales = np.exp(np.arange(low, high + 1e-9, config.scale_step))
        for flipped in (False, True) if config.flip else (False,):
            coarse = [self._probe(mean, Geometry(k, k, 0.0, flipped)) for k in scales]
            coarse.sort(key=lambda probe: -probe.pilot)
            fine = [
                self._probe(mean, Geometry(g.scale_x * (1 + dx), g.scale_y * (1 + dy), 0.0, flipped))
                for g in (probe.geometry for probe in coarse[:3])
                for dx, dy in product((-0.006, -0.003, 0.0, 0.003, 0.006), repeat=2)
            ]
            yield coarse + fine
        if config.geometry:
            yield self._geometry_probes(mean)

    def _geometry_probes(self, mean: Plane) -> list[_Probe]:
        """Aspect times scale, rotation times scale, the best refined twice."""
        config, probes = self.config, list[_Probe]()
        for aspect in np.exp(np.arange(-config.aspect_range, config.aspect_range + 1e-9, 0.012)):
            for k in np.exp(np.arange(-0.12, 0.121, 0.012)):
                probes.append(self._probe(mean, Geometry(k * aspect**0.5, k / aspect**0.5)))
        limit = config.rotation_range_deg
        for angle in np.arange(-limit, limit + 1e-9, 0.5):
            for k in np.exp(np.arange(-0.12, 0.121, 0.012)):
                probes.append(self._probe(mean, Geometry(k, k, float(angle))))
        probes.sort(key=lambda probe: -probe.pilot)
        refined = list[_Probe]()
        for probe in probes[:2]:
            for step in (0.006, 0.003):
                g = probe.geometry
                around = [
                    self._probe(mean, Geometry(g.scale_x * (1 + dx), g.scale_y * (1 + dy), g.rotation_deg + turn))
                    for dx, dy, turn in product((-step, 0, step), (-step, 0, step), (-40 * step, 0, 40 * step))
                ]
                probe = max(around, key=lambda p: p.pilot)
                refined.append(probe)
        return refined

    def _probe(self, mean: Plane, geometry: Geometry) -> _Probe:
        """Pilot correlation at one geometry, over all shifts at once."""
        carriers = self._carriers
        coordinates = carriers.project(fold(undo(mean, geometry)))
        received = carriers.spectrum(coordinates * carriers.whitening(coordinates))
        tile = (FORMAT.tile_px, FORMAT.tile_px)
        correlation = np.fft.irfft2(received * np.conj(carriers.pilot_spectrum), s=tile)
        peak = int(correlation.argmax())
        strength = float(correlation.ravel()[peak] / max(float(correlation.std()), 1e-9))
        return _Probe(strength, geometry, (peak // FORMAT.tile_px, peak % FORMAT.tile_px))

    def _try(self, mean: Plane, probe: _Probe, best: Finding) -> tuple[Finding, bool]:
        """Decode at one probe; gives the better of it and `best`, and whether the id was found."""
        carriers = self._carriers
        tile = np.roll(fold(undo(mean, probe.geometry)), (-probe.shift[0], -probe.shift[1]), (0, 1))
        coordinates = carriers.project(tile)
        for weights in (carriers.whitening(coordinates), carriers.tilt(1.25)):
            soft = carriers.gather(carriers.basis.T @ (coordinates * weights))
            bits = decode(soft)[:PAYLOAD_BITS]
            watermark_id = unpack(bits, self.key)
            agreement = float(np.mean((soft < 0) == encode(bits).astype(bool)))
            best = replace(best, attempts=best.attempts + 1)
            if watermark_id is not None or probe.pilot > best.pilot:
                best = replace(
                    best, watermark_id=watermark_id, agreement=agreement, pilot=probe.pilot, geometry=probe.geometry
                )
            if watermark_id is not None:
                return best, True
        return best, False


def undo(plane: Plane, geometry: Geometry) -> Plane:
    """Bring a plane [H, W] back to the reference: mirror, turn back, divide by the scales."""
    import cv2

    height, width = plane.shape
    if geometry.flipped:
        plane = np.ascontiguousarray(plane[:, ::-1])
    size = max(round(width / geometry.scale_x), 8), max(round(height / geometry.scale_y), 8)
    if geometry.rotation_deg:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), -geometry.rotation_deg, 1)
        matrix = np.diag([1 / geometry.scale_x, 1 / geometry.scale_y]) @ turn
        return cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    if size == (width, height):
        return plane
    shrinks = geometry.scale_x * geometry.scale_y > 1
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
