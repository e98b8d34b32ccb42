"""Watermark: the visible label and the invisible mark, last before saving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import Input, io

from ..ggtalker_core.types import TalkingVideo
from . import convert, marks, widgets
from .lazy_video import LazyVideo, as_talking

if TYPE_CHECKING:
    from torch import Tensor


class Watermark(io.ComfyNode):
    """A VIDEO or IMAGE becomes a marked VIDEO."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerWatermark",
            display_name="Watermark (GGTalker)",
            category="GGTalker/video",
            description="Marks a video as synthetic: a label people see and an id that machines read. Put it last, "
            "right before Save Video.",
            search_aliases=["mark as ai", "label", "provenance", "invisible watermark", "ai generated"],
            inputs=[
                io.MultiType.Input(
                    "video",
                    types=[io.Video, io.Image],
                    tooltip="A video, or images in order. Any node after this one may destroy the mark.",
                ),
                *marks.inputs(),
                widgets.fps("Frames per second when images are connected; a video has its own.", least=1.0, most=120.0),
                io.Audio.Input(
                    "audio", optional=True, tooltip="The sound when images are connected; a video has its own."
                ),
            ],
            outputs=[
                io.Video.Output(
                    "marked", display_name="video", tooltip="The marked video, made frame by frame when saved."
                ),
                io.String.Output(
                    "manifest",
                    display_name="manifest",
                    tooltip="What is written into the file: marks, id, consent (JSON).",
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
        video: Input.Video | Tensor,
        label: str,
        invisible: bool,
        fps: float = 25.0,
        audio: dict[str, Any] | None = None,
        **rare: Any,
    ) -> io.NodeOutput:
        """Mark; frames are made when somebody pulls them."""
        talking = as_talking(video) if isinstance(video, Input.Video) else of_images(video, fps, audio)
        marked = marks.MarkSettings(label, invisible, **rare).mark(talking)
        return io.NodeOutput(LazyVideo(marked), marks.manifest(marked))


def of_images(images: Tensor, fps: float, audio: dict[str, Any] | None) -> TalkingVideo:
    """Images in order as a video."""
    source = convert.ImageFrames(images, None)
    track = None if audio is None else convert.to_audio_track(audio)
    return TalkingVideo(source, source.count, source.size_px, convert.to_fps(fps), track)
