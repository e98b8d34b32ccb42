"""What the speech benchmark counts on lip gaps, and the baselines that it sets beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FINE = 4  # steps per frame of the lag search: 10 ms
Gap = Any  # [T] millimetres at 25 per second


def count(clips: Sequence[Any], gaps: Sequence[Gap]) -> Any:
    """Closure counts of several clips together."""
    from ggtalker_core.expression.closure import ClosureCount, count_closures

    total = ClosureCount()
    for clip, gap in zip(clips, gaps):
        total.add(count_closures(np.maximum(gap, 0), clip.labels))
    return total


def pause_gap(clips: Sequence[Any], gaps: Sequence[Gap]) -> float:
    """Mean gap in the inner part of pauses of at least 300 ms."""
    from ggtalker_core.expression.closure import count_closures

    out: list[float] = []
    for clip, gap in zip(clips, gaps):
        inner = [(t + 0.12, d - 0.27, p) for t, d, p in clip.labels if p == "SIL" and d >= 0.3]
        out += count_closures(gap, inner).pause_gap if inner else []
    return float(np.mean(out)) if out else float("nan")


def rules_gap(clip: Any) -> Gap:
    """Ceiling: the rules that made the training targets, run on the aligned phones."""
    import torch

    from ggtalker_core.expression import channels
    from ggtalker_core.expression.coarticulation import mouth_channels

    made, _ = mouth_channels([s for s in clip.spans if s[2] != "?"], clip.frames / 25)
    return channels.lip_gap_mm(torch.from_numpy(made)).numpy()


def likeness(clip: Any, gap: Gap, rules: Gap) -> float:
    """Correlation with the rules over the frames whose phones are known."""
    times, known = (np.arange(len(gap)) + 0.5) / 25, np.ones(len(gap), bool)
    for start, end, name in clip.spans:
        if name == "?":
            known &= (times < start) | (times >= end)
    return float(np.corrcoef(gap[known], rules[known])[0, 1])


def best_shift(a: Gap, b: Gap, reach_s: float = 0.2) -> tuple[float, float]:
    """The correlation of `a` moved in time to fit `b` best, and how late `a` was (seconds, steps of 10 ms)."""
    n = min(len(a), len(b))
    fine = np.arange(n * FINE) / FINE
    x, y = np.interp(fine, np.arange(n), a[:n]), np.interp(fine, np.arange(n), b[:n])
    reach = round(reach_s * 25 * FINE)
    inner = y[reach:-reach]
    scores = [np.corrcoef(x[reach + k : len(x) - reach + k], inner)[0, 1] for k in range(-reach, reach + 1)]
    best = int(np.argmax(scores))
    return float(scores[best]), (best - reach) / (25 * FINE)


def envelope(audio: Any) -> tuple[Any, float]:
    """Loudness of the 300-3000 Hz band, [N] at 100 per second."""
    import scipy.signal as ss

    from ggtalker_core.speech import resample

    x = resample(audio.mono(), audio.sample_rate, 16000).numpy()
    band = ss.sosfiltfilt(ss.butter(2, [300, 3000], "band", fs=16000, output="sos"), x)
    return np.maximum(ss.sosfiltfilt(ss.butter(2, 10, fs=16000, output="sos"), np.abs(band))[::160], 0), 100.0


def energy_gap(audio: Any, frames: int) -> Gap:
    """Baseline: the louder, the wider."""
    loud, rate = envelope(audio)
    times = (np.arange(frames) + 0.5) / 25
    return np.interp(times, np.arange(len(loud)) / rate, np.clip(loud / np.percentile(loud, 95), 0, 1.3) ** 0.6 * 9)


def shifted(gap: Gap) -> Gap:
    """The motion of the sound moved by 200 ms."""
    return np.roll(gap, 5)


def shuffled(gaps: Sequence[Gap]) -> list[Gap]:
    """Every clip with the motion of the next one."""
    return [np.resize(gaps[(i + 1) % len(gaps)], len(gap)) for i, gap in enumerate(gaps)]
