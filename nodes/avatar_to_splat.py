"""AvatarToSplat: one posed frame for ComfyUI's own splat nodes (viewer, .ply, .spz)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import Types, io

from . import host, wires

if TYPE_CHECKING:
    from ..ggtalker_core.types import Avatar, Gaussians, MotionTrack


class AvatarToSplat(io.ComfyNode):
    """One posed frame of an Avatar becomes a SPLAT."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerAvatarToSplat",
            display_name="Avatar to Splat (GGTalker)",
            category="GGTalker/avatar",
            description="One posed frame of the avatar as a Gaussian splat, for ComfyUI's own viewer, .ply and .spz.",
            search_aliases=["gaussian splat", "export ply", "export spz", "3d viewer", "3dgs", "avatar to 3d"],
            inputs=[
                wires.Avatar.Input("avatar", tooltip="From Adapt Avatar or Load Avatar."),
                wires.Motion.Input(
                    "motion",
                    optional=True,
                    tooltip="From Audio to Expression. Empty: the clip's own expression and pose.",
                ),
                io.Int.Input(
                    "frame",
                    default=0,
                    min=0,
                    max=1_000_000,
                    optional=True,
                    tooltip="Which frame of the motion (or of the clip), counted from 0.",
                ),
            ],
            outputs=[
                io.Splat.Output(
                    "splat",
                    display_name="splat",
                    tooltip="The head, ten units to the metre. Continue with Create 3D File (from Splat), then "
                    "Preview Splat or Save Splat.",
                ),
                io.Load3DCamera.Output(
                    "camera_info",
                    display_name="camera_info",
                    tooltip="The clip's own camera, for Preview Splat or Render Splat.",
                ),
            ],
        )

    @classmethod
    def execute(cls, avatar: Avatar, motion: MotionTrack | None = None, frame: int = 0) -> io.NodeOutput:
        """Pose the head and hand it over."""
        from ..ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
        from ..ggtalker_core.gaussians.viewpoint import avatar_splat, viewer_camera
        from ..ggtalker_core.provenance.consent import check_unmarked

        check_unmarked(avatar.info.consent)
        with host.ordinary_tensors(gradients=False):
            splat = avatar_splat(AvatarRenderer(avatar), motion, frame)
            return io.NodeOutput(to_splat(splat), viewer_camera(avatar))


def to_splat(gaussians: Gaussians) -> Types.SPLAT:
    """A SPLAT value of Gaussians in a splat's axes."""
    from ..ggtalker_core.render.splat import sh_of

    return Types.SPLAT(
        gaussians.means, gaussians.scales, gaussians.quats, gaussians.opacities[..., None], sh_of(gaussians.colors)
    )
