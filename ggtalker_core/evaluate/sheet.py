"""Pictures for a person: a contact sheet of test frames, and curves over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .masks import HeadMask

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELL_PX = 256
_TITLE_PX = 22
_WHITE = (255, 255, 255)
_COLOURS = ((31, 119, 180), (214, 96, 39), (110, 110, 110))
_ERROR_GAIN = 4.0  # an error of a quarter of the range is drawn full


@dataclass(frozen=True)
class Row:
    """One line of the sheet."""

    frame: int
    original: NDArray[np.uint8]  # [H, W, 3]
    ours: NDArray[np.uint8]
    nearest: NDArray[np.uint8]
    error: NDArray[np.float64]  # [H, W] squared, of ours
    mask: HeadMask


def contact_sheet(rows: Sequence[Row], title: str) -> NDArray[np.uint8]:
    """original | ours | nearest training frame | error of ours, one line per frame, [H, W, 3]."""
    names = ("original", "ours", "nearest training frame", f"error of ours x {_ERROR_GAIN:g}")
    lines = [_banner(title, len(names) * _CELL_PX)]
    lines.append(np.concatenate([_banner(name, _CELL_PX) for name in names], axis=1))
    for row in rows:
        cells = [_fit(image) for image in (row.original, row.ours, row.nearest, _heat(row.error))]
        _write(cells[0], f"frame {row.frame}", (6, _CELL_PX - 8))
        lines.append(np.concatenate(cells, axis=1))
    return np.concatenate(lines, axis=0)


def close_ups(rows: Sequence[Row], title: str) -> NDArray[np.uint8]:
    """Mouth and seam, original beside ours, one line per frame, [H, W, 3]."""
    names = ("mouth, original", "mouth, ours", "seam below the head, original", "seam below the head, ours")
    lines = [_banner(title, len(names) * _CELL_PX)]
    lines.append(np.concatenate([_banner(name, _CELL_PX) for name in names], axis=1))
    for row in rows:
        places = (_square(row.mask.mouth), _square(_seam_below(row.mask)))
        cells = [_fit(image[place]) for place in places for image in (row.original, row.ours)]
        _write(cells[0], f"frame {row.frame}", (6, _CELL_PX - 8))
        lines.append(np.concatenate(cells, axis=1))
    return np.concatenate(lines, axis=0)


def _seam_below(mask: HeadMask) -> NDArray[np.bool_]:
    """The part of the seam that runs through the person's neck, [H, W]: the lowest fifth of it."""
    rows = np.flatnonzero(mask.seam.any(1))
    out = mask.seam.copy()
    if len(rows):
        out[: int(rows[0] + 0.8 * (rows[-1] - rows[0]))] = False
    return out


def _square(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A square around what is set, inside the picture where it fits; the whole picture for an empty mask."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return slice(None), slice(None)
    side = int(min(max(rows[-1] - rows[0], cols[-1] - cols[0]) + 1, *mask.shape))
    starts = [
        int(np.clip((span[0] + span[-1] - side) // 2, 0, size - side)) for span, size in zip((rows, cols), mask.shape)
    ]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _heat(squared: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The error as a picture, dark to bright."""
    import cv2

    level = np.clip(np.sqrt(squared) * _ERROR_GAIN * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[..., ::-1], np.uint8)


def _fit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image inside a square cell, on white."""
    import cv2

    height, width = image.shape[:2]
    scale = _CELL_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    cell = np.full((_CELL_PX, _CELL_PX, 3), 255, np.uint8)
    y, x = (_CELL_PX - size[1]) // 2, (_CELL_PX - size[0]) // 2
    cell[y : y + size[1], x : x + size[0]] = small
    return cell


def _banner(text: str, width: int) -> NDArray[np.uint8]:
    band = np.full((_TITLE_PX, width, 3), 255, np.uint8)
    _write(band, text, (6, 15), color=(0, 0, 0))
    return band


def _write(image: NDArray[np.uint8], text: str, at: tuple[int, int], color: tuple[int, int, int] = _WHITE) -> None:
    import cv2

    plain = text.encode("ascii", "replace").decode()
    if color == _WHITE:  # over a picture
        cv2.rectangle(image, (at[0] - 4, at[1] - 13), (at[0] + 9 * len(plain), at[1] + 5), (0, 0, 0), -1)
    cv2.putText(image, plain, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    values: Sequence[float]


def chart(title: str, unit: str, curves: Sequence[Curve], size_px: tuple[int, int] = (1024, 240)) -> NDArray[np.uint8]:
    """Curves over the test frames with a scale at the left, [H, W, 3]. Values that are not numbers leave gaps."""
    import cv2

    width, height = size_px
    image = np.full((height, width, 3), 255, np.uint8)
    x0, x1, y0, y1 = 64, width - 12, 40, height - 18
    known = [v for curve in curves for v in curve.values if np.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    high = high if high > low else low + 1.0
    for part in np.linspace(0, 1, 5):
        y = round(y1 + (y0 - y1) * float(part))
        cv2.line(image, (x0, y), (x1, y), (225, 225, 225), 1)
        _write(image, f"{low + (high - low) * float(part):.3g}", (6, y + 4), color=(0, 0, 0))
    _write(image, f"{title} [{unit}] by test frame", (x0, 16), color=(0, 0, 0))
    for k, curve in enumerate(curves):
        color = _COLOURS[k % len(_COLOURS)]
        _write(image, curve.name, (x0 + 180 * k, 33), color=color)
        _polyline(image, curve.values, color, (x0, x1, y0, y1), low, high)
    return image


def _polyline(
    image: NDArray[np.uint8], values: Sequence[float], color: tuple[int, int, int], box: tuple[int, int, int, int],
    low: float, high: float,
) -> None:  # fmt: skip
    import cv2

    x0, x1, y0, y1 = box
    places = np.linspace(x0, x1, len(values)) if len(values) > 1 else np.array([(x0 + x1) / 2])
    points = [
        (round(float(x)), round(y1 + (y0 - y1) * (v - low) / (high - low))) if np.isfinite(v) else None
        for x, v in zip(places, values)
    ]
    for a, b in zip(points, points[1:]):
        if a is not None and b is not None:
            cv2.line(image, a, b, color, 2, cv2.LINE_AA)
    for point in points:
        if point is not None:
            cv2.circle(image, point, 2, color, -1, cv2.LINE_AA)
