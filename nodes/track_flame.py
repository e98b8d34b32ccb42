"""TrackFLAME: fit the head model to every frame of the clip."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from . import convert, host, widgets, wires

if TYPE_CHECKING:
    from torch import Tensor

    from ..ggtalker_core.tracking import TrackConfig
    from ..ggtalker_core.types import ReferenceClip

QUALITIES = ("fast", "standard", "full")
MODES = ("fast", "full")


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
                io.Combo.Input(
                    "quality",
                    options=list(QUALITIES),
                    default="standard",
                    tooltip="How carefully the shape of the head is found: fast for a look, full for the final avatar.",
                ),
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
                widgets.rare(
                    io.Float,
                    "smooth",
                    default=1.0,
                    min=0.1,
                    max=10.0,
                    step=0.1,
                    tooltip="Steadiness of head and expression over time. Above 1 for a trembling overlay, below 1 for "
                    "a very lively person.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="fast",
                    optional=True,
                    tooltip="fast: from landmarks. full: also from the colours of the skin, for a better fit at four "
                    "times the time; try it when the avatar comes out soft.",
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
        cls,
        clip: ReferenceClip,
        quality: str,
        landmarks: dict[str, Any] | None = None,
        person: Tensor | None = None,
        smooth: float = 1.0,
        mode: str = "fast",
    ) -> io.NodeOutput:
        """Track the clip and draw the overlay."""
        from ..ggtalker_core.head import load_head
        from ..ggtalker_core.tracking import draw_overlay, track_clip
        from ..ggtalker_core.video import pick_frames

        config = settings(quality, smooth, mode)
        with host.job() as job:
            seen = clip if person is None else only_inside(clip, person)
            points = None if landmarks is None else convert.to_landmarks(landmarks, clip.count, clip.size_px)
            track = track_clip(seen, config, landmarks=points, progress=job.progress, device=job.device)
            head = load_head(track.head_model)
            shown = convert.spread(clip.count, 8)
            frames = zip(shown, pick_frames(clip.source, shown, job.progress))
            drawn = convert.to_image(draw_overlay(track, i, frame, head) for i, frame in frames)
        return io.NodeOutput(track, drawn, track.report, ui=convert.on_node(track.report, drawn[:1]))


def settings(quality: str, smooth: float, mode: str) -> TrackConfig:
    """The tracker's settings for the three widgets."""
    from ..ggtalker_core.tracking import TrackConfig

    made = {"fast": TrackConfig.fast, "standard": TrackConfig, "full": TrackConfig.thorough}[quality]()
    return dataclasses.replace(
        made,
        turn_change=made.turn_change * smooth,
        move_change=made.move_change * smooth,
        expression_change=made.expression_change * smooth,
        steady=(TrackConfig.full() if mode == "full" else made).steady * smooth,
        photometric=mode == "full",
    )


def only_inside(clip: ReferenceClip, person: Tensor) -> ReferenceClip:
    """The clip with everything outside the mask hidden."""
    return dataclasses.replace(clip, source=convert.MaskedFrames(clip.source, person))
