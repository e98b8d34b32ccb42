"""The whole chain as calls: a clip becomes an avatar, an avatar speaks into a file. Frames are never held.

Used by the command line; the nodes make the same calls one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .errors import BackendUnavailableError, InvalidInputError
from .progress import Progress, SubProgress, patiently, silent
from .video.reader import DEFAULT_FPS

if TYPE_CHECKING:
    from .adapt import AdaptConfig
    from .files import Limits
    from .provenance import LabelConfig
    from .types import AudioTrack, Avatar, Camera, ConsentRecord, MotionTrack, ReferenceClip, TalkingVideo, Track
    from .video import WrittenVideo

_READ, _TRACKED = 0.03, 0.4  # shares of the progress bar of create_avatar
_SPOKEN = 0.15  # of talk
_warm: set[tuple[str, str, bool]] = set()  # what this process has used before


@dataclass(frozen=True)
class SpeakingOptions:
    """How the voice becomes motion."""

    seed: int = 0
    mouth_gain: float = 1.0
    smoothing: float = 0.0
    steps: int = 10
    guidance: float = 1.25
    prior: Path | None = None  # an audio prior of your own; None: the bundled one


@dataclass(frozen=True)
class MarkOptions:
    """How the video is marked as synthetic. Turning the invisible mark off is written into the file."""

    watermark: bool = True
    label: LabelConfig | None = None  # None: the default label
    no_label: bool = False
    watermark_id: str | None = None
    strength: float = 1.0
    store: Path | None = None
    note: str = ""


@dataclass(frozen=True)
class ViewOptions:
    """What is drawn, and with what."""

    backend: str = "auto"
    device: str = "auto"
    camera: Camera | None = None  # a camera path shows the head alone, without body
    background: tuple[int, int, int] = (255, 255, 255)  # under the head alone
    crf: int = 18
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


def choose_device(name: str = "auto") -> str:
    """The torch device for `auto` (CUDA or ROCm where there is one, else the processor) or for a given name.

    Raises:
        BackendUnavailableError: a device was named that is not there.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise BackendUnavailableError(f"There is no device '{name}'. Choose auto, cpu or cuda.") from error
    if kind not in ("cpu", "cuda"):
        raise BackendUnavailableError(f"The device '{name}' is not used by this pack. Choose auto, cpu or cuda.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailableError(
            f"The device '{name}' was asked for, but this Python's torch ({torch.__version__}) sees no CUDA device. "
            "Choose 'auto' or 'cpu'; `doctor` says more."
        )
    return name


def warm_up(backend: str = "auto", device: str = "cpu", *, training: bool = False, progress: Progress = silent) -> None:
    """Load and, the first time ever, compile what draws; `progress` is asked meanwhile, so that it can be cancelled.

    Raises:
        BackendUnavailableError: the named rasteriser cannot be used.
    """
    key = (backend, device, training)
    if key in _warm:
        return
    patiently(lambda: _first_use(backend, device, training), progress, "Loading the rasteriser")
    _warm.add(key)


def _first_use(backend: str, device: str, training: bool) -> None:
    """Draw one Gaussian; for training also take its gradient and make a step of the optimiser."""
    import torch

    from .render import render
    from .types import Camera, Gaussians

    row = {name: torch.full((1, 1, n), 0.1, device=device) for name, n in (("means", 3), ("quats", 4), ("scales", 3))}
    row["means"][..., 2] = 1.0
    leaf = torch.full((1, 1, 3), 0.5, device=device, requires_grad=training)
    one = Gaussians(**row, opacities=torch.full((1, 1), 0.5, device=device), colors=leaf)
    view = Camera(torch.eye(4, device=device)[None], torch.eye(3, device=device)[None], 8, 8)
    rgb = render(one, view, torch.zeros(3, device=device), backend=backend).rgb
    if training:
        optimiser = torch.optim.Adam([leaf])
        rgb.sum().backward()
        optimiser.step()


def create_avatar(
    video_path: str | Path,
    *,
    preset: str | AdaptConfig = "draft",
    consent: ConsentRecord,
    fps: Fraction | None = DEFAULT_FPS,
    start_s: float = 0.0,
    end_s: float | None = None,
    device: str = "auto",
    backend: str = "auto",
    resume: Avatar | None = None,
    name: str | None = None,
    limits: Limits | None = None,
    progress: Progress = silent,
    on_checkpoint: Callable[[Avatar], None] | None = None,
) -> tuple[ReferenceClip, Track, Avatar]:
    """Clip file to avatar: open, track, adapt.

    Args:
        video_path: a video of one person.
        preset: "draft", "standard", "full", or a configuration.
        consent: checked before any work.
        fps: frame rate of everything that follows.
        start_s: where the clip begins.
        end_s: where it ends; None for its end.
        device: "auto", "cpu", "cuda".
        backend: rasteriser, "auto" or its name.
        resume: an avatar to go on with.
        name: of the avatar; default the file's name.
        limits: checked before decoding.
        progress: may raise to cancel.
        on_checkpoint: called with what there is when the fit is interrupted.

    Raises:
        GGTalkerError: of the stage that could not do its work.
    """
    from .provenance import check_consent

    check_consent(consent)
    from .adapt import adapt_avatar
    from .tracking import track_clip
    from .video import open_clip

    config = adapt_config(preset, backend)
    torch_device = choose_device(device)
    progress(0, 1000, "Opening the clip")
    clip = open_clip(
        video_path, start_s=start_s, end_s=end_s, fps=fps, limits=limits, progress=SubProgress(progress, 0.0, _READ)
    )
    track = track_clip(clip, progress=SubProgress(progress, _READ, _TRACKED, "Tracking: "), device=torch_device)
    avatar = adapt_avatar(
        clip, track, config, consent=consent, resume=resume, name=name or Path(clip.name).stem, device=torch_device,
        progress=SubProgress(progress, _TRACKED, 1.0, "Adapting: "), on_checkpoint=on_checkpoint,
    )  # fmt: skip
    return clip, track, avatar


