"""TrackFLAME: fit the head model to every frame of the clip."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from . import convert, host, wires

if TYPE_CHECKING:
    from torch import Tensor

    from ..ggtalker_core.types import ReferenceClip


class TrackFLAME(io.ComfyNode):
    """A clip becomes a Track."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerTrackFLAME",
            display_name="Track FLAME (GGTalker)",
            category="GGTalker/avatar",
            description="Finds the face in every frame and fits a 3D head to it: shape, expression, jaw, eyes, "
            "pose, camera.",
            search_aliases=["face tracking", "head tracking", "flame", "3dmm", "landmarks", "face fit"],
            inputs=[
                wires.Clip.Input("clip", tooltip="From Load Reference Video."),
                wires.FaceLandmarks.Input(
                    "landmarks",
                    optional=True,
                    tooltip="Landmarks found by ComfyUI's own MediaPipe node on the same frames, instead of ours.",
                ),
                io.Mask.Input(
                    "person",
                    optional=True,
                    tooltip="Where to look for the face: one mask, or one for every frame. Use it when several "
                    "people are seen.",
                ),
            ],
            outputs=[
                wires.Track.Output(
                    "track", display_name="track", tooltip="Head parameters for every frame of the clip."
                ),
                io.Image.Output(
                    "overlay",
                    display_name="overlay",
                    tooltip="The fitted head drawn over up to 8 frames: look at it before you train.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="Frames with a face, landmark error, what was repaired."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, clip: ReferenceClip, landmarks: dict[str, Any] | None = None, person: Tensor | None = None
    ) -> io.NodeOutput:
        """Track the clip and draw the overlay."""
        from ..ggtalker_core.head import load_head
        from ..ggtalker_core.tracking import draw_overlay, track_clip

        with host.job() as job:
            seen = (
                clip if person is None else dataclasses.replace(clip, source=convert.MaskedFrames(clip.source, person))
            )
            points = None if landmarks is None else convert.to_landmarks(landmarks, clip.count, clip.size_px)
            track = track_clip(seen, landmarks=points, progress=job.progress, device=job.device)
            head = load_head(track.head_model)
            shown = convert.spread(clip.count, 8)
            drawn = convert.to_image(draw_overlay(track, i, next(iter(clip.frames(i, i + 1))), head) for i in shown)
        return io.NodeOutput(track, drawn, track.report, ui=convert.on_node(track.report, drawn[:1]))
