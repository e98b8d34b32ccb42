"""Reading sound: untouched samples, clear refusals."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from ggtalker_core.errors import LimitExceededError, UnreadableFileError
from ggtalker_core.video import read_audio

from .helpers import make


def write_wav(path: Path, samples: np.ndarray, rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(samples * 32767).astype("<i2").T.tobytes())
    return path


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_wav_is_exact(tmp_path, rate, channels):
    rng = np.random.default_rng(rate)
    samples = np.round(rng.uniform(-1, 1, (channels, 5001)) * 32767) / 32767
    audio = read_audio(write_wav(tmp_path / "a.wav", samples, rate))
    assert audio.sample_rate == rate and audio.waveform.shape == (channels, 5001)
    assert np.abs(audio.waveform.numpy() * 32768 / 32767 - samples).max() < 1e-6


def test_one_sample(tmp_path):
    audio = read_audio(write_wav(tmp_path / "a.wav", np.full((1, 1), 0.5), 16000))
    assert audio.waveform.shape == (1, 1)


def test_empty_wav_and_silent_video(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros((1, 0)), 16000)
    make(tmp_path / "b.mp4", 5)
    for name in ("a.wav", "b.mp4"):
        with pytest.raises(UnreadableFileError, match="no sound"):
            read_audio(tmp_path / name)


def test_sound_of_a_video(tmp_path):
    audio = read_audio(make(tmp_path / "b.mp4", 25, sound_hz=16000))
    assert audio.sample_rate == 16000 and abs(audio.waveform.shape[1] - 16000) < 1024


def test_too_long(tmp_path):
    with pytest.raises(LimitExceededError, match=r"0\.1 s"):
        read_audio(write_wav(tmp_path / "a.wav", np.zeros((1, 16000)), 16000), max_seconds=0.1)


def test_not_finite(tmp_path):
    import struct

    data = np.array([0.0, np.nan, np.inf, 1.0], "<f4").tobytes()
    head = (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 3, 1, 16000, 64000, 4, 32)
    )
    (tmp_path / "a.wav").write_bytes(head + b"data" + struct.pack("<I", len(data)) + data)
    with pytest.raises(UnreadableFileError, match="not finite"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("cut", range(0, 100, 5))
def test_truncated_wav(tmp_path, cut):
    whole = write_wav(tmp_path / "w.wav", np.zeros((1, 400)), 16000).read_bytes()
    (tmp_path / "c.wav").write_bytes(whole[: len(whole) * cut // 100])
    try:
        assert read_audio(tmp_path / "c.wav").waveform.shape[1] <= 400
    except UnreadableFileError as error:
        assert "c.wav" in str(error)


def test_real_voices(media):
    katie = read_audio(media / "audio" / "en_f_katie_16k.wav")
    assert katie.sample_rate == 16000 and abs(float(katie.duration_s) - 18.3) < 0.1
    assert read_audio(media / "audio" / "en_f_vctk240.mp3").sample_rate == 24000
    assert read_audio(media / "audio" / "derived_silence_4s_44k1_stereo.wav").waveform.shape[0] == 2
