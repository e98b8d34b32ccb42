"""What the command line says: progress and messages to stderr, results to stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WIDTH = 28
_EVERY_S = 0.1  # on a terminal
_LINE_EVERY_S = 10.0  # in a log


class Bar:
    """A progress bar on a terminal, a line every ten seconds in a log, nothing when quiet."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        """`title` stands before the bar."""
        self._title, self._quiet = title, quiet
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._shown = -1e9
        self._width = 0

    def __call__(self, done: int, total: int, message: str = "", preview: NDArray[np.uint8] | None = None) -> None:
        """Report `done` of `total`; see `ggtalker_core.progress.Progress`."""
        now = time.monotonic()
        if self._quiet or now - self._shown < (_EVERY_S if self._terminal else _LINE_EVERY_S):
            return
        self._shown = now
        share = min(1.0, done / max(total, 1))
        spent = now - self._began
        # A stage that knows its own pace says so in its message: two clocks would contradict each other.
        guess = share > 0.02 and spent > 3 and not message.endswith(" left")
        left = f", {_clock(spent / share - spent)} left" if guess else ""
        line = f"{self._title} {100 * share:3.0f} % {_clock(spent)}{left}  {message}"
        if self._terminal:
            line = f"{self._title} [{'#' * round(share * _WIDTH):-<{_WIDTH}}] {line[len(self._title) + 1 :]}"[:118]
            sys.stderr.write(f"\r{line:<{self._width}}")
            self._width = len(line)
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if self._terminal and self._width:
            sys.stderr.write("\n")


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def say(text: str) -> None:
    """A message for a person, to stderr."""
    sys.stderr.write(text.rstrip() + "\n")


def give(result: dict[str, Any], text: str, json_to: str | None) -> None:
    """The result of a command: one JSON object (to a file, or to stdout for `-`), else the text to stdout."""
    if json_to is None:
        sys.stdout.write(text.rstrip() + "\n")
        return
    encoded = json.dumps(result, ensure_ascii=False, indent=1, default=_plain) + "\n"
    if json_to == "-":
        sys.stdout.write(encoded)
        return
    Path(json_to).write_text(encoded, encoding="utf-8")
    say(f"{text.rstrip()}\nWritten: {json_to}")


def check_folder_of(option: str, path: Path) -> None:
    """Raise InvalidInputError where a file could not be written, before hours of work."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InvalidInputError(f"The folder of {option} does not exist: {folder}. Create it first.")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise InvalidInputError(f"{option} cannot be written: {path}. Check its name and the folder's permissions.")


def _plain(value: Any) -> Any:
    """What JSON does not know: fractions and numpy numbers as floats, all else as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
