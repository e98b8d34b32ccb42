"""VideoToImages: a range of frames of a lazy VIDEO as IMAGE and MASK."""

from __future__ import annotations

from comfy_api.latest import Input, io

from ..ggtalker_core.errors import InvalidInputError, LimitExceededError
from . import convert, host
from .lazy_video import LazyVideo, as_talking

MAX_BYTES = 8 << 30


class VideoToImages(io.ComfyNode):
    """A VIDEO's frames become IMAGE and MASK."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerVideoToImages",
            display_name="Video to Images (GGTalker)",
            category="GGTalker/video",
            description="Takes a range of frames out of a video, with their transparency, for nodes that work on "
            "images.",
            search_aliases=["extract frames", "video frames", "frame range", "split video"],
            inputs=[
                io.Video.Input("video", tooltip="Any video; those of GGTalker keep their transparency."),
                io.Int.Input(
                    "first_frame", default=0, min=0, max=10_000_000, tooltip="The first frame, counted from 0."
                ),
                io.Int.Input(
                    "count",
                    default=16,
                    min=0,
                    max=10_000_000,
                    tooltip="How many frames. 0: all to the end. Memory: 3 MiB for a 512 x 512 frame.",
                ),
            ],
            outputs=[
                io.Image.Output("images", display_name="images", tooltip="The frames; black where transparent."),
                io.Mask.Output("mask", display_name="mask", tooltip="1 where the frame is opaque."),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second of the video."),
            ],
        )

    @classmethod
    def execute(cls, video: Input.Video, first_frame: int, count: int) -> io.NodeOutput:
        """Make the frames of the range."""
        lazy = LazyVideo(as_talking(video))
        stop = checked_stop(lazy, first_frame, count)
        frames = lazy.frames(first_frame, stop)
        progress = host.NodeProgress()
        images, mask = convert.to_images_and_mask(frames, stop - first_frame, lazy.get_dimensions(), progress)
        progress.finish()
        return io.NodeOutput(images, mask, float(lazy.get_frame_rate()))


def checked_stop(lazy: LazyVideo, first_frame: int, count: int) -> int:
    """The end of the range. Raises when it is empty or would take more than 8 GiB."""
    total, (width, height) = lazy.get_frame_count(), lazy.get_dimensions()
    if first_frame >= total:
        raise InvalidInputError(f"first_frame is {first_frame}, but the video has frames 0 to {total - 1}.")
    stop = min(first_frame + count, total) if count else total
    size = (stop - first_frame) * width * height * 4 * 4
    if size > MAX_BYTES:
        raise LimitExceededError(
            f"{stop - first_frame} frames of {width}x{height} need {size / 2**30:.1f} GiB; the limit is "
            f"{MAX_BYTES >> 30} GiB. "
            f"Take fewer at a time."
        )
    return stop
