"""The history of an avatar as a picture: the error over all steps, stage by stage, and what held-out frames say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..types import StageRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Page = NDArray[np.uint8]  # [H, W, 3]

_PAPER, _GRID, _INK, _BAND = (24, 24, 28), (52, 52, 60), (176, 176, 186), (31, 31, 37)
_LOSS, _FAINT, _HELD = (90, 190, 255), (48, 84, 110), (240, 170, 70)
_SMOOTH = 2.5  # points of a curve: frames differ, the bold line shows the course
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 62, 54, 34  # room round the plot, pixels
_NICE = (1, 2, 3, 5, 7)


def history_picture(history: Sequence[StageRecord], size_px: tuple[int, int] = (960, 420)) -> Page:
    """Draw a history, [height, width, 3].

    Left axis, blue: the error of the fitted frames (mean absolute colour error with its emphasis on mouth and eyes;
    logarithmic; faint as it came, bold smoothed; the Body Inpainter's own error in its stage). Right axis, orange: PSNR
    inside the head of frames that were kept out, after each stage. Across: steps done.
    """
    width, height = size_px
    page = np.full((height, width, 3), _PAPER, np.uint8)
    shown = [record for record in history if record.steps > 0 and record.errors]
    if not shown:
        _text(page, "no stage was recorded", (width // 2 - 80, height // 2), _INK)
        return page
    plot = _Plot(page, shown)
    plot.frame()
    plot.errors()
    plot.held_out()
    return page


class _Plot:
    """Where everything lies on the page."""

    def __init__(self, page: Page, history: Sequence[StageRecord]):
        self.page, self.history = page, history
        self.height, self.width = page.shape[:2]
        self.ends = np.cumsum([0, *(record.steps for record in history)])
        errors = [max(e, 1e-6) for record in history for e in record.errors]
        self.low, self.high = math.log10(min(errors)) - 0.04, math.log10(max(errors)) + 0.04
        known = [record.held_out_psnr_db for record in history if record.held_out_psnr_db is not None]
        self.db = (math.floor(min(known) - 0.5), math.ceil(max(known) + 0.5)) if known else None

    def x(self, steps: float) -> int:
        """The column of a number of steps."""
        return round(_LEFT + steps / max(float(self.ends[-1]), 1.0) * (self.width - _LEFT - _RIGHT))

    def y(self, share: float) -> int:
        """The row of a height between 0 and 1."""
        return round(self.height - _BOTTOM - min(max(share, 0.0), 1.0) * (self.height - _BOTTOM - _TOP))

    def y_error(self, error: float) -> int:
        """The row of an error."""
        return self.y((math.log10(max(error, 1e-6)) - self.low) / max(self.high - self.low, 1e-6))

    def frame(self) -> None:
        """Stages, grid and axes."""
        import cv2

        top, bottom = self.y(1.0), self.y(0.0)
        for k, record in enumerate(self.history):
            a, b = self.x(self.ends[k]), self.x(self.ends[k + 1])
            if k % 2:
                cv2.rectangle(self.page, (a, top), (b, bottom), _BAND, -1)
            cv2.line(self.page, (a, top - 6), (a, bottom), _GRID, 1)
            name = record.name + (" (stopped)" if record.steps < record.of else "")
            _text(self.page, name, (a + 4, top - 10 if k % 2 else top - 26), _INK, room=self.width - a - 8)
        for value in _ticks(self.low, self.high):
            row = self.y_error(value)
            cv2.line(self.page, (_LEFT, row), (self.width - _RIGHT, row), _GRID, 1)
            _text(self.page, f"{value:.2g}", (14, row + 4), _LOSS)
        for step in _steps(int(self.ends[-1])):
            cv2.line(self.page, (self.x(step), bottom), (self.x(step), bottom + 4), _INK, 1)
            _text(self.page, f"{step:,}", (self.x(step) - 12, bottom + 18), _INK)
        _text(self.page, "steps", (self.width - _RIGHT + 8, bottom + 18), _INK)
        _text(self.page, "error (log)", (8, 16), _LOSS)

    def errors(self) -> None:
        """The curve of every stage."""
        import cv2

        for k, record in enumerate(self.history):
            n = len(record.errors)
            across = self.ends[k] + (np.arange(n) + 0.5) / n * record.steps
            points = np.array([[self.x(s), self.y_error(e)] for s, e in zip(across, record.errors)], np.int32)
            cv2.polylines(self.page, [points[:, None]], False, _FAINT, 1, cv2.LINE_AA)
            rows = _smooth(points[:, 1].astype(np.float64))
            smooth = np.stack([points[:, 0], rows.round().astype(np.int32)], 1)
            cv2.polylines(self.page, [smooth[:, None]], False, _LOSS, 2, cv2.LINE_AA)
            if n == 1:
                cv2.circle(self.page, (int(points[0, 0]), int(points[0, 1])), 3, _LOSS, -1, cv2.LINE_AA)

    def held_out(self) -> None:
        """A dot with its value after every stage that was measured."""
        import cv2

        if self.db is None:
            return
        low, high = self.db
        _text(self.page, "held-out frames, dB", (self.width - 150, 16), _HELD)
        for value in range(low, high + 1, max(1, (high - low) // 5)):
            _text(self.page, f"{value}", (self.width - _RIGHT + 8, self.y((value - low) / (high - low)) + 4), _HELD)
        last: tuple[int, int] | None = None
        labels: list[tuple[str, tuple[int, int]]] = []
        for k, record in enumerate(self.history):
            value = record.held_out_psnr_db
            if value is None:
                continue
            point = (self.x(self.ends[k + 1]), self.y((value - low) / (high - low)))
            if last is not None:
                cv2.line(self.page, last, point, _HELD, 1, cv2.LINE_AA)
            cv2.circle(self.page, point, 4, _HELD, -1, cv2.LINE_AA)
            labels.append((f"{value:.1f}", point))
            last = point
        for text, (x, y) in labels:  # over all lines
            x, y = max(x - 38, _LEFT + 2), max(y - 8, _TOP + 14)
            cv2.rectangle(self.page, (x - 2, y - 12), (x + 30, y + 4), _PAPER, -1)
            _text(self.page, text, (x, y), _HELD)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A Gaussian mean over the points of one stage."""
    apart = np.arange(len(values))[:, None] - np.arange(len(values))[None]
    near = np.exp(-0.5 * (apart / _SMOOTH) ** 2)
    return (near @ values) / near.sum(1)


def _ticks(low: float, high: float) -> list[float]:
    """Round errors between two logarithms, at most nine."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    values = [n * 10.0**d for d in decades for n in _NICE if low <= math.log10(n * 10.0**d) <= high]
    return values[:: max(1, -(-len(values) // 9))]


def _steps(total: int) -> list[int]:
    """Round numbers of steps up to the total, at most ten."""
    size = max(total, 1) / 8
    unit = 10 ** math.floor(math.log10(max(size, 1)))
    each = max(1, next(unit * n for n in (1, 2, 5, 10) if unit * n >= size or n == 10))
    return list(range(0, total + 1, int(each)))


def _text(page: Page, text: str, at: tuple[int, int], color: tuple[int, int, int], room: int | None = None) -> None:
    """Small writing; shortened where it would leave the page."""
    import cv2

    while room is not None and len(text) > 3 and cv2.getTextSize(text, _FONT, _SIZE, 1)[0][0] > room:
        text = text[:-3] + ".."
    cv2.putText(page, text, at, _FONT, _SIZE, color, 1, cv2.LINE_AA)


_FONT, _SIZE = 0, 0.42  # Hershey simplex
