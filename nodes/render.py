"""RenderGaussians: the avatar moves; RenderTalkingVideo: render, body and watermark in one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from . import host, marks, widgets, wires
from .inpaint_body import VIEW_TAG
from .lazy_video import LazyVideo

if TYPE_CHECKING:
    from ..ggtalker_core.types import Avatar, Camera, MotionTrack, TalkingVideo


def path_inputs() -> tuple[io.Input, ...]:
    """What the camera does while it orbits, besides swinging to both sides."""
    return (
        widgets.rare(
            io.Float, "orbit_pitch_deg", default=0.0, min=0.0, max=45.0, step=1.0,
            tooltip="Swings the camera up and down by so many degrees, twice as often as to the sides: with orbit_deg "
            "a lying eight.",
        ),
        widgets.rare(
            io.Float, "orbit_distance", default=1.0, min=0.5, max=4.0, step=0.05,
            tooltip="How far the camera moves off (or, below 1, towards the head) and back, as a multiple of its "
            "distance.",
        ),
        widgets.rare(
            io.Float, "orbit_turns", default=1.0, min=0.25, max=100.0, step=0.25,
            tooltip="How often the camera does all this within the motion. Whole numbers end where they began.",
        ),
    )  # fmt: skip


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
                io.Load3DCamera.Input(
                    "camera_info",
                    optional=True,
                    tooltip="Where the head is seen from: the camera of a 3D viewer that shows the splat of Avatar to "
                    "Splat, or of Create Camera Info. Empty: the clip's camera.",
                ),
                *path_inputs(),
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
        cls,
        avatar: Avatar,
        motion: MotionTrack,
        backend: str = "auto",
        orbit_deg: float = 0.0,
        camera_info: dict[str, Any] | None = None,
        orbit_pitch_deg: float = 0.0,
        orbit_distance: float = 1.0,
        orbit_turns: float = 1.0,
    ) -> io.NodeOutput:
        """Prepare the renderer; frames are drawn when somebody pulls them."""
        view = View(orbit_deg, camera_info, orbit_pitch_deg, orbit_distance, orbit_turns)
        return io.NodeOutput(LazyVideo(head_video(avatar, motion, backend, view)))


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


@dataclasses.dataclass(frozen=True)
class View:
    """Where the head is seen from; as it stands, by the clip's own camera."""

    orbit_deg: float = 0.0
    camera_info: dict[str, Any] | None = None
    pitch_deg: float = 0.0
    distance: float = 1.0
    turns: float = 1.0

    @property
    def moves(self) -> bool:
        """Whether the camera leaves its place."""
        return self.orbit_deg != 0.0 or self.pitch_deg != 0.0 or self.distance != 1.0

    def camera(self, avatar: Avatar, count: int) -> Camera | None:
        """One camera, one for each frame, or None for the clip's own. Raises InvalidInputError."""
        from ..ggtalker_core.gaussians.viewpoint import camera_from_viewer, orbit

        start = None if self.camera_info is None else camera_from_viewer(self.camera_info, avatar)
        if not self.moves:
            return start
        return orbit(
            avatar, count, yaw_deg=self.orbit_deg, pitch_deg=self.pitch_deg, distance=self.distance,
            turns=self.turns, start=start,
        )  # fmt: skip

    def tags(self) -> dict[str, str]:
        """What is written into the marks of a head that is not seen by the clip's own camera."""
        if self.moves:
            return {VIEW_TAG: f"orbit of {self.orbit_deg:g} degrees"}
        return {} if self.camera_info is None else {VIEW_TAG: "a camera of a 3D viewer"}


def head_video(avatar: Avatar, motion: MotionTrack, backend: str, view: View | None = None) -> TalkingVideo:
    """The head alone, lazily; each frame is drawn once, however many nodes look at it."""
    from ..ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
    from ..ggtalker_core.pipeline import warm_up
    from ..ggtalker_core.provenance.consent import check_consent
    from ..ggtalker_core.video import CachedRgbaSource

    check_consent(avatar.info.consent)
    view = view or View()
    with host.job() as job:
        warm_up(backend, job.device, progress=job.progress)
        camera = view.camera(avatar, motion.count)
        head = AvatarRenderer(avatar, backend=backend, device=job.device).video(motion, camera=camera)
    source = CachedRgbaSource(head.source, head.count, head.size_px, folder=host.temp_folder())
    return dataclasses.replace(head, source=source, marks={**head.marks, **view.tags()})
