"""Speech to expression on sound that is long, quiet, clipped, noisy, whispered, sung, or no speech at all.

Made from the real voices of the benchmark. A whisper and a song are made from speech with the WORLD vocoder (PyPI
pyworld-prebuilt), where it is installed: all voicing taken away; every note held on a semitone, half as fast again as
spoken. Music: the waiting music of Debian's asterisk-moh-opsound-wav, where GGTALKER_MUSIC names its folder.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16000
Sound = Any  # [S] float32 at 16 kHz


def mono(audio: Any) -> Sound:
    """An AudioTrack as 16 kHz numbers."""
    from ggtalker_core.speech import resample

    return resample(audio.mono(), audio.sample_rate, RATE).numpy()


def track(sound: Sound, rate: int = RATE) -> Any:
    """Numbers as an AudioTrack."""
    import torch

    from ggtalker_core.types import AudioTrack

    return AudioTrack(torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None], rate)


def minutes(clips: list[Any], seconds: float = 300.0) -> Sound:
    """All voices after each other with pauses of a second, again and again, `seconds` long."""
    parts: list[Any] = []
    for clip in clips:
        parts += [mono(clip.audio), np.zeros(RATE, np.float32)]
    whole = np.concatenate(parts)
    return np.resize(whole, round(seconds * RATE))


def taken_apart(sound: Sound) -> tuple[Any, Any, Any, Any] | None:
    """The vocoder, and what it finds: pitch [T] Hz, envelope [T, F], aperiodicity [T, F]; None where it is missing."""
    try:
        import pyworld
    except ImportError:
        return None
    x = sound.astype(np.float64)
    pitch, times = pyworld.harvest(x, RATE)
    envelope, rough = pyworld.cheaptrick(x, pitch, times, RATE), pyworld.d4c(x, pitch, times, RATE)
    return pyworld, pitch, envelope, rough


def whispered(sound: Sound) -> Sound | None:
    """Speech without voicing; None without the vocoder."""
    found = taken_apart(sound)
    if found is None:
        return None
    pyworld, pitch, envelope, rough = found
    return pyworld.synthesize(np.zeros_like(pitch), envelope, np.ones_like(rough), RATE).astype(np.float32)


def sung(sound: Sound, slower: float = 1.5) -> Sound | None:
    """Speech on held semitones with vibrato, `slower` times as long; None without the vocoder."""
    found = taken_apart(sound)
    if found is None:
        return None
    pyworld, pitch, envelope, rough = found
    at = np.round(np.arange(0, len(pitch) - 1, 1 / slower)).astype(int)
    pitch, envelope, rough = pitch[at], envelope[at], rough[at]
    note = np.convolve(np.log2(np.where(pitch > 0, pitch, 150) / 55) * 12, np.ones(60) / 60, "same").round()
    vibrato = 0.3 * np.sin(2 * np.pi * 5.5 * np.arange(len(at)) / 200)
    tuned = np.where(pitch > 0, 55 * 2 ** ((note + 3 + vibrato) / 12), 0.0)
    return pyworld.synthesize(tuned, np.ascontiguousarray(envelope), np.ascontiguousarray(rough), RATE).astype(
        np.float32
    )


def music() -> list[tuple[str, Any]]:
    """(name, AudioTrack of 30 s) of the waiting music that is there."""
    folder = os.environ.get("GGTALKER_MUSIC")
    from ggtalker_core.video import read_audio

    out: list[tuple[str, Any]] = []
    for path in sorted(Path(folder).glob("*.wav")) if folder else []:
        audio = read_audio(path, max_seconds=3600)
        out.append((path.stem, type(audio)(audio.waveform[:, : 30 * audio.sample_rate], audio.sample_rate)))
    return out


def joins(gap: Any, window: int) -> float:
    """Mean speed of the lip gap where windows meet over that elsewhere."""
    speed = np.abs(np.diff(gap))
    at = np.arange(window, len(gap), window) - 1
    return float(speed[at].mean() / np.delete(speed, at).mean())


def long_rows(clips: list[Any], gap_of: Any, row: Any) -> dict[str, Any]:
    """Five minutes: time, memory, joins; the same motion as of its first half."""
    from ggtalker_core.expression.prior import load_prior

    sound, half = minutes(clips), minutes(clips, 150.0)
    gap_of(track(half[: 10 * RATE]))
    cost: list[float] = []
    memory: list[float] = []
    gaps: list[Any] = []
    for part in (half, sound):
        start = time.process_time()
        gaps.append(gap_of(track(part)))
        cost.append((time.process_time() - start) / (len(part) / RATE))
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    n = len(gaps[0]) - 250
    same = float(np.abs(gaps[0][:n] - gaps[1][:n]).max())
    return {
        "five minutes: cpu-s per s of sound over that of half of it": row(cost[1] / cost[0], at_most=1.2),
        "five minutes: peak memory above that of half of it": row(memory[1] - memory[0], at_most=150, unit="MB"),
        "five minutes: speed at window joins over speed elsewhere": row(
            joins(gaps[1], load_prior().config.window), at_most=1.2, note="1 = no seam"
        ),
        "five minutes: lip gap difference to half of it alone, max": row(same, unit="mm"),
    }


def hard_rows(clips: list[Any], gap_of: Any, row: Any, count: Any, rest_mm: float) -> dict[str, Any]:
    """Disturbed voices against the same ones undisturbed: correlation of the lip gap, closures found."""
    voices = [c for c in clips if c.language == "en" and c.half == "dev"]
    kinds: dict[str, Any] = {
        "40 dB quieter": lambda x: x * 0.01,
        "clipped by 24 dB": lambda x: np.clip(x / np.abs(x).max() * 16, -1, 1),
        "whispered (made by a vocoder)": whispered,
    }
    plain = [gap_of(track(mono(c.audio))) for c in voices]
    out: dict[str, Any] = {}
    for title, change in kinds.items():
        made = [change(mono(c.audio)) for c in voices]
        if any(m is None for m in made):
            out[f"{title}: lip gap correlation with the plain voice"] = row(None, note="needs pyworld-prebuilt")
            continue
        gaps = [gap_of(track(m)) for m in made]
        pairs = [(a[: len(b)], b[: len(a)]) for a, b in zip(plain, gaps)]
        out[f"{title}: lip gap correlation with the plain voice"] = row(
            float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])), note=f"{len(voices)} voices, dev half"
        )
        counted = count(voices, [b for _, b in pairs])
        out[f"{title}: closure recall"] = row(counted.recall)
        out[f"{title}: closure precision"] = row(counted.precision)
    song = [sung(mono(c.audio)) for c in voices]
    if song[0] is not None:
        held = [gap_of(track(s)) for s in song]
        slow = [np.interp(np.linspace(0, len(p) - 1, len(h)), np.arange(len(p)), p) for p, h in zip(plain, held)]
        out["sung (made by a vocoder): lip gap correlation with the plain voice, stretched"] = row(
            float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(held, slow)]))
        )
    for name, audio in music():
        gap = gap_of(audio) - rest_mm
        out[f"music {name}: lip gap above neutral, mean"] = row(float(gap.mean()), unit="mm")
        out[f"music {name}: lip gap above neutral, 95th percentile"] = row(float(np.percentile(gap, 95)), unit="mm")
    return out
