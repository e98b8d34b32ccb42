"""TrackToMotion: what was tracked in one clip drives any avatar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from . import host, wires

if TYPE_CHECKING:
    from ..ggtalker_core.types import Avatar, Track


class TrackToMotion(io.ComfyNode):
    """A Track becomes motion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerTrackToMotion",
            display_name="Track to Motion (GGTalker)",
            category="GGTalker/avatar",
            description="Turns a tracked clip into motion: any avatar makes the faces, glances and head movements of "
            "any clip.",
            search_aliases=["re-enactment", "reenactment", "motion transfer", "puppet", "drive avatar", "retarget"],
            inputs=[
                wires.Track.Input("track", tooltip="From Track FLAME, of the clip that is to be imitated."),
                io.Combo.Input(
                    "pose",
                    options=["relative", "absolute", "avatar"],
                    default="relative",
                    tooltip="Head pose. relative: moves as in the clip, but stands where the avatar stands. absolute: "
                    "stands where it stood in the clip. avatar: the avatar's own recorded head motion.",
                ),
                wires.Avatar.Input(
                    "avatar",
                    optional=True,
                    tooltip="The avatar that is to be driven; a relative pose needs it to know where its head stands.",
                ),
            ],
            outputs=[
                wires.Motion.Output(
                    "motion",
                    display_name="motion",
                    tooltip="Expression, jaw, gaze and head pose of every frame, for Render Gaussians.",
                ),
            ],
        )

    @classmethod
    def execute(cls, track: Track, pose: str, avatar: Avatar | None = None) -> io.NodeOutput:
        """Make the motion."""
        from ..ggtalker_core.head.retarget import for_head
        from ..ggtalker_core.motion import motion_of_track

        with host.job():
            if avatar is not None:
                track = for_head(track, track.head_model, avatar.head_model)
            motion = motion_of_track(track, pose, None if avatar is None else avatar.body.track)
        return io.NodeOutput(motion)
