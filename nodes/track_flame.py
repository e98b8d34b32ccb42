"""TrackFLAME: fit the head model to every frame of the clip."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from . import convert, host, widgets, wires

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..ggtalker_core.head import HeadModel
    from ..ggtalker_core.progress import Progress
    from ..ggtalker_core.tracking import TrackConfig, TrackCurves
    from ..ggtalker_core.types import ReferenceClip, Track

DEFAULT_HEAD = "default"
ON_PAGE, COLUMNS, SMALL_PX = 48, 8, 160  # small pictures that the curves are scrubbed against
MOST_POINTS = 600  # of a curve on the node
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
                io.Combo.Input(
                    "head",
                    options=[DEFAULT_HEAD, *host.flame_files()],
                    default=DEFAULT_HEAD,
                    optional=True,
                    tooltip="The head model. default is bundled and free to use; a FLAME file of your own (.pkl or "
                    ".npz) in models/ggtalker/flame appears here and is read once.",
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
                io.Image.Output(
                    "curves",
                    display_name="curves",
                    tooltip="Landmark error, jaw, blink and yaw over time, as one picture.",
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
        head: str = DEFAULT_HEAD,
    ) -> io.NodeOutput:
        """Track the clip, draw the overlay and the curves."""
        from ..ggtalker_core.head import load_head
        from ..ggtalker_core.progress import SubProgress
        from ..ggtalker_core.tracking import curves_of, curves_picture, track_clip

        config = settings(quality, smooth, mode)
        with host.job() as job:
            seen = clip if person is None else only_inside(clip, person)
            points = None if landmarks is None else convert.to_landmarks(landmarks, clip.count, clip.size_px)
            model = load_head(DEFAULT_HEAD if head == DEFAULT_HEAD else host.flame_head(head))
            track = track_clip(seen, config, landmarks=points, head=model, progress=job.progress, device=job.device)
            curves = curves_of(track, model)
            drawn, small, shown = overlays(clip, track, model, SubProgress(job.progress, 0.0, 1.0, "Overlay: "))
            picture = convert.to_image([curves_picture(curves)])
        on_node = convert.on_node(track.report, drawn[:1]) | {"ggtalker_curves": [for_widget(curves, shown, small)]}
        return io.NodeOutput(track, drawn, track.report, picture, ui=on_node)


def overlays(
    clip: ReferenceClip, track: Track, head: HeadModel, progress: Progress
) -> tuple[Tensor, dict[str, Any], list[int]]:
    """The head drawn over up to 8 frames; a page of many small ones, kept as a file; which frames are on the page."""
    import cv2
    import numpy as np
    from comfy_api.latest import ui

    from ..ggtalker_core.tracking import draw_overlay
    from ..ggtalker_core.video import pick_frames

    large = set(convert.spread(clip.count, 8))
    shown = sorted(large | set(convert.spread(clip.count, ON_PAGE)))
    wide, high = clip.size_px
    size = (SMALL_PX, max(1, round(SMALL_PX * high / wide)))
    rows = -(-len(shown) // COLUMNS)
    page = np.zeros((rows * size[1], COLUMNS * size[0], 3), np.uint8)
    kept: list[NDArray[np.uint8]] = []
    for k, (i, frame) in enumerate(zip(shown, pick_frames(clip.source, shown, progress))):
        drawn = draw_overlay(track, i, frame, head, landmarks=i in large)
        if i in large:
            kept.append(drawn)
        x, y = k % COLUMNS * size[0], k // COLUMNS * size[1]
        page[y : y + size[1], x : x + size[0]] = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    saved = ui.PreviewImage(convert.to_image([page])).as_dict()["images"][0]
    return convert.to_image(kept), {"page": saved, "columns": COLUMNS, "size": list(size)}, shown


def for_widget(curves: TrackCurves, shown: list[int], small: dict[str, Any]) -> dict[str, Any]:
    """What web/js/track_curves.js draws: the curves with at most 600 points, and the small pictures."""
    picked = convert.spread(len(curves.valid), MOST_POINTS)
    rows: list[dict[str, Any]] = []
    for name, unit, values in curves.rows():
        chosen = [round(v, 3) if v == v else None for v in values[picked].tolist()]  # no JSON for NaN
        rows.append({"name": name, "unit": unit, "values": chosen})
    return {"frames": picked, "count": len(curves.valid), "fps": curves.fps, "rows": rows, "shown": shown, **small}


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
