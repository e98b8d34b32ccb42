"""The list of the pack's nodes, as ComfyUI asks for it."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import host
from .adapt_avatar import AdaptAvatar
from .audio_to_expression import AudioToExpression
from .avatar_files import LoadAvatar, SaveAvatar
from .avatar_to_splat import AvatarToSplat
from .inpaint_body import InpaintBody
from .load_reference_video import LoadReferenceVideo
from .render import RenderGaussians, RenderTalkingVideo
from .track_flame import TrackFLAME
from .track_to_motion import TrackToMotion
from .video_to_images import VideoToImages
from .watermark import Watermark

NODES: tuple[type[io.ComfyNode], ...] = (
    LoadReferenceVideo,
    TrackFLAME,
    AdaptAvatar,
    AudioToExpression,
    RenderGaussians,
    InpaintBody,
    Watermark,
    LoadAvatar,
    SaveAvatar,
    RenderTalkingVideo,
    VideoToImages,
    AvatarToSplat,
    TrackToMotion,
)


class GGTalkerExtension(ComfyExtension):
    """The pack."""

    async def on_load(self) -> None:
        """Register the avatar folder."""
        host.register_folders()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes."""
        return list(NODES)
