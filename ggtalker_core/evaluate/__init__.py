"""Metrics and the self-reenactment protocol on held-out frames, with plots."""

from __future__ import annotations

from .config import EvaluateConfig
from .protocol import self_reenactment
from .result import Evaluation

__all__ = ["EvaluateConfig", "Evaluation", "self_reenactment"]
