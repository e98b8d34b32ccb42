"""Provenance: visible label, invisible watermark, manifest, consent, and the check that reads them back."""

from __future__ import annotations

from .config import PUBLIC_KEY, EmbedConfig, LabelConfig, SearchConfig
from .consent import check_consent
from .label import VisibleLabel
from .manifest import Manifest, ManifestStore
from .mark import mark
from .payload import new_watermark_id
from .verify import VerifyReport, verify, verify_frames
from .watermark import Watermarker

__all__ = [
    "PUBLIC_KEY",
    "EmbedConfig",
    "LabelConfig",
    "Manifest",
    "ManifestStore",
    "SearchConfig",
    "VerifyReport",
    "VisibleLabel",
    "Watermarker",
    "check_consent",
    "mark",
    "new_watermark_id",
    "verify",
    "verify_frames",
]
