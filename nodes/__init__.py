"""The ComfyUI nodes, thin over `ggtalker_core`. Importing this must stay cheap and must work outside ComfyUI."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension


async def comfy_entrypoint() -> ComfyExtension:
    """What ComfyUI calls to learn the pack's nodes."""
    from .extension import GGTalkerExtension

    return GGTalkerExtension()
