"""Phones with times -> mouth channels per video frame: blended dominances, then enforced closure of /p b m/.

F(t) = sum_i D_i(t) T_i / sum_i D_i(t), with D_i flat over the middle of phone i and falling exponentially on both sides
(Cohen & Massaro 1993). The lips must meet for /p b m/ and nearly for /f v w/ (the hard constraints of JALI, Edwards et
al. 2016); the mouth leads the sound a little (Schwartz & Savariaux 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .channels import GAP_MM, INDEX, N_CHANNELS, NEUTRAL_GAP_MM
from .phones import BILABIALS, NEAR_SHAPES, SHAPES, Span, simple, split_phones

CLOSED_GAP_MM = 0.1  # what is left between the lips in an enforced closure
NEAR_SHARE = 0.7  # how far lips go towards the shapes of NEAR_SHAPES
SHORTEST_SILENCE_S = 0.09  # shorter gaps belong to the phone before
SHOWN = [
    INDEX[n] for n in ("mouthFunnel", "mouthPucker", "mouthSmile", "mouthStretch", "mouthLowerDown", "mouthUpperUp")
]


@dataclass(frozen=True)
class Manner:
    """How somebody articulates: the axes along which the training targets vary, and an input of the prior."""

    amplitude: float = 1.0  # all channels
    jaw: float = 1.0  # jaw alone
    lips: float = 1.0  # rounding, spreading and lip raising
    speed: float = 1.0  # how crisply shapes change
    lead_s: float = 0.04  # how far the mouth runs ahead of the sound

    def vector(self) -> tuple[float, float, float, float]:
        """Four numbers around 0: log amplitude, log jaw, log lips, log speed."""
        a, j, l, s = np.log([self.amplitude, self.jaw, self.lips, self.speed])
        return float(a), float(j), float(l), float(s)

    @staticmethod
    def random(rng: np.random.Generator) -> Manner:
        """A speaker."""
        return Manner(
            float(rng.uniform(0.75, 1.3)), float(rng.uniform(0.75, 1.3)), float(rng.uniform(0.7, 1.3)),
            float(rng.uniform(0.85, 1.2)), 0.04 + float(rng.uniform(-0.02, 0.02)),
        )  # fmt: skip


def joined_phones(spans: list[Span], seconds: float) -> list[Span]:
    """Phones without gaps over [0, seconds]: holes become silence, short silences go to the phone before."""
    filled: list[Span] = []
    t = 0.0
    for start, end, phone in split_phones(spans):
        if start - t > 0.02:
            filled.append((t, start, ""))
        filled.append((start, end, simple(phone)))
        t = end
    if seconds > t:
        filled.append((t, seconds, ""))
    joined: list[Span] = []
    for start, end, key in filled:
        if joined and key == "" and (joined[-1][2] == "" or end - start < SHORTEST_SILENCE_S):
            joined[-1] = (joined[-1][0], end, joined[-1][2])
        else:
            joined.append((start, end, key))
    return joined


def _closure(start: float, end: float, phone: str, lead: float) -> tuple[float, float]:
    """When the lips are together for a bilabial: all of /m/, the hold (not the release) of /p b/."""
    length = end - start
    shut = end if phone == "m" else start + min(0.8 * length, max(0.05, 0.7 * length))
    start -= 0.5 * lead
    return start, max(shut - 0.5 * lead, start + 0.045)


def mouth_channels(
    spans: list[Span],
    seconds: float,
    *,
    fps: float = 25.0,
    manner: Manner = Manner(),
    jitter: np.random.Generator | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mouth channels [T, 13] and closure weight [T] in [0, 1] of phones, T = round(seconds * fps).

    `jitter` varies every phone's size and dominance (log-normal, 15 %), as no two utterances of a person are alike.
    """
    count = round(seconds * fps)
    times = (np.arange(count) + 0.5) / fps
    total, weights, shut = np.zeros((count, N_CHANNELS)), np.full((count, N_CHANNELS), 1e-6), np.zeros(count)
    near = np.zeros((count, len(NEAR_SHAPES)))
    for start, end, key in joined_phones(spans, seconds):
        shape, length, target = SHAPES[key], end - start, np.zeros(N_CHANNELS)
        size, force = (1.0, 1.0) if jitter is None else np.exp(0.15 * jitter.normal(size=2))
        for channel, value in shape.targets:
            target[channel] = value * size
        if key:
            a, b = start + 0.35 * length - manner.lead_s, start + 0.65 * length - 2 * manner.lead_s
        else:  # the mouth opens ahead of a phrase and closes soon after it
            middle = (start + end) / 2
            a, b = min(start + 0.10, middle) - manner.lead_s, max(end - 0.10, middle)
        decay = 2 * shape.decay * float(np.clip(np.sqrt(0.09 / max(length, 0.03)), 0.7, 1.6)) * manner.speed
        low, high = np.searchsorted(times, [a - 0.5, b + 0.5])
        t = times[low:high]
        fall = np.exp(-decay * np.maximum(0, np.maximum(a - t, t - b))) * force
        weight = np.repeat(shape.dominance * fall[:, None], N_CHANNELS, 1)
        weight[:, 0] = shape.jaw_dominance * fall
        total[low:high] += weight * target
        weights[low:high] += weight
        if key in BILABIALS:
            first, last = _closure(start, end, key, manner.lead_s)
            away = np.maximum(0, np.maximum(first - t, t - last))
            shut[low:high] = np.maximum(shut[low:high], np.clip(1 - away / (0.065 / manner.speed), 0, 1))
            nearest = round((first + last) / 2 * fps - 0.5)
            if 0 <= nearest < count:  # at 25 fps a short closure must not fall between two frames
                shut[nearest] = 1
        for k, phones in enumerate(NEAR_SHAPES):
            if key and key in phones:
                away = np.maximum(0, np.abs(t + 1.5 * manner.lead_s - (start + end) / 2) - 0.25 * length)
                near[low:high, k] = np.maximum(near[low:high, k], np.clip(1 - away / (0.06 / manner.speed), 0, 1))
    channels = total / weights
    channels[:, 0] *= manner.jaw
    channels[:, SHOWN] *= manner.lips
    channels *= manner.amplitude
    channels[:, 0] = np.minimum(channels[:, 0], 0.6)
    return close_lips(near_lips(channels, NEAR_SHARE * near), shut), shut.astype(np.float32)