def adapt_config(preset: str | AdaptConfig, backend: str = "auto") -> AdaptConfig:
    """The configuration of a preset, with the rasteriser set. Raises InvalidInputError for an unknown preset."""
    from .adapt import AdaptConfig

    config = AdaptConfig.named(preset) if isinstance(preset, str) else preset
    return config if backend == "auto" else dataclasses.replace(config, backend=backend)


def make_motion(
    avatar: Avatar,
    audio: AudioTrack,
    *,
    fps: Fraction | None = None,
    options: SpeakingOptions | None = None,
    progress: Progress = silent,
) -> MotionTrack:
    """What this person's mouth does to say `audio`, ceil(seconds x fps) frames; fps default: that of the body loop."""
    from .expression import speak
    from .expression.own import with_own_prior
    from .expression.seen_lips import seen_lips
    from .head import load_head

    how, head = options or SpeakingOptions(), load_head(avatar.head_model)
    prior, style = with_own_prior(how.prior, avatar.style)
    motion = speak(
        audio, prior=prior, style=style, fps=fps or avatar.body.fps, seed=how.seed, steps=how.steps,
        guidance=how.guidance, mouth_gain=how.mouth_gain, smoothing=how.smoothing,
        arkit=head.arkit, progress=progress,
    )  # fmt: skip
    return seen_lips(motion, head, avatar.shape)


def talking_video(
    avatar: Avatar, motion: MotionTrack, *, view: ViewOptions | None = None, marks: MarkOptions | None = None
) -> TalkingVideo:
    """Avatar and motion as a finished, marked, lazy video: nothing is drawn before somebody pulls a frame.

    With a camera path the head alone is drawn, over a plain background; otherwise it is set back into the body.

    Raises:
        ConsentRequiredError: the avatar's consent has expired.
        BackendUnavailableError: the named device or rasteriser cannot be used.
    """
    from .body import inpaint
    from .gaussians.avatar_renderer import AvatarRenderer
    from .provenance import LabelConfig, check_consent, mark

    view, marks = view or ViewOptions(), marks or MarkOptions()
    check_consent(avatar.info.consent)
    renderer = AvatarRenderer(avatar, backend=view.backend, device=choose_device(view.device))
    head = renderer.video(motion, camera=view.camera)
    person = inpaint(avatar, head) if view.camera is None else head
    return mark(
        person, watermark=marks.watermark, label=None if marks.no_label else marks.label or LabelConfig(),
        watermark_id=marks.watermark_id, strength=marks.strength, store=marks.store, note=marks.note,
        background=None if view.camera is None else view.background,
    )  # fmt: skip


def write_talking(
    video: TalkingVideo, out_path: str | Path, *, view: ViewOptions | None = None, progress: Progress = silent
) -> WrittenVideo:
    """Pull a lazy video frame by frame into an mp4, with its sound and its marks. Whole or not at all."""
    from .video import write_video

    view = view or ViewOptions()
    return write_video(
        out_path, (frame.rgb for frame in video.frames()), fps=video.fps, size_px=video.size_px, audio=video.audio,
        crf=view.crf, metadata={**view.metadata, **video.marks}, progress=progress, count=video.count,
    )  # fmt: skip


def talk(
    avatar: Avatar,
    audio: AudioTrack | None,
    out_path: str | Path,
    *,
    motion: MotionTrack | None = None,
    fps: Fraction | None = None,
    speaking: SpeakingOptions | None = None,
    view: ViewOptions | None = None,
    marks: MarkOptions | None = None,
    progress: Progress = silent,
) -> WrittenVideo:
    """The avatar says `audio` into an mp4 of ceil(seconds x fps) frames; memory does not grow with the length.

    Args:
        avatar: who speaks.
        audio: what is said; goes into the file untouched. None only beside a motion.
        out_path: an .mp4; appears when it is whole.
        motion: drives the avatar instead of the voice.
        fps: default that of the avatar's body loop.
        speaking: how the voice becomes motion.
        view: rasteriser, device, camera, quality.
        marks: label and watermark.
        progress: may raise to cancel; then no file is left.

    Raises:
        GGTalkerError: of the stage that could not do its work.
    """
    from .provenance import check_consent

    check_consent(avatar.info.consent)
    if motion is None and audio is None:
        raise InvalidInputError("There is neither a voice nor a motion to drive the avatar. Give one of them.")
    if motion is None and audio is not None:
        part = SubProgress(progress, 0.0, _SPOKEN, "Listening: ")
        motion = make_motion(avatar, audio, fps=fps, options=speaking, progress=part)
    driven = dataclasses.replace(cast("MotionTrack", motion), audio=audio)
    video = talking_video(avatar, driven, view=view, marks=marks)
    return write_talking(video, out_path, view=view, progress=SubProgress(progress, _SPOKEN, 1.0))


def orbit_camera(avatar: Avatar, count: int, *, degrees: float = 30.0, turns: float = 1.0) -> Camera:
    """A camera path that swings round the avatar's head: `turns` times to both sides by `degrees`, [count] cameras."""
    from .gaussians.viewpoint import orbit

    return orbit(avatar, count, yaw_deg=degrees, turns=turns)
