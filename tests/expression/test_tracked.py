"""Tracked clips as training data: where they are cut, what the shards hold, where the sound of a video is sought."""

import importlib.util
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.expression.channels import INDEX, lip_gap_mm, to_expression
from ggtalker_core.expression.tracked import CHUNK_FRAMES, training_chunks, whole_stretches, write_shard
from ggtalker_core.expression.training_data import TrainingSet
from ggtalker_core.head import load_head
from ggtalker_core.types import AudioTrack, Track

ARKIT = load_head().arkit
TOOLS = Path(__file__).parents[2] / "tools" / "speech"


def track(frames, *, lost=(), cuts=(), fps=25, jaw=None):
    """A track whose mouth opens with the jaw."""
    channels = torch.zeros(frames, 13)
    channels[:, INDEX["jawOpen"]] = torch.zeros(frames) if jaw is None else jaw
    expression, jaw_rad = to_expression(channels, ARKIT)
    valid = torch.ones(frames, dtype=torch.bool)
    valid[list(lost)] = False
    return Track(
        head_model="default", fps=Fraction(fps), size_px=(64, 64), shape=torch.zeros(10), expression=expression,
        jaw_rad=jaw_rad, neck_rad=torch.zeros(frames, 3), eyes_rad=torch.zeros(frames, 6),
        rotation_rad=torch.zeros(frames, 3), translation_m=torch.zeros(frames, 3), intrinsics_px=torch.eye(3),
        valid=valid, error_px=torch.zeros(frames), landmarks_px=torch.zeros(frames, 478, 2), clip_sha256="",
        cuts=tuple(cuts),
    )  # fmt: skip


def test_stretches_end_at_cuts_and_where_the_face_is_lost():
    assert whole_stretches(track(300)) == [(0, 300)]
    assert whole_stretches(track(300, cuts=(130,))) == [(0, 130), (130, 300)]
    assert whole_stretches(track(300, lost=(120, 121))) == [(0, 120), (122, 300)]
    assert whole_stretches(track(300, lost=(0, 150, 299))) == [(1, 150), (151, 299)]
    assert whole_stretches(track(300, lost=(100, 200))) == []  # 4.6 s are needed


def test_a_shard_holds_what_was_tracked(tmp_path):
    seconds, fps = 10, 50
    jaw = 0.15 + 0.15 * torch.sin(torch.arange(seconds * fps) / fps * 6.0)
    audio = AudioTrack(torch.randn(1, 16000 * seconds, generator=torch.Generator().manual_seed(0)) * 0.1, 16000)
    clip = track(seconds * fps, fps=fps, jaw=jaw, cuts=(240,))
    chunks = training_chunks(audio, clip, arkit=ARKIT)
    assert [len(c.features) for c in chunks] == [120, 130]
    assert float(chunks[0].channels[:, INDEX["jawOpen"]].float().max()) == pytest.approx(0.3, abs=0.02)
    open_mm = lip_gap_mm(chunks[1].channels.float())
    assert bool(chunks[1].closure[open_mm < 1].bool().all()) and not bool(chunks[1].closure[open_mm > 3].any())
    write_shard(chunks, tmp_path / "a.safetensors")
    data = TrainingSet.load(tmp_path)
    assert data.frames.tolist() == [120, 130] and data.features.shape == (2, CHUNK_FRAMES, 1024)
    assert (
        torch.equal(data.channels[1, 0, :130], chunks[1].channels) and float(data.channels[1, 0, 130:].abs().max()) == 0
    )
    with pytest.raises(InvalidInputError, match="at least one chunk"):
        write_shard([], tmp_path / "b.safetensors")


def test_sound_shorter_than_the_picture_ends_the_chunk():
    audio = AudioTrack(torch.zeros(1, 16000 * 6), 16000)
    assert [len(c.features) for c in training_chunks(audio, track(250))] == [150]
    assert training_chunks(audio, track(60)) == []


def test_videos_and_their_sound_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(TOOLS), *sys.path])
    spec = importlib.util.spec_from_file_location("tracked_tool", TOOLS / "tracked.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    names = ("hdtf/a.mp4", "hdtf/a.txt", "news/s1/video/b.mp4", "news/s1/audio/b.wav", "more/c.MOV", "more/c.wav")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = tool.videos_in(tmp_path)
    assert [p.name for p in found] == ["a.mp4", "c.MOV", "b.mp4"]
    assert [tool.sound_of(p).name for p in found] == ["a.mp4", "c.wav", "b.wav"]
