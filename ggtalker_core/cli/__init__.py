"""The command line: the jobs of the nodes without ComfyUI. `python -m ggtalker_core.cli --help`."""

from .main import main

__all__ = ["main"]
