"""InpaintBody: the rendered head goes back into the person's own body and background."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from comfy_api.latest import Input, io

from ..ggtalker_core.errors import InvalidInputError
from . import convert, host, widgets, wires
from .lazy_video import LazyVideo, as_talking

if TYPE_CHECKING:
    from torch import Tensor

    from ..ggtalker_core.types import Avatar, TalkingVideo

VIEW_TAG = "ggtalker_view"  # in the marks of a head that is not seen by the clip's own camera


class InpaintBody(io.ComfyNode):
    """A VIDEO of the head becomes a VIDEO of the person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerInpaintBody",
            display_name="Inpaint Body (GGTalker)",
            category="GGTalker/video",
            description="Sets the head back into the person's own body and background, without a hard edge.",
            search_aliases=["composite", "paste back", "body", "background", "blend head"],
            inputs=[
                io.Video.Input("video", tooltip="From Render Gaussians."),
                wires.Avatar.Input(
                    "avatar", optional=True, tooltip="Whose body to use. Empty: the one that was rendered."
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The head's frames after other nodes worked on them, one for every frame of the video: "
                    "used instead of its own.",
                ),
                io.Mask.Input("mask", optional=True, tooltip="Coverage of the head in `images`; needed with them."),
                widgets.region(),
            ],
            outputs=[
                io.Video.Output(
                    "video_out", display_name="video", tooltip="The whole person, made frame by frame when saved."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        video: Input.Video,
        avatar: Avatar | None = None,
        images: Tensor | None = None,
        mask: Tensor | None = None,
        region: str = "auto",
    ) -> io.NodeOutput:
        """Composite; frames are made when somebody pulls them."""
        from ..ggtalker_core.body import BodyConfig, inpaint

        head = as_talking(video)
        if head.motion is None or (avatar or head.avatar) is None:
            raise InvalidInputError(
                "Inpaint Body needs the video of Render Gaussians; this one shows no avatar of GGTalker."
            )
        if VIEW_TAG in head.marks:
            raise InvalidInputError(
                "The body was filmed from the front only: no camera_info and orbit_deg 0, or save the head alone."
            )
        if images is not None:
            head = replace_frames(head, images, mask)
        with host.job():
            return io.NodeOutput(LazyVideo(inpaint(avatar or head.avatar, head, BodyConfig(region=region))))


def replace_frames(head: TalkingVideo, images: Tensor, mask: Tensor | None) -> TalkingVideo:
    """The same video with edited frames. Raises InvalidInputError unless there is one of the right size for each."""
    source = convert.ImageFrames(images, mask)
    if mask is None and images.shape[-1] != 4:
        raise InvalidInputError("`images` needs `mask`: where the head is. Take both from Video to Images (GGTalker).")
    if (source.count, source.size_px) != (head.count, head.size_px):
        raise InvalidInputError(
            f"`images` has {source.count} frames of {source.size_px[0]}x{source.size_px[1]}, the video {head.count} of "
            f"{head.size_px[0]}x{head.size_px[1]}. Take all frames with Video to Images (count 0) and keep their size."
        )
    return dataclasses.replace(head, source=source)