def near_lips(channels: NDArray[np.floating], weight: NDArray[np.floating]) -> NDArray[np.floating]:
    """Channels [T, 13] taken by `weight` [T, 2] towards the shapes of NEAR_SHAPES (f v; w), never to a wider mouth.

    JALI's constraint of labiodentals (Edwards et al. 2016), and the same for glides: blended dominances leave them as
    open as their neighbours, filmed people do not (benchmarks/speech.py, tracked human mouths).
    """
    gap = np.asarray(GAP_MM)
    for k, shape in enumerate(NEAR_SHAPES.values()):
        aim = np.zeros(N_CHANNELS)
        for channel, value in shape.targets:
            aim[channel] = value
        nearer = channels + weight[:, k, None] * (aim - channels)
        channels = np.where((nearer @ gap < channels @ gap)[:, None], nearer, channels)
    return channels


def close_lips(channels: NDArray[np.floating], shut: NDArray[np.floating]) -> NDArray[np.float32]:
    """Blend `channels` [T, 13] towards closed lips by `shut` [T] in [0, 1], leaving CLOSED_GAP_MM where it is 1."""
    gap = np.asarray(GAP_MM)
    closed = np.zeros_like(channels)
    closed[:, 0] = 0.45 * channels[:, 0]  # the jaw rises half way, the lips do the rest
    # Pressed lips are broad ones on our head (0.3 makes the mouth 8 % wider, which looks like a smile), but those of
    # filmed people are 5 to 8 % narrower in /p b m/ than in speech at large: little press, and a little pucker.
    closed[:, INDEX["mouthPress"]], closed[:, INDEX["mouthRollLower"]] = 0.12, 0.12
    closed[:, INDEX["mouthRollUpper"]] = 0.06
    closed[:, INDEX["mouthPucker"]] = np.maximum(0.6 * channels[:, INDEX["mouthPucker"]], 0.18)
    need = np.maximum(0, closed @ gap + NEUTRAL_GAP_MM - CLOSED_GAP_MM)
    closed[:, INDEX["mouthClose"]] = need / -gap[INDEX["mouthClose"]]
    c = (shut * shut * (3 - 2 * shut))[:, None]
    return (channels * (1 - c) + c * closed).astype(np.float32)
