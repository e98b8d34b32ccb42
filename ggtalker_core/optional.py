"""Optional imports that fail with the exact command that mends them."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from .errors import MissingPackageError


def require(module: str, *, package: str | None = None, purpose: str) -> ModuleType:
    """Import `module`, or raise MissingPackageError that names the package, the purpose and the pip command.

    Any failure of the import counts (a package that is there but broken included), because compiled packages fail
    with OSError, AttributeError or RuntimeError as often as with ImportError.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:
        pip_name = package or module.split(".")[0]
        raise MissingPackageError(
            f"{purpose} needs the Python package '{pip_name}', which could not be imported "
            f"({type(error).__name__}: {error}). Install it into the Python that runs ComfyUI: "
            f'"{sys.executable}" -m pip install --upgrade {pip_name}'
        ) from error
