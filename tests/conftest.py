"""Shared fixtures. Makes `ggtalker_core` importable without the repository root (and its `nodes`) on sys.path."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _register(name: str, folder: Path) -> None:
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_register("ggtalker_core", ROOT / "ggtalker_core")


def media_root() -> Path | None:
    """The folder of real clips, or None."""
    folder = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media"))
    return folder if (folder / "video").is_dir() else None


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real clips; the test is skipped (and says so) without it."""
    folder = media_root()
    if folder is None:
        pytest.skip("needs the real clips: set GGTALKER_MEDIA")
    return folder
