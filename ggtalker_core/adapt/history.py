"""What every stage did: its length, its error over time, and what it brought on frames kept out of the fit."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ..types import StageRecord

_POINTS = 60  # of a stage's curve
FINISHED = "finished"  # among the stages done: nothing was interrupted


class Diary:
    """Kept while the stages run."""

    def __init__(self, earlier: Sequence[StageRecord] = ()):
        """Go on after the records of `earlier` runs."""
        self._records = list(earlier)
        self._name, self._of, self._start = "", 0, 0.0
        self._errors: list[float] = []

    def step(self, name: str, of: int, error: float) -> None:
        """A step of stage `name`, which wants `of` steps, ended with this error."""
        if not self._name:
            self._name, self._start = name, time.monotonic()
        self._of = of
        self._errors.append(error)

    def end(self, held_out_psnr_db: float | None) -> None:
        """The stage is over; without a step it leaves no trace."""
        if self._name:
            self._records.append(self._record(held_out_psnr_db, max(self._of, len(self._errors))))
        self._name, self._errors = "", []

    def note(self, name: str, steps: int, seconds: float) -> None:
        """A stage that has no curve."""
        self._records.append(StageRecord(name, steps, steps, round(seconds, 3)))

    def records(self) -> tuple[StageRecord, ...]:
        """All stages so far; the last one may be under way."""
        if not self._name:
            return tuple(self._records)
        return (*self._records, self._record(None, max(self._of, len(self._errors))))

    def _record(self, held_out_psnr_db: float | None, of: int) -> StageRecord:
        seconds = round(time.monotonic() - self._start, 3)
        return StageRecord(self._name, len(self._errors), of, seconds, held_out_psnr_db, curve(self._errors))


def curve(errors: Sequence[float], points: int = _POINTS) -> tuple[float, ...]:
    """Means over at most `points` even parts."""
    parts = np.array_split(np.asarray(errors, np.float64), min(points, max(len(errors), 1)))
    return tuple(round(float(part.mean()), 6) for part in parts if len(part))


def stage_lines(history: Sequence[StageRecord]) -> list[str]:
    """The history in words, a line per stage, with the gain of each on the frames that were kept out."""
    out: list[str] = []
    before: float | None = None
    for record in history:
        steps = f"{record.steps} of {record.of} steps" if record.steps < record.of else f"{record.steps} steps"
        line = (
            f"  {record.name}: {steps}, {record.seconds:.0f} s" if record.of else f"  {record.name}: read from the clip"
        )
        if record.held_out_psnr_db is not None:
            line += f", held-out frames {record.held_out_psnr_db:.2f} dB"
            if before is not None:
                line += f" ({record.held_out_psnr_db - before:+.2f})"
            before = record.held_out_psnr_db
        out.append(line)
    return out
