"""Track, adapt, speak, imitate: the whole chain on a FLAME-shaped file, and between it and the default head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.adapt import AdaptConfig, adapt_avatar
from ggtalker_core.errors import MissingWeightsError
from ggtalker_core.gaussians.avatar_file import load_avatar, save_avatar
from ggtalker_core.head import HeadModel, load_head
from ggtalker_core.head.measure import lip_opening_m
from ggtalker_core.head.retarget import for_head
from ggtalker_core.motion import motion_of_track
from ggtalker_core.pipeline import make_motion, talk
from ggtalker_core.tracking import TrackConfig, track_clip
from ggtalker_core.types import Avatar, ConsentRecord, ReferenceClip, Track
from ggtalker_core.video import open_clip, read_audio

SAMPLE = Path(__file__).resolve().parents[2] / "ggtalker_core" / "assets" / "sample"
CONSENT = ConsentRecord("synthetic_person", "A made-up person.", "2026-01-01")


@pytest.fixture(scope="module")
def clip() -> ReferenceClip:
    return open_clip(SAMPLE / "sample_clip.mp4", end_s=0.64, max_side_px=256)


@pytest.fixture(scope="module")
def track(theirs: HeadModel, clip: ReferenceClip) -> Track:
    return track_clip(clip, TrackConfig.tiny(), head=theirs)


@pytest.fixture(scope="module")
def avatar(clip: ReferenceClip, track: Track) -> Avatar:
    return adapt_avatar(clip, track, AdaptConfig.tiny(), consent=CONSENT)


def test_it_tracks_as_well_as_the_default_head(track, theirs, clip):
    ours = track_clip(clip, TrackConfig.tiny(), landmarks=track.landmarks_px)
    assert track.head_model == theirs.name and bool(track.valid.all())
    assert float(track.error_px.mean()) < 1.5 * float(ours.error_px.mean()) + 0.2


def test_the_lips_of_both_heads_open_together(track, theirs, clip):
    ours = track_clip(clip, TrackConfig.tiny(), landmarks=track.landmarks_px)
    gaps = []
    for made, head in ((track, theirs), (ours, load_head("default"))):
        rest = torch.zeros(made.count, 3)
        gaps.append(lip_opening_m(head.vertices(made.shape, made.expression, made.jaw_rad, rest, made.eyes_rad), head))
    assert float(torch.corrcoef(torch.stack(gaps))[0, 1]) > 0.8


def test_the_avatar_speaks_and_is_saved(avatar, theirs, tmp_path):
    assert avatar.head_model == theirs.name
    back = load_avatar(save_avatar(avatar, tmp_path / "flame.avatar.safetensors"))
    audio = read_audio(next(SAMPLE.glob("sample_voice*")), max_seconds=600)
    short = type(audio)(audio.waveform[:, : round(0.6 * audio.sample_rate)], audio.sample_rate)
    written = talk(back, short, tmp_path / "o.mp4")
    assert written.count == 15
    frames = np.stack(list(open_clip(tmp_path / "o.mp4").frames()))
    assert frames.std() > 10


def test_speech_opens_the_lips_of_the_flame_head_as_far(avatar, theirs):
    audio = read_audio(next(SAMPLE.glob("sample_voice*")), max_seconds=600)
    spoken = make_motion(avatar, audio)
    ours, gaps = load_head("default"), []
    plain = for_head(spoken, theirs.name, "default")
    for motion, head in ((spoken, theirs), (plain, ours)):
        rest = head.rest(motion.count)
        posed = head.vertices(**{**rest, "expression": motion.expression, "jaw_rad": motion.jaw_rad})
        gaps.append(lip_opening_m(posed, head))
    assert float(torch.corrcoef(torch.stack(gaps))[0, 1]) > 0.95
    assert 0.6 < float(gaps[0].std() / gaps[1].std()) < 1.6


def test_a_clip_of_the_default_head_drives_the_flame_avatar(avatar, clip, track, theirs):
    ours = track_clip(clip, TrackConfig.tiny(), landmarks=track.landmarks_px)
    carried = for_head(ours, "default", theirs.name)
    assert carried.head_model == theirs.name
    motion = motion_of_track(carried, "relative", avatar.body.track)
    assert motion.count == ours.count and bool(motion.expression.isfinite().all())


def test_a_missing_file_says_what_to_do():
    with pytest.raises(MissingWeightsError, match="convert_flame"):
        load_head("/nowhere/flame.safetensors")
