"""Reading clips: the right frame at the right time, upright, whatever the file looks like."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ggtalker_core.errors import GGTalkerError, InvalidInputError, LimitExceededError, UnreadableFileError
from ggtalker_core.files import Limits
from ggtalker_core.video import GradeConfig, open_clip, pick_frames

from .helpers import make, number_of, numbered, set_display_matrix


def numbers(clip, start=0, stop=None):
    return [number_of(frame) for frame in clip.frames(start, stop)]


def test_constant_rate_is_read_frame_by_frame(tmp_path):
    clip = open_clip(make(tmp_path / "a.mp4", 30))
    assert (clip.count, clip.fps, clip.size_px) == (30, Fraction(25), (64, 48))
    assert numbers(clip) == list(range(30)) == numbers(clip)
    assert clip.duration_s == Fraction(30, 25) and clip.audio is None


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".mpg", ".webm"])
def test_every_container(tmp_path, suffix):
    codec = {".mpg": "mpeg1video", ".webm": "libvpx", ".avi": "mpeg4"}.get(suffix, "libx264")
    clip = open_clip(make(tmp_path / f"a{suffix}", 30, codec=codec))
    assert clip.count == 30 and numbers(clip) == list(range(30))


@pytest.mark.parametrize("bframes", [0, 3])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mpg"])
def test_any_range_equals_the_sequential_read(tmp_path, suffix, bframes):
    codec = "mpeg1video" if suffix == ".mpg" else "libx264"
    clip = open_clip(make(tmp_path / f"a{suffix}", 60, gop=12, bframes=bframes, codec=codec))
    whole = list(clip.frames())
    for start in (0, 1, 11, 12, 13, 24, 37, 59):
        part = list(clip.frames(start, min(60, start + 3)))
        assert all(np.array_equal(a, b) for a, b in zip(part, whole[start : start + 3])), start
        assert len(part) == min(3, 60 - start)


@pytest.mark.parametrize("suffix", [".mp4", ".mpg"])
def test_picked_frames_equal_the_sequential_read_and_ask_for_cancelling(tmp_path, suffix):
    codec = "mpeg1video" if suffix == ".mpg" else "libx264"
    clip = open_clip(make(tmp_path / f"a{suffix}", 60, gop=12, bframes=0, codec=codec), fps=Fraction(30))
    whole = list(clip.frames())
    asked = []
    for wanted in ([], [0], [5, 6, 7], [3, 14, 40, 71], list(range(72))):
        asked.clear()
        picked = list(pick_frames(clip.source, wanted, lambda *said: asked.append(said)))
        assert len(picked) == len(wanted) and bool(asked) == bool(wanted)
        assert all(np.array_equal(a, whole[k]) for a, k in zip(picked, wanted))
    for wanted in ([3, 3], [5, 2], [-1], [72]):
        with pytest.raises(InvalidInputError):
            list(pick_frames(clip.source, wanted))


def test_opening_can_be_cancelled_at_every_step(tmp_path):
    file = make(tmp_path / "a.mp4", 60)
    said = []
    open_clip(file, progress=lambda done, total, message="", preview=None: said.append((done / total, message)))
    shares = [share for share, _ in said]
    assert shares == sorted(shares) and {m for _, m in said} >= {"Looking at the clip", "Checksum"}

    def cancel(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_clip(file, progress=cancel)


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30), Fraction(50), Fraction(60), Fraction(30000, 1001)])
def test_other_rates_take_the_nearest_frame(tmp_path, fps):
    clip = open_clip(make(tmp_path / "a.mp4", 100, fps=fps))
    assert clip.count == int(Fraction(100) / fps * 25 + Fraction(1, 2))
    for k, number in enumerate(numbers(clip)):
        assert abs(number / fps - Fraction(k, 25)) <= 1 / fps / 2 + Fraction(1, 10_000)


def test_own_rate_is_kept_on_request(tmp_path):
    clip = open_clip(make(tmp_path / "a.mp4", 40, fps=Fraction(30000, 1001)), fps=None)
    assert clip.fps == Fraction(30000, 1001) and numbers(clip) == list(range(40))


def test_variable_rate_becomes_constant(tmp_path):
    steps = [Fraction(1, 30), Fraction(1, 12), Fraction(1, 25), Fraction(1, 9)] * 8
    times = [sum(steps[:i], Fraction(0)) for i in range(len(steps))]
    clip = open_clip(make(tmp_path / "v.mp4", len(times), times=times))
    for k, number in enumerate(numbers(clip)):
        nearest = min(abs(t - Fraction(k, 25)) for t in times)
        assert abs(times[number] - Fraction(k, 25)) <= nearest + Fraction(1, 10_000)
    assert clip.report.numbers["variable_rate"] == 1 and any("varies" in n for n in clip.report.notes)


def test_first_frame_need_not_be_at_time_zero(tmp_path):
    times = [Fraction(3) + Fraction(i, 25) for i in range(20)]
    assert numbers(open_clip(make(tmp_path / "a.mkv", 20, times=times))) == list(range(20))


def test_trim(tmp_path):
    clip = open_clip(make(tmp_path / "a.mp4", 100, sound_hz=16000), start_s=1.0, end_s=3.0)
    assert clip.count == 50 and numbers(clip) == list(range(25, 75))
    assert clip.audio is not None and clip.audio.waveform.shape == (1, 32000) and clip.start_s == 1.0
    for bad in ({"start_s": 9.0}, {"start_s": 2.0, "end_s": 1.0}, {"start_s": -1.0}):
        with pytest.raises(InvalidInputError, match="inside the clip"):
            open_clip(tmp_path / "a.mp4", **bad)


def test_ranges_outside_are_refused(tmp_path):
    clip = open_clip(make(tmp_path / "a.mp4", 10))
    for start, stop in ((-1, 3), (3, 2), (0, 11)):
        with pytest.raises(InvalidInputError):
            clip.frames(start, stop)
    assert list(clip.frames(4, 4)) == []


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda a: np.rot90(a, -1)),  # 90 degrees clockwise, a phone held upright
        ((-1, 0, 0, -1), lambda a: np.rot90(a, 2)),
        ((0, -1, 1, 0), lambda a: np.rot90(a, 1)),
        ((-1, 0, 0, 1), lambda a: a[:, ::-1]),  # mirrored, a selfie
    ],
)
def test_display_matrix_is_applied(tmp_path, matrix, turn):
    path = make(tmp_path / "a.mp4", 5)
    plain = list(open_clip(path).frames())
    set_display_matrix(path, matrix)
    clip = open_clip(path)
    turned = list(clip.frames())
    assert clip.size_px == (turned[0].shape[1], turned[0].shape[0])
    assert all(np.array_equal(turn(a), b) for a, b in zip(plain, turned))
    assert any("turned" in note for note in clip.report.notes)


def test_odd_sizes_stay_and_large_ones_become_even(tmp_path):
    path = make(tmp_path / "a.mp4", 3, size=(101, 75), pix_fmt="yuv444p")
    assert open_clip(path).size_px == (101, 75)
    small = open_clip(path, max_side_px=50)
    assert small.size_px == (50, 38) and next(iter(small.frames())).shape == (38, 50, 3)
    one = open_clip(make(tmp_path / "b.mkv", 2, size=(1, 1), pix_fmt="yuv444p"))
    assert one.size_px == (1, 1) and next(iter(one.frames())).shape == (1, 1, 3)


def test_alpha_and_ten_bit(tmp_path):
    alpha = make(tmp_path / "a.mov", 4, codec="png", pix_fmt="rgba")
    assert numbers(open_clip(alpha)) == [0, 1, 2, 3]
    deep = make(tmp_path / "b.mkv", 4, codec="ffv1", pix_fmt="yuv420p10le")
    assert numbers(open_clip(deep)) == [0, 1, 2, 3]


def test_sound_keeps_rate_and_length(tmp_path):
    clip = open_clip(make(tmp_path / "a.mkv", 50, sound_hz=44100))
    assert clip.audio is not None and clip.audio.sample_rate == 44100
    assert abs(clip.audio.duration_s - 2) < Fraction(3, 100)
    assert 0.3 < float(clip.audio.waveform.square().mean().sqrt()) < 0.4


def test_stream_in_memory(tmp_path):
    path = make(tmp_path / "a.mp4", 12)
    clip = open_clip(io.BytesIO(path.read_bytes()), name="upload.mp4")
    assert clip.path is None and numbers(clip, 3, 9) == list(range(3, 9))
    assert clip.sha256 == open_clip(path).sha256
    with pytest.raises(LimitExceededError):
        open_clip(io.BytesIO(path.read_bytes()), limits=Limits(max_stream_bytes=100))


def test_cuts_are_counted(tmp_path):
    rng = np.random.default_rng(0)
    scenes = [rng.integers(0, 255, (6, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8) for _ in range(3)]
    frames = [scenes[i // 10] for i in range(30)]
    clip = open_clip(make(tmp_path / "a.mp4", 30, frames=frames))
    assert clip.report.numbers["cuts"] == 2 and any("2 hard cuts" in n for n in clip.report.notes)
    calm = open_clip(make(tmp_path / "b.mp4", 30, frames=[scenes[0]] * 30))
    assert calm.report.numbers["cuts"] == 0


def test_grades(tmp_path):
    config = GradeConfig(good_seconds=1, usable_seconds=0.5, good_side_px=40, usable_side_px=20)
    bright = open_clip(make(tmp_path / "a.mp4", 30, sound_hz=16000), config=config)
    assert bright.report.grade == "good", bright.report.text()
    dark = make(tmp_path / "b.mp4", 30, frames=[numbered(i) // 16 for i in range(30)])
    assert open_clip(dark, config=config).report.grade == "poor"


def test_limits_come_before_decoding(tmp_path, monkeypatch):
    path = make(tmp_path / "a.mp4", 50)
    import ggtalker_core.video.reader as reader

    def forbidden(*args, **kwargs):
        raise AssertionError("decoded before the limits were checked")

    monkeypatch.setattr(reader, "survey", forbidden)
    monkeypatch.setattr(reader, "extract_audio", forbidden)
    for limits in (Limits(max_side_px=32), Limits(max_frames=10), Limits(max_seconds=1), Limits(max_bytes=99)):
        with pytest.raises(LimitExceededError, match=r"a\.mp4"):
            open_clip(path, limits=limits)
    with pytest.raises(InvalidInputError):
        open_clip(path, fps=Fraction(0))


def test_a_header_that_lies_about_the_size(tmp_path):
    path = make(tmp_path / "a.mp4", 4, size=(320, 240))
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1") + 28  # width and height of the sample entry
    data[at : at + 4] = (16).to_bytes(2, "big") * 2
    path.write_bytes(bytes(data))
    with pytest.raises(GGTalkerError):
        list(open_clip(path, limits=Limits(max_side_px=64)).frames())


MASQUERADES = {
    "concat.mp4": b"ffconcat version 1.0\nfile plain.mp4\n",
    "hls.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nplain.mp4\n#EXT-X-ENDLIST\n",
    "concat.mkv": b"ffconcat version 1.0\nfile plain.mp4\n",
    "text.avi": b"hello, I am a text" * 50,
    "picture.webm": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "zeros.mp4": b"\0" * 5000,
    "empty.mp4": b"",
    "image.mp4": b"\x89PNG\r\n\x1a\n" + b"\0" * 200,
    "noise.mpg": bytes(np.random.default_rng(1).integers(0, 256, 4000, dtype=np.uint8)),
    "list.ffconcat": b"ffconcat version 1.0\nfile plain.mp4\n",
    "plain.gif": b"GIF89a",
    "nosuffix": b"what",
}


@pytest.mark.parametrize("name", MASQUERADES)
def test_masquerades_are_refused(tmp_path, name):
    make(tmp_path / "plain.mp4", 5)
    (tmp_path / name).write_bytes(MASQUERADES[name])
    with pytest.raises(UnreadableFileError, match=name.split(".")[0]):
        open_clip(tmp_path / name)


def test_missing_and_folder(tmp_path):
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(UnreadableFileError):
            open_clip(path)


def test_sound_only_is_no_clip(tmp_path):
    from .test_sound import write_wav

    wav = write_wav(tmp_path / "a.wav", np.zeros((1, 1600), np.float32), 16000)
    (tmp_path / "b.mp4").write_bytes(wav.read_bytes())
    for name in ("a.wav", "b.mp4"):
        with pytest.raises(UnreadableFileError):
            open_clip(tmp_path / name)


@pytest.mark.parametrize("front", [False, True])
def test_truncated_at_each_twentieth(tmp_path, front):
    """A cut file is refused, or what is left is read and the report says so; never a crash or a hang."""
    options = {"movflags": "faststart"} if front else {}
    whole = make(tmp_path / "whole.mp4", 60, options=options, sound_hz=16000).read_bytes()
    readable = 0
    for twentieth in range(1, 20):
        path = tmp_path / f"cut{twentieth}.mp4"
        path.write_bytes(whole[: len(whole) * twentieth // 20])
        try:
            clip = open_clip(path)
            got = numbers(clip)
        except UnreadableFileError as error:
            assert path.name in str(error)
            continue
        readable += 1
        assert len(got) == clip.count and got[0] == 0
        assert got == sorted(got), "frames out of order"
        if clip.count < 58:
            assert any("breaks off" in note for note in clip.report.notes)
    assert readable >= (10 if front else 0)


def test_damage_midway_is_survived_and_told(tmp_path):
    data = bytearray(make(tmp_path / "a.mp4", 100, gop=10).read_bytes())
    start = data.index(b"mdat") + 8
    rng = np.random.default_rng(0)
    a = start + (data.index(b"moov") - start) // 2
    data[a : a + 1500] = bytes(rng.integers(0, 256, 1500, dtype=np.uint8))
    (tmp_path / "b.mp4").write_bytes(bytes(data))
    clip = open_clip(tmp_path / "b.mp4")
    got = numbers(clip)
    assert clip.count == len(got) == 100 and got[:30] == list(range(30)) and got[-10:] == list(range(90, 100))
    assert clip.report.numbers["damaged_frames"] > 0 and any("damaged" in note for note in clip.report.notes)


def test_two_readers_do_not_disturb_each_other(tmp_path):
    clip = open_clip(make(tmp_path / "a.mp4", 20))
    pairs = [(number_of(a), number_of(b)) for a, b in zip(clip.frames(0, 10), clip.frames(10, 20))]
    assert pairs == [(i, i + 10) for i in range(10)]


def test_a_short_range_of_a_long_clip_decodes_little(tmp_path, monkeypatch):
    clip = open_clip(make(tmp_path / "a.mp4", 200, gop=10))
    import ggtalker_core.video.decode as module

    seen = []
    plain = module.decode

    def counting(*args):
        for item in plain(*args):
            seen.append(item[0])
            yield item

    monkeypatch.setattr(module, "decode", counting)
    assert numbers(clip, 150, 152) == [150, 151]
    assert len(seen) <= 15


@pytest.mark.parametrize(
    ("name", "size", "count", "note"),
    [
        ("derived_vfr_512.mp4", (512, 512), 200, "varies"),
        ("derived_rotation_metadata_90.mp4", (960, 540), 100, "turned"),
        ("derived_odd_size_501x377_yuv444.mp4", (377, 377), 200, "proportions"),
        ("derived_hard_cuts_two_people.mp4", (512, 512), 200, "3 hard cuts"),
        ("liveportrait_phone_selfie_silent_720x1280.mp4", (576, 1024), 293, "no sound"),
        ("pyfeat_face_then_noface_vfr_hevc.mov", (960, 540), 160, "varies"),
    ],
)
def test_hard_clips(media: Path, name, size, count, note):
    clip = open_clip(media / "hard" / name)
    assert (clip.size_px, clip.count) == (size, count)
    assert any(note in text for text in clip.report.notes), clip.report.text()
    frame = next(iter(clip.frames(count - 2, count)))
    assert frame.shape == (size[1], size[0], 3) and frame.std() > 10


def test_hard_truncated_clip(media: Path):
    with pytest.raises(UnreadableFileError, match=r"derived_truncated\.mp4.*Copy or export"):
        open_clip(media / "hard" / "derived_truncated.mp4")
