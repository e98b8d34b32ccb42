"""A tracked clip becomes an avatar: the Gaussian map, then map and tracked parameters, fitted to the frames."""

from __future__ import annotations

from .adaptation import adapt_avatar
from .config import AdaptConfig

__all__ = ["AdaptConfig", "adapt_avatar"]
