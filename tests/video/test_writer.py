"""Writing: exact counts, untouched sound, colours, tags; whole or not at all."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.types import AudioTrack, frame_count
from ggtalker_core.video import WriteConfig, open_clip, read_audio, write_video

from .helpers import number_of, numbered

FAST = WriteConfig.tiny()


def tone(seconds: float, rate: int, channels: int = 1) -> AudioTrack:
    t = torch.arange(round(seconds * rate)) / rate
    wave = 0.4 * torch.sin(2 * torch.pi * 300 * t) * (0.2 + 0.8 * (t * 3 % 1))
    return AudioTrack(wave.repeat(channels, 1), rate)


def test_frames_come_back_in_order(tmp_path):
    out = write_video(
        tmp_path / "a.mp4", (numbered(i) for i in range(60)), fps=Fraction(25), size_px=(64, 48), config=FAST
    )
    assert (out.count, out.size_px, out.audio_codec) == (60, (64, 48), None)
    assert out.bytes == (tmp_path / "a.mp4").stat().st_size
    clip = open_clip(tmp_path / "a.mp4")
    assert [number_of(f) for f in clip.frames()] == list(range(60))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


@pytest.mark.parametrize(
    "fps", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60), Fraction(24)]
)
@pytest.mark.parametrize("seconds", [0.01, 1.0, 18.3])
def test_frame_count_covers_the_sound(tmp_path, fps, seconds):
    audio = tone(seconds, 16000)
    count = frame_count(audio.duration_s, fps)
    write_video(
        tmp_path / "a.mp4",
        (numbered(i % 200, 16, 16) for i in range(count)),
        fps=fps,
        size_px=(16, 16),
        audio=audio,
        config=FAST,
    )
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        assert sum(1 for _ in file.decode(stream)) == count and stream.average_rate == (
            fps if count > 1 else stream.average_rate
        )
    assert 0 <= count / fps - audio.duration_s < 1 / fps


@pytest.mark.parametrize(
    ("rate", "channels"), [(16000, 1), (44100, 2), (48000, 1), (22050, 2), (8000, 1), (15000, 1), (16000, 8)]
)
def test_sound_is_neither_cut_nor_shifted(tmp_path, rate, channels):
    audio = tone(2.345, rate, channels)
    frames = (numbered(0, 16, 16) for _ in range(frame_count(audio.duration_s, Fraction(25))))
    out = write_video(tmp_path / "a.mp4", frames, fps=Fraction(25), size_px=(16, 16), audio=audio, config=FAST)
    assert out.audio_samples == audio.waveform.shape[1] and out.audio_codec == (
        "flac" if rate == 15000 or channels == 8 else "aac"
    )
    back = read_audio(tmp_path / "a.mp4")
    assert back.sample_rate == rate and back.waveform.shape[0] == channels
    n = audio.waveform.shape[1]
    assert n <= back.waveform.shape[1] < n + 1024, "only the codec's last block may be longer"
    a, b = audio.waveform[0], back.waveform[0, :n]
    correlation = float(torch.corrcoef(torch.stack([a, b]))[0, 1])
    assert correlation > 0.99, correlation


@pytest.mark.parametrize(
    "color", [(200, 40, 40), (30, 160, 60), (20, 40, 210), (128, 128, 128), (250, 250, 250), (224, 172, 140)]
)
def test_colours_survive(tmp_path, color):
    frame = np.full((64, 64, 3), color, np.uint8)
    write_video(tmp_path / "a.mp4", [frame] * 3, fps=Fraction(25), size_px=(64, 64), crf=10, config=FAST)
    got = next(iter(open_clip(tmp_path / "a.mp4").frames()))
    assert np.abs(got[16:48, 16:48].astype(int) - color).max() <= 3


def test_odd_sizes_get_one_more_row_and_column(tmp_path):
    frames = [numbered(i, 65, 47) for i in range(4)]
    out = write_video(tmp_path / "a.mp4", frames, fps=Fraction(25), size_px=(65, 47), config=FAST)
    assert out.size_px == (66, 48) and open_clip(tmp_path / "a.mp4").size_px == (66, 48)


def test_tags(tmp_path):
    tags = {"AIGC": '{"Label":"1"}', "comment": "made by a test", "watermark_id": "0123456789abcdef", "title": "ü"}
    write_video(tmp_path / "a.mp4", [numbered(0)], fps=Fraction(25), size_px=(64, 48), metadata=tags, config=FAST)
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert {k: file.metadata.get(k) for k in tags} == tags
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "players need the index first"


def test_into_a_stream():
    target = io.BytesIO()
    out = write_video(
        target, [numbered(i) for i in range(5)], fps=Fraction(25), size_px=(64, 48), audio=tone(0.2, 16000), config=FAST
    )
    assert out.path is None and out.bytes == len(target.getvalue())
    clip = open_clip(io.BytesIO(target.getvalue()), name="x.mp4")
    assert [number_of(f) for f in clip.frames()] == list(range(5))


class Cancelled(Exception):
    pass


def test_cancel_leaves_nothing_and_keeps_the_old_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")

    def cancel(done, total, message="", preview=None):
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_video(
            tmp_path / "a.mp4",
            (numbered(i) for i in range(9)),
            fps=Fraction(25),
            size_px=(64, 48),
            progress=cancel,
            audio=tone(0.3, 16000),
        )
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"] and (tmp_path / "a.mp4").read_bytes() == b"old"


def failing(after):
    for i in range(after):
        yield numbered(i)
    raise RuntimeError("the renderer broke")


@pytest.mark.parametrize("after", [0, 1, 7])
def test_failure_of_the_source_leaves_nothing(tmp_path, after):
    with pytest.raises(RuntimeError, match="renderer broke"):
        write_video(tmp_path / "a.mp4", failing(after), fps=Fraction(25), size_px=(64, 48), config=FAST)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "changes"),
    [
        ([], {}),
        ([np.zeros((48, 63, 3), np.uint8)], {}),
        ([np.zeros((48, 64, 3), np.float32)], {}),
        ([np.zeros((48, 64), np.uint8)], {}),
        ([np.zeros((48, 64, 3), np.uint8)], {"fps": Fraction(0)}),
        ([np.zeros((48, 64, 3), np.uint8)], {"crf": 99}),
        ([np.zeros((48, 64, 3), np.uint8)], {"size_px": (0, 48)}),
        ([np.zeros((48, 64, 3), np.uint8)], {"audio": AudioTrack(torch.zeros(9, 100), 16000)}),
    ],
)
def test_bad_input_is_refused_without_a_file(tmp_path, frames, changes):
    with pytest.raises(InvalidInputError):
        write_video(tmp_path / "a.mp4", frames, **{"fps": Fraction(25), "size_px": (64, 48), "config": FAST, **changes})
    assert list(tmp_path.iterdir()) == []


def test_bad_targets(tmp_path):
    for name in ("a.txt", "none/a.mp4", "a"):
        with pytest.raises(InvalidInputError):
            write_video(tmp_path / name, [numbered(0)], fps=Fraction(25), size_px=(64, 48))


def test_frames_are_pulled_one_at_a_time(tmp_path):
    alive = []

    def source():
        for i in range(50):
            alive.append(i)
            yield numbered(i)

    seen = []
    write_video(
        tmp_path / "a.mp4", source(), fps=Fraction(25), size_px=(64, 48), config=FAST, count=50,
        progress=lambda done, total, message="", preview=None: seen.append((done, total, len(alive))),
    )  # fmt: skip
    assert seen == [(i + 1, 50, i + 1) for i in range(50)]
