"""The rendered head set back into the person's own frames, without a hard edge."""

from __future__ import annotations

from .compositor import inpaint, inpaint_frames
from .config import BodyConfig
from .set_back import set_back

__all__ = ["BodyConfig", "inpaint", "inpaint_frames", "set_back"]
