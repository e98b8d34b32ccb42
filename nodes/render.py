"""RenderGaussians: the avatar moves; RenderTalkingVideo: render, body and watermark in one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from . import host, marks, widgets, wires
from .inpaint_body import VIEW_TAG
from .lazy_video import LazyVideo

if TYPE_CHECKING:
    from ..ggtalker_core.types import Avatar, MotionTrack, TalkingVideo


class RenderGaussians(io.ComfyNode):
    """An Avatar and a MotionTrack become a lazy VIDEO of the head alone."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerRenderGaussians",
            display_name="Render Gaussians (GGTalker)",
            category="GGTalker/video",
            description="Draws the avatar's head for every frame of the motion, with transparency. Nothing is drawn "
            "before it is needed.",
            search_aliases=["gaussian splatting", "render avatar", "render head", "3dgs", "rasterize"],
            inputs=[
                wires.Avatar.Input("avatar", tooltip="From Adapt Avatar or Load Avatar."),
                wires.Motion.Input("motion", tooltip="From Audio to Expression."),
                widgets.backend(),
                widgets.rare(
                    io.Float,
                    "orbit_deg",
                    default=0.0,
                    min=0.0,
                    max=60.0,
                    step=1.0,
                    tooltip="Swings the camera round the head by so many degrees to both sides. 0: the clip's camera. "
                    "The body cannot follow: save the head alone.",
                ),
            ],
            outputs=[
                io.Video.Output(
                    "video",
                    display_name="video",
                    tooltip="The head over black, with its transparency, made frame by frame when saved. Continue "
                    "with Inpaint Body.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, avatar: Avatar, motion: MotionTrack, backend: str = "auto", orbit_deg: float = 0.0
    ) -> io.NodeOutput:
        """Prepare the renderer; frames are drawn when somebody pulls them."""
        return io.NodeOutput(LazyVideo(head_video(avatar, motion, backend, orbit_deg)))


class RenderTalkingVideo(io.ComfyNode):
    """An Avatar and a MotionTrack become the finished lazy VIDEO."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerRenderTalkingVideo",
            display_name="Render Talking Video (GGTalker)",
            category="GGTalker/video",
            description="Render Gaussians, Inpaint Body and Watermark in one: the talking person, ready for Save "
            "Video.",
            search_aliases=["talking head", "talk", "render video", "speak", "avatar video"],
            inputs=[
                wires.Avatar.Input("avatar", tooltip="From Load Avatar or Adapt Avatar."),
                wires.Motion.Input("motion", tooltip="From Audio to Expression."),
                *marks.inputs(),
                widgets.backend(),
                widgets.region(),
            ],
            outputs=[
                io.Video.Output(
                    "video", display_name="video", tooltip="The finished video, made frame by frame when saved."
                ),
                io.String.Output(
                    "manifest", display_name="manifest", tooltip="What was written into the video: marks, id, consent."
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, label: str, label_text: str = "", size_pct: float = 5.0, watermark_id: str = ""
    ) -> bool | str:
        """Refuse widgets that do not go together."""
        return marks.widget_problem(label, label_text, size_pct, watermark_id) or True

    @classmethod
    def execute(
        cls,
        avatar: Avatar,
        motion: MotionTrack,
        label: str,
        invisible: bool,
        backend: str = "auto",
        region: str = "auto",
        **rare: Any,
    ) -> io.NodeOutput:
        """Chain the three."""
        from ..ggtalker_core.body import BodyConfig, inpaint

        head = head_video(avatar, motion, backend)
        with host.ordinary_tensors():
            person = inpaint(avatar, head, BodyConfig(region=region))
        marked = marks.MarkSettings(label, invisible, **rare).mark(person)
        return io.NodeOutput(LazyVideo(marked), marks.manifest(marked))


def head_video(avatar: Avatar, motion: MotionTrack, backend: str, orbit_deg: float = 0.0) -> TalkingVideo:
    """The head alone, lazily; each frame is drawn once, however many nodes look at it."""
    from ..ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
    from ..ggtalker_core.pipeline import orbit_camera, warm_up
    from ..ggtalker_core.provenance.consent import check_consent
    from ..ggtalker_core.video import CachedRgbaSource

    check_consent(avatar.info.consent)
    with host.job() as job:
        warm_up(backend, job.device, progress=job.progress)
        path = orbit_camera(avatar, motion.count, degrees=orbit_deg) if orbit_deg else None
        head = AvatarRenderer(avatar, backend=backend, device=job.device).video(motion, camera=path)
    tags = {VIEW_TAG: f"orbit of {orbit_deg:g} degrees"} if orbit_deg else {}
    source = CachedRgbaSource(head.source, head.count, head.size_px, folder=host.temp_folder())
    return dataclasses.replace(head, source=source, marks={**head.marks, **tags})
