"""The commands that make something: talk, track, adapt, speak."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConsentRequiredError, InvalidInputError
from .console import Bar, check_folder_of, give, say

if TYPE_CHECKING:
    import argparse

    from ..pipeline import MarkOptions, SpeakingOptions, ViewOptions
    from ..types import AudioTrack, Avatar, ConsentRecord, MotionTrack, ReferenceClip, Track
    from ..video import WrittenVideo


def talk(options: argparse.Namespace) -> int:
    """Clip and voice to video."""
    from ..gaussians.avatar_file import save_avatar
    from ..pipeline import create_avatar, talk
    from ..video import read_audio

    _check_target("--out", options.out, ".mp4")
    _check_target("--save-avatar", options.save_avatar, ".safetensors")
    audio = read_audio(options.audio)
    bar = Bar("avatar", quiet=options.quiet)
    clip, track, avatar = create_avatar(
        options.video, preset=options.preset, consent=consent_of(options), fps=options.fps, start_s=options.start,
        end_s=options.end, device=options.device, backend=options.backend, progress=bar,
        on_checkpoint=_keeper(options.save_avatar) if options.save_avatar else None,
    )  # fmt: skip
    bar.close()
    say(f"{clip.name}: {clip.report.text()}\n{track.report}")
    if options.save_avatar:
        save_avatar(avatar, options.save_avatar)
    bar = Bar("video", quiet=options.quiet)
    written = talk(
        avatar,
        audio,
        options.out,
        speaking=_speaking(options),
        view=_view(options),
        marks=_marks(options),
        progress=bar,
    )
    bar.close()
    _give_video(written, avatar, options)
    return 0


def track(options: argparse.Namespace) -> int:
    """Clip to track file."""
    from ..tracking import save_track

    _check_target("--out", options.out, ".safetensors")
    _check_target("--overlay", options.overlay, ".mp4")
    clip, found = _tracked(options)
    save_track(found, options.out)
    if options.overlay:
        _write_overlay(clip, found, options)
    result = {
        "track": str(options.out), "clip": clip.name, "frames": found.count, "fps": str(found.fps),
        "valid_frames": int(found.valid.sum()), "median_error_px": float(found.error_px.median()),
        "clip_report": clip.report.text(), "report": found.report,
    }  # fmt: skip
    give(result, f"{clip.report.text()}\n{found.report}\nWritten: {options.out}", options.json)
    return 0


def adapt(options: argparse.Namespace) -> int:
    """Clip to avatar file; what there is when it is cancelled is kept beside it as a checkpoint."""
    from ..adapt import adapt_avatar
    from ..adapt.history import stage_lines
    from ..adapt.plan import chosen, within
    from ..gaussians.avatar_file import load_avatar, save_avatar
    from ..pipeline import adapt_config, choose_device
    from ..provenance import check_consent

    _check_target("--out", options.out, ".safetensors")
    _check_target("--curves", options.curves, ".png")
    config = within(chosen(adapt_config(options.preset, options.backend), options.stages), options.minutes)
    consent = check_consent(consent_of(options))
    resume = load_avatar(options.resume) if options.resume else None
    clip, found = _tracked(options)
    bar = Bar("adapting", quiet=options.quiet)
    avatar = adapt_avatar(
        clip, found, config, consent=consent, resume=resume, progress=bar,
        device=choose_device(options.device), on_checkpoint=_keeper(options.out),
        name=options.name or Path(clip.name).stem,
    )  # fmt: skip
    bar.close()
    save_avatar(avatar, options.out)
    if options.curves:
        _write_curves(avatar, options.curves)
    result = {
        "avatar": str(options.out), "name": avatar.info.name, "preset": avatar.info.preset,
        "watermark_id": avatar.info.watermark_id, "metrics": dict(avatar.info.metrics),
        "bytes": options.out.stat().st_size, "clip_report": clip.report.text(), "track_report": found.report,
        "history": [dataclasses.asdict(record) for record in avatar.info.history], "notes": list(avatar.info.notes),
    }  # fmt: skip
    lines = (f"Avatar '{avatar.info.name}' ({avatar.info.preset}): {options.out}", *stage_lines(avatar.info.history))
    give(result, "\n".join((*lines, *avatar.info.notes)), options.json)
    return 0


def speak(options: argparse.Namespace) -> int:
    """Avatar file to video."""
    from ..gaussians.avatar_file import load_avatar
    from ..pipeline import make_motion, orbit_camera, talk
    from ..video import read_audio

    _check_target("--out", options.out, ".mp4")
    avatar = load_avatar(options.avatar)
    audio = read_audio(options.audio) if options.audio else None
    bar = Bar("video", quiet=options.quiet)
    if options.motion:
        motion = _driving(options.motion, options, avatar, audio)
    elif audio is not None:
        motion = make_motion(avatar, audio, fps=options.fps, options=_speaking(options), progress=bar)
    else:
        raise InvalidInputError("Give --audio (what to say), or --motion (what to do), or both.")
    view = _view(options)
    if options.camera == "orbit":
        view = dataclasses.replace(view, camera=orbit_camera(avatar, motion.count))
    written = talk(avatar, audio, options.out, motion=motion, view=view, marks=_marks(options), progress=bar)
    bar.close()
    _give_video(written, avatar, options)
    return 0


def consent_of(options: argparse.Namespace) -> ConsentRecord:
    """What the options state, dated today; without a statement a trial that says so. Told on stderr."""
    from ..provenance.consent import trial_consent
    from ..types import ConsentRecord

    if options.statement is None and options.basis is None:
        if options.expires:
            raise ConsentRequiredError("--expires says nothing alone: add --statement WHO AGREED TO WHAT.")
        record = trial_consent("the command was run on the clip without --statement.")
        say(
            "Consent: none was stated, and the file will say so. The video carries label and watermark, the avatar "
            f"speaks until {record.expires}. State it with --statement 'WHO agreed to WHAT, WHEN' [--basis ...]."
        )
        return record
    basis = options.basis or "written_consent"
    statement = options.statement or f"Stated as '{basis}' on the command line, without further words."
    say(f"Consent: {basis}: {statement}")
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return ConsentRecord(basis, statement, today, options.expires)


def _check_target(option: str, path: Path | None, suffix: str) -> None:
    """Refuse a target that could not be written, before hours of work."""
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise InvalidInputError(f"{option} must end in {suffix}, got '{path.name}'.")
    check_folder_of(option, path)


def _keeper(target: Path) -> Callable[[Avatar], None]:
    """What keeps an interrupted adaptation, beside the avatar that was to be made."""
    from ..gaussians.avatar_file import save_avatar

    checkpoint = target.with_name("checkpoint." + target.name)

    def keep(avatar: Avatar) -> None:
        save_avatar(avatar, checkpoint)
        say(f"\nKept as far as it got: {checkpoint} (go on with adapt --resume)")

    return keep


def _tracked(options: argparse.Namespace) -> tuple[ReferenceClip, Track]:
    """The clip and its track, from a file where one is given."""
    from ..pipeline import choose_device
    from ..tracking import load_track, track_clip
    from ..video import open_clip

    clip = open_clip(options.video, start_s=options.start, end_s=options.end, fps=options.fps)
    given: Path | None = getattr(options, "track", None)
    if given is not None:
        return clip, load_track(given)
    bar = Bar("tracking", quiet=options.quiet)
    found = track_clip(clip, progress=bar, device=choose_device(options.device))
    bar.close()
    return clip, found


def _write_curves(avatar: Avatar, path: Path) -> None:
    """The history of the training as a picture."""
    import cv2

    from ..adapt.curves import history_picture

    done, data = cv2.imencode(".png", cv2.cvtColor(history_picture(avatar.info.history), cv2.COLOR_RGB2BGR))
    if done:
        path.write_bytes(data.tobytes())


def _write_overlay(clip: ReferenceClip, found: Track, options: argparse.Namespace) -> None:
    """The clip with the tracked head drawn over it."""
    from ..head import load_head
    from ..tracking import draw_overlay
    from ..video import write_video

    head = load_head(found.head_model)
    frames = (draw_overlay(found, i, frame, head) for i, frame in enumerate(clip.frames()))
    bar = Bar("overlay", quiet=options.quiet)
    write_video(
        options.overlay, frames, fps=clip.fps, size_px=clip.size_px, audio=clip.audio, progress=bar, count=clip.count
    )
    bar.close()


def _driving(path: Path, options: argparse.Namespace, avatar: Avatar, audio: AudioTrack | None) -> MotionTrack:
    """A motion file, or the motion of a track file, at the wanted rate; as long as the sound where there is one."""
    from ..motion import load_motion, retime, to_length
    from ..types import frame_count

    if path.name.endswith(".track.safetensors"):
        from ..tracking import load_track

        motion = load_track(path).to_motion()
    else:
        motion = load_motion(path)
    motion = retime(motion, options.fps or avatar.body.fps)
    return motion if audio is None else to_length(motion, frame_count(audio.duration_s, motion.fps))


def _speaking(options: argparse.Namespace) -> SpeakingOptions:
    from ..pipeline import SpeakingOptions

    return SpeakingOptions(
        seed=options.seed, mouth_gain=options.mouth_gain, smoothing=options.smoothing, prior=options.prior
    )


def _view(options: argparse.Namespace) -> ViewOptions:
    from ..pipeline import ViewOptions

    return ViewOptions(backend=options.backend, device=options.device, crf=options.crf)


def _marks(options: argparse.Namespace) -> MarkOptions:
    from ..pipeline import MarkOptions
    from ..provenance import LabelConfig

    label = LabelConfig(preset=options.label, text=options.label_text)
    return MarkOptions(watermark=not options.no_watermark, label=label, no_label=options.label == "none")


def _give_video(written: WrittenVideo, avatar: Avatar, options: argparse.Namespace) -> None:
    result: dict[str, Any] = {
        "video": str(options.out), "frames": written.count, "fps": str(written.fps),
        "seconds": float(written.duration_s), "size_px": list(written.size_px), "bytes": written.bytes,
        "audio_samples": written.audio_samples, "audio_codec": written.audio_codec,
        "avatar": avatar.info.name, "watermark_id": avatar.info.watermark_id, "watermark": not options.no_watermark,
        "label": options.label,
    }  # fmt: skip
    text = f"{options.out}: {written.count} frames, {float(written.duration_s):.2f} s, {written.bytes / 1e6:.1f} MB"
    give(result, text, options.json)
