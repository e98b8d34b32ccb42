"""LoadReferenceVideo: choose, trim and grade the clip of the person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import Input, io

from ..ggtalker_core.errors import InvalidInputError
from ..ggtalker_core.progress import Progress, silent
from . import convert, host, widgets, wires

if TYPE_CHECKING:
    from ..ggtalker_core.types import ReferenceClip

FROM_INPUT = "(the connected video)"


class LoadReferenceVideo(io.ComfyNode):
    """A video file or VIDEO becomes a ReferenceClip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerLoadReferenceVideo",
            display_name="Load Reference Video (GGTalker)",
            category="GGTalker/avatar",
            description="Chooses and trims the clip of the person, and grades it: what is good, what is missing, "
            "what to record again.",
            search_aliases=["reference clip", "talking head video", "avatar video", "load clip", "person video"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=[*host.input_files("video"), FROM_INPUT],
                    upload=io.UploadType.video,
                    tooltip="The clip of one person facing the camera: 10 s are enough to try, 2-5 minutes for "
                    "quality. Ignored "
                    "when a video is connected.",
                ),
                io.Float.Input(
                    "start_s",
                    default=0.0,
                    min=0.0,
                    max=86400.0,
                    step=0.1,
                    tooltip="Where the clip begins, in seconds.",
                ),
                io.Float.Input(
                    "end_s",
                    default=0.0,
                    min=0.0,
                    max=86400.0,
                    step=0.1,
                    tooltip="Where the clip ends, in seconds of the video. 0 means its end.",
                ),
                io.Video.Input("video", optional=True, tooltip="A video from another node, instead of the file."),
                widgets.fps(
                    "Frames per second after loading; any other or varying rate is resampled. The speech "
                    "model was "
                    "trained at 25."
                ),
                widgets.rare(
                    io.Int,
                    "max_side_px",
                    default=1024,
                    min=256,
                    max=4096,
                    step=64,
                    tooltip="Larger frames are scaled down to this longer side, in pixels. Larger is slower.",
                ),
            ],
            outputs=[
                wires.Clip.Output(
                    "clip", display_name="clip", tooltip="The trimmed clip, read when needed: no frames in memory."
                ),
                io.Audio.Output(
                    "audio", display_name="audio", tooltip="The clip's sound; silence of its length when it has none."
                ),
                io.Image.Output("preview", display_name="preview", tooltip="Up to 16 frames spread over the clip."),
                io.String.Output("report", display_name="report", tooltip="The grade of the clip in words."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, file: str, start_s: float, end_s: float, input_types: dict[str, str] | None = None
    ) -> bool | str:
        """Refuse an empty trim, and a file that is not there unless a video is connected (then it is ignored)."""
        connected = (input_types or {}).get("video")
        if connected not in (None, "VIDEO", "*"):
            return f"the input 'video' takes a VIDEO, not {connected}."
        if start_s is not None and end_s and end_s <= start_s:
            return f"end_s ({end_s:g}) must be after start_s ({start_s:g}); 0 means the end of the video."
        if connected or file is None or file == FROM_INPUT:
            return True
        return host.missing_input_file(file) or True

    @classmethod
    def fingerprint_inputs(cls, file: str, **_: object) -> str:
        """Run again when the file on disk changes."""
        return "" if file in (None, FROM_INPUT) else host.file_stamp(host.input_file(file))

    @classmethod
    def execute(
        cls,
        file: str,
        start_s: float,
        end_s: float,
        video: Input.Video | None = None,
        fps: float = 25.0,
        max_side_px: int = 1024,
    ) -> io.NodeOutput:
        """Open, trim and grade."""
        from ..ggtalker_core.tracking.face_survey import with_faces
        from ..ggtalker_core.video import pick_frames

        with host.job() as job:
            host.loaded(job.progress, "av", "cv2")
            clip = open_trimmed(file, video, start_s, end_s, fps, max_side_px, job.progress)
            chosen = list(pick_frames(clip.source, convert.spread(clip.count, 16), job.progress))
            clip, preview = with_faces(clip, chosen, progress=job.progress), convert.to_image(chosen)
            audio = convert.to_audio(clip.audio, silence_s=float(clip.duration_s))
        report = clip.report.text()
        return io.NodeOutput(clip, audio, preview, report, ui=convert.on_node(report))


def open_trimmed(
    file: str, video: Input.Video | None, start_s: float, end_s: float, fps: float, max_side_px: int,
    progress: Progress = silent,
) -> ReferenceClip:  # fmt: skip
    """The clip of a file of the input folder, or of a connected VIDEO inside its own trim window."""
    from ..ggtalker_core.video import open_clip

    rate = convert.to_fps(fps)
    if video is None:
        if file == FROM_INPUT:
            raise InvalidInputError("No video is connected. Connect one, or choose a file.")
        path = host.input_file(file)
        return open_clip(
            path, start_s=start_s, end_s=end_s or None, fps=rate, max_side_px=max_side_px, progress=progress
        )
    window_s, length_s = video.get_active_trim_window()
    ends = [window_s + length for length in (length_s, end_s) if length]
    return open_clip(
        video.get_stream_source(),
        start_s=window_s + start_s,
        end_s=min(ends) if ends else None,
        fps=rate,
        max_side_px=max_side_px,
        progress=progress,
    )
