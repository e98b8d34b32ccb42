"""Kernels that numba compiles at their first use: where their machine code is kept, and how they are imported."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BackendUnavailableError

if TYPE_CHECKING:
    from types import ModuleType

_logger = logging.getLogger(__name__)


def import_kernels(module: str, home: Path, sources: Sequence[Path] = ()) -> ModuleType:
    """The module of this full name, with its kernels' machine code cached on disk (see `cache_folder`).

    Raises whatever the import of numba raises, and BackendUnavailableError where nothing can be written.
    """
    import numba

    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(cache_folder(module, home, sources))  # read while the kernels are defined
    try:
        return importlib.import_module(module)
    finally:
        config.CACHE_DIR = before


def working_kernels(module: str, home: Path, purpose: str) -> ModuleType | None:
    """The same after the module's `try_out` ran, so that any failure to compile shows here; None, with a warning that
    names the `purpose`, where numba cannot be had or does not work: for what torch can do as well, but slower."""
    try:
        kernels = import_kernels(module, home)
        kernels.try_out()
    except Exception as error:
        _logger.warning("Without compiled code for %s, which is slower: %s: %s", purpose, type(error).__name__, error)
        return None
    return kernels


def cache_folder(name: str, home: Path, sources: Sequence[Path] = ()) -> Path:
    """Where the compiled kernels of the sources in folder `home` are kept: NUMBA_CACHE_DIR, else beside them, else the
    temporary folder.

    One folder for each state of the sources (`sources`: others that they read constants from) and each `name` of their
    module: numba finds its files by the path of the file that holds a kernel, but a kernel also holds the functions and
    constants of other files, and its modules' full names (which ComfyUI chooses).
    """
    digest = hashlib.sha256(name.encode())
    for path in (Path(__file__).with_name("jit.py"), *sources, *sorted(home.glob("*.py"))):
        digest.update(path.read_bytes())
    user = getattr(os, "getuid", lambda: "user")()
    asked = os.environ.get("NUMBA_CACHE_DIR")
    places = [home / "__pycache__", Path(tempfile.gettempdir()) / f"ggtalker-numba-{user}"]
    for place in [Path(asked), *places] if asked else places:
        folder = place / f"kernels-{digest.hexdigest()[:12]}"
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _only_ours(place):
                continue
            folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    raise BackendUnavailableError(
        f"The compiled CPU code found no folder it may write to ({places[0]}, {places[1]}). Set NUMBA_CACHE_DIR to one."
    )


def _only_ours(folder: Path) -> bool:
    """Whether nobody else can have put machine code into the folder, which is run as it is found."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.stat()
    return found.st_uid in (os.getuid(), 0) and not found.st_mode & 0o002
