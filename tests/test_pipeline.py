"""The whole chain as calls, on a synthetic avatar."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.errors import BackendUnavailableError, ConsentRequiredError, InvalidInputError
from ggtalker_core.gaussians.synthetic import synthetic_avatar
from ggtalker_core.pipeline import (
    MarkOptions,
    SpeakingOptions,
    ViewOptions,
    choose_device,
    create_avatar,
    make_motion,
    orbit_camera,
    talk,
    talking_video,
)
from ggtalker_core.types import AudioTrack, Avatar, ConsentRecord, MotionTrack, RgbaFrame
from ggtalker_core.video import open_clip, read_audio

FPS = Fraction(25)


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return synthetic_avatar(32, 6, (144, 160))


def voice(seconds: float, rate: int = 16_000) -> AudioTrack:
    t = torch.arange(round(seconds * rate)) / rate
    return AudioTrack(0.3 * (torch.sin(2 * torch.pi * 170 * t) * (t * 4 % 1))[None], rate)


def still(count: int) -> MotionTrack:
    return MotionTrack(torch.zeros(count, 50), torch.zeros(count, 3), FPS)


def test_talk_writes_a_marked_video_of_the_voice_s_length(avatar, tmp_path):
    audio = voice(0.77, 22_050)
    seen: list[tuple[int, int]] = []
    written = talk(
        avatar, audio, tmp_path / "o.mp4",
        progress=lambda done, total, message="", preview=None: seen.append((done, total)),
    )  # fmt: skip
    assert written.count == 20 and written.audio_samples == audio.waveform.shape[1]
    back = read_audio(tmp_path / "o.mp4")
    assert back.sample_rate == 22_050 and 0 <= back.waveform.shape[1] - audio.waveform.shape[1] < 1024
    assert [d for d, _ in seen] == sorted(d for d, _ in seen) and seen[-1][0] == seen[-1][1]
    clip = open_clip(tmp_path / "o.mp4")
    assert clip.size_px == (144, 160) and clip.count == 20
    import av

    with av.open(str(tmp_path / "o.mp4")) as file:
        assert file.metadata["ggtalker_watermark_id"] == avatar.info.watermark_id
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]


def test_equal_seeds_give_equal_motion(avatar):
    a, b = (make_motion(avatar, voice(0.5), options=SpeakingOptions(seed=3)) for _ in range(2))
    assert torch.equal(a.expression, b.expression) and a.count == 13 and a.fps == avatar.body.fps
    assert make_motion(avatar, voice(0.5), fps=Fraction(30)).count == 15


def test_nothing_is_drawn_before_it_is_pulled_and_then_one_by_one(avatar, tmp_path, monkeypatch):
    from ggtalker_core.gaussians import avatar_renderer

    drawn: list[int] = []
    plain = avatar_renderer.AvatarRenderer.render_pose

    def counting(self, pose, *args, **kwargs):
        drawn.append(pose.count)
        return plain(self, pose, *args, **kwargs)

    monkeypatch.setattr(avatar_renderer.AvatarRenderer, "render_pose", counting)
    video = talking_video(avatar, still(50))
    assert drawn == []
    frames = video.frames()
    next(frames)
    assert 0 < sum(drawn) < 20, "the whole video was drawn for one frame"


def test_a_cancelled_talk_leaves_no_file(avatar, tmp_path):
    def stop(done, total, message="", preview=None):
        if "Writing" in message and done > 0.3 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        talk(avatar, voice(0.8), tmp_path / "o.mp4", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_marks_can_be_turned_off_and_that_is_written(avatar):
    def first(**changes) -> RgbaFrame:
        return next(talking_video(avatar, still(1), marks=MarkOptions(**changes)).frames())

    bare = first(watermark=False, no_label=True)
    assert not np.array_equal(bare.rgb, first(no_label=True).rgb)
    assert not np.array_equal(bare.rgb, first(watermark=False).rgb)
    video = talking_video(avatar, still(1), marks=MarkOptions(watermark=False))
    assert "turned off by the user" in video.marks["ggtalker_manifest"]


def test_expired_consent_stops_everything(avatar, tmp_path):
    old = ConsentRecord("self", "mine", "2020-01-01", "2021-01-01")
    expired = dataclasses.replace(avatar, info=dataclasses.replace(avatar.info, consent=old))
    for call in (
        lambda: talk(expired, voice(0.2), tmp_path / "o.mp4"),
        lambda: talking_video(expired, still(1)),
        lambda: create_avatar(tmp_path / "none.mp4", consent=old),
    ):
        with pytest.raises(ConsentRequiredError):
            call()
    assert list(tmp_path.iterdir()) == []


def test_a_voice_or_a_motion_is_needed(avatar, tmp_path):
    with pytest.raises(InvalidInputError, match="neither"):
        talk(avatar, None, tmp_path / "o.mp4")
    silent = talk(avatar, None, tmp_path / "o.mp4", motion=still(3))
    assert silent.count == 3 and silent.audio_codec is None


def test_orbit_turns_round_the_head(avatar, tmp_path):
    camera = orbit_camera(avatar, 8, degrees=25)
    centre = avatar.body.track.translation_m.median(dim=0).values
    moved = (camera.viewmat[:, :3, :3] @ centre) + camera.viewmat[:, :3, 3]
    assert torch.allclose(moved, centre.expand(8, 3), atol=1e-5), "the head leaves the middle"
    angle = torch.atan2(camera.viewmat[:, 0, 2], camera.viewmat[:, 0, 0]).rad2deg()
    assert float(angle.max()) == pytest.approx(25, abs=0.1) and float(angle.min()) == pytest.approx(-25, abs=0.1)
    view = ViewOptions(camera=camera, background=(250, 0, 0))
    frames = list(talking_video(avatar, still(8), view=view, marks=MarkOptions(False, no_label=True)).frames())
    assert all(f.alpha is None and tuple(f.rgb[2, 2]) == (250, 0, 0) for f in frames)
    assert not np.array_equal(frames[0].rgb, frames[2].rgb)
    assert talk(avatar, None, tmp_path / "o.mp4", motion=still(8), view=view).count == 8


def test_devices():
    assert choose_device("cpu") == "cpu" and choose_device("auto") in ("cpu", "cuda")
    for bad in ("toaster", "mps", *([] if torch.cuda.is_available() else ["cuda"])):
        with pytest.raises(BackendUnavailableError):
            choose_device(bad)


def write_voice(path: Path, seconds: float) -> Path:
    import wave

    samples = (voice(seconds).waveform[0] * 32767).to(torch.int16).numpy()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path


def test_speak_command(avatar, tmp_path, capsys):
    import json

    from ggtalker_core.cli import main
    from ggtalker_core.gaussians.avatar_file import save_avatar
    from ggtalker_core.motion import save_motion

    save_avatar(avatar, tmp_path / "x.avatar.safetensors")
    wav, out = write_voice(tmp_path / "v.wav", 0.5), tmp_path / "o.mp4"
    base = ["speak", "--avatar", str(tmp_path / "x.avatar.safetensors"), "--out", str(out), "--quiet", "--json"]
    assert main([*base, "--audio", str(wav), "--prior", str(tmp_path / "none.safetensors")]) == 1
    assert "none.safetensors" in capsys.readouterr().err
    assert main([*base, "--audio", str(wav)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 13 and report["watermark_id"] == avatar.info.watermark_id and out.is_file()
    save_motion(still(4), tmp_path / "m.motion.safetensors")
    line = [*base, "--motion", str(tmp_path / "m.motion.safetensors"), "--camera", "orbit"]
    assert main(line) == 0 and json.loads(capsys.readouterr().out)["frames"] == 4
    assert main([*line, "--audio", str(wav)]) == 0 and json.loads(capsys.readouterr().out)["frames"] == 13
    assert main(base) == 1 and "--audio" in capsys.readouterr().err


def test_a_real_clip_talks(media, tmp_path, capsys):
    """Clip and voice through the command line, with the smallest avatar: counts, sound, mark."""
    import json

    from ggtalker_core.cli import main

    wav, out = write_voice(tmp_path / "v.wav", 0.9), tmp_path / "o.mp4"
    line = [
        "talk", "--video", str(media / "video" / "congress_woman_A_512.mp4"), "--end", "1.2", "--audio", str(wav),
        "--preset", "tiny", "--out", str(out), "--statement", "A test.", "--basis", "licensed_dataset", "--json",
    ]  # fmt: skip
    assert main(line) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 23 and report["audio_samples"] == 14_400
    assert main(["verify", str(out), "--json"]) == 0
    marks = json.loads(capsys.readouterr().out)
    assert marks["watermark_id"] == report["watermark_id"] and marks["state"] == "marked"
    assert marks["manifest"]["consent"]["statement"] == "A test."


def test_a_clip_without_a_face_is_told(media, tmp_path, capsys):
    from ggtalker_core.cli import main

    clip = media / "hard" / "pyfeat_no_face.mp4"
    assert main(["track", "--video", str(clip), "--end", "1", "--out", str(tmp_path / "x.track.safetensors")]) == 1
    assert "face" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_track_adapt_evaluate_commands_on_a_real_clip(media, tmp_path, capsys):
    import json

    from ggtalker_core.cli import main

    clip = ["--video", str(media / "video" / "congress_woman_B_512.mp4"), "--end", "1.4"]
    track, avatar = str(tmp_path / "x.track.safetensors"), str(tmp_path / "x.avatar.safetensors")
    assert main(["track", *clip, "--out", track, "--overlay", str(tmp_path / "x.mp4"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid_frames"] == 35
    assert open_clip(tmp_path / "x.mp4").count == 35
    assert main(["adapt", *clip, "--track", track, "--preset", "tiny", "--out", avatar, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["preset"] == "tiny"
    report = tmp_path / "e.json"
    assert main(["evaluate", *clip, "--preset", "tiny", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert (found["frames_fit"], found["frames_test"]) == (31, 4) and found["clip"] == "congress_woman_B_512.mp4"
    assert 5 < found["ours"]["head_psnr_db"] < 60 and found["nearest_frame"]["mouth_lmd_px"] > 0
    assert {p.suffix for p in tmp_path.iterdir()} == {".safetensors", ".mp4", ".json", ".png"}
