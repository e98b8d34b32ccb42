"""Metrics and the self-reenactment protocol on held-out frames, with plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import EvaluateConfig

if TYPE_CHECKING:
    from .protocol import self_reenactment as self_reenactment
    from .result import Evaluation as Evaluation

_HOMES = {"self_reenactment": "protocol", "Evaluation": "result"}
__all__ = ["EvaluateConfig", "Evaluation", "self_reenactment"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that importing the package loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
