"""Speech features: any sound -> Whisper states at any frame rate. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .features import SpeechFeatures as SpeechFeatures
    from .features import encode_speech as encode_speech
    from .mel import log_mel as log_mel
    from .resampling import resample as resample

_HOMES = {"SpeechFeatures": "features", "encode_speech": "features", "log_mel": "mel", "resample": "resampling"}
__all__ = ["SpeechFeatures", "encode_speech", "log_mel", "resample"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that importing the package loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
