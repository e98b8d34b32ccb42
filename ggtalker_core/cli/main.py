"""Parse, run, and tell errors in their own words."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import GGTalkerError, Interrupted
from .arguments import build_parser
from .console import check_folder_of, say

_HOMES = {
    "talk": "making", "track": "making", "adapt": "making", "speak": "making",
    "evaluate": "checking", "verify": "checking", "doctor": "doctor",
    "train": "training",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all went well, 1 after an error told on stderr, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = build_parser().parse_args(arguments)
    module = importlib.import_module(f".{_HOMES[options.command]}", __package__)
    try:
        if getattr(options, "json", None) not in (None, "-"):
            check_folder_of("--json", Path(options.json))
        return int(getattr(module, options.command)(options))
    except (KeyboardInterrupt, Interrupted):
        say("\nCancelled; nothing half-written was left.")
        return 130
    except GGTalkerError as error:
        say(f"\nerror: {error}")
        return 1
    except (OSError, MemoryError) as error:
        say(f"\nerror: {type(error).__name__}: {error}")
        return 1
