"""Audio -> mouth motion: regression trunk, diffusion transformer, training. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .prior import ExpressionPrior as ExpressionPrior
    from .prior import load_prior as load_prior
    from .speaking import speak as speak

_HOMES = {"ExpressionPrior": "prior", "load_prior": "prior", "speak": "speaking"}
__all__ = ["ExpressionPrior", "load_prior", "speak"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that importing the package loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
