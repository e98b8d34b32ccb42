"""Kernels of the rigging, compiled by numba; imported only through `kernels`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from ...compiled import working_kernels

if TYPE_CHECKING:
    from types import ModuleType


@functools.cache
def kernels() -> ModuleType | None:
    """The kernels; None where numba cannot be had, which torch then does without."""
    return working_kernels(f"{__name__}.rigging", Path(__file__).parent, "the rigging")
