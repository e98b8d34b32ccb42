"""What happens to a voice on its way to a recording: throat length, EQ, room, noise, telephone, codec, level."""

from __future__ import annotations

import io

import av
import numpy as np
import scipy.signal as ss
from numpy.typing import NDArray

RATE = 16000
Sound = NDArray[np.float32]


def stretch(
    x: Sound, phones: list[tuple[float, float, str]], rng: np.random.Generator
) -> tuple[Sound, list[tuple[float, float, str]]]:
    """Play faster or slower: pitch, formants and tempo move together, as between children and large men."""
    up, down = 20, int(rng.integers(17, 24))
    scale = up / down
    return ss.resample_poly(x, up, down).astype(np.float32), [(a * scale, b * scale, p) for a, b, p in phones]


def colour(x: Sound, rng: np.random.Generator) -> Sound:
    """A tilt and two random resonances or holes: microphones and voices differ."""
    x = ss.lfilter([1, float(rng.uniform(-0.6, 0.6))], [1], x)
    for _ in range(2):
        centre, q, gain = rng.uniform(150, 6000), rng.uniform(0.6, 3), rng.uniform(-8, 8)
        b, a = _peaking(float(centre), float(q), float(gain))
        x = ss.lfilter(b, a, x)
    return np.asarray(x, np.float32)


def _peaking(centre: float, q: float, gain_db: float) -> tuple[list[float], list[float]]:
    amp, w = 10 ** (gain_db / 40), 2 * np.pi * centre / RATE
    alpha, c = np.sin(w) / (2 * q), -2 * np.cos(w)
    return [1 + alpha * amp, c, 1 - alpha * amp], [1 + alpha / amp, c, 1 - alpha / amp]


def room(x: Sound, rng: np.random.Generator) -> Sound:
    """Exponentially decaying reverberation, 0.1 to 0.6 s."""
    n = int(RATE * rng.uniform(0.1, 0.6))
    tail = rng.normal(size=n) * np.exp(-6.9 * np.arange(n) / n)
    wet = ss.fftconvolve(x, tail / np.sqrt((tail**2).sum()))[: len(x)]
    return (x + rng.uniform(0.1, 0.6) * wet).astype(np.float32)


def noise(n: int, rng: np.random.Generator) -> Sound:
    """White, pink-like, brown or humming noise of unit rms."""
    kind = rng.integers(4)
    w = rng.normal(size=n)
    if kind == 1:
        w = ss.lfilter([0.05, -0.096, 0.05, -0.004], [1, -2.495, 2.017, -0.522], w)
    elif kind == 2:
        w = ss.lfilter([1], [1, -0.97], w)
    elif kind == 3:
        t = np.arange(n) / RATE
        w = sum(np.sin(2 * np.pi * k * rng.choice([50, 60, 120]) * t + k) / k for k in (1, 2, 3, 5)) + 0.2 * w
    return (w / (w.std() + 1e-9)).astype(np.float32)


def music(n: int, rng: np.random.Generator) -> Sound:
    """Decaying chords that change every half second, of unit rms."""
    t = np.arange(n) / RATE
    x = np.zeros(n, np.float32)
    for i in range(0, n, RATE // 2):
        part = t[i : i + RATE // 2]
        for f in 110 * 2 ** (rng.integers(0, 36, 3) / 12):
            x[i : i + RATE // 2] += np.sin(2 * np.pi * f * part) * np.exp(-3 * t[: len(part)])
    return (x / (x.std() + 1e-9)).astype(np.float32)


def babble(voices: list[Sound], n: int, rng: np.random.Generator) -> Sound:
    """Several people talking at once, somewhere in [0, n), of unit rms."""
    x = np.zeros(n, np.float32)
    for voice in voices:
        whole = np.resize(voice, n)  # the sentence again and again
        x += np.roll(whole, int(rng.integers(n)))
    return (x / (x.std() + 1e-9)).astype(np.float32)


def telephone(x: Sound, rng: np.random.Generator) -> Sound:
    """8 kHz, 300-3400 Hz, mu-law."""
    low = ss.resample_poly(x, 1, 2)
    low = ss.sosfilt(ss.butter(4, [300, 3400], "band", fs=8000, output="sos"), low)
    peak = np.abs(low).max() + 1e-9
    coded = np.round(np.sign(low) * np.log1p(255 * np.abs(low / peak)) / np.log(256) * 127) / 127
    low = np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255 * peak
    return ss.resample_poly(low, 2, 1)[: len(x)].astype(np.float32)


def codec(x: Sound, rng: np.random.Generator) -> Sound:
    """mp3 or opus at a low rate and back, put in step again by correlation (codecs add delay)."""
    name, container = (("libmp3lame", "mp3"), ("libopus", "ogg"))[int(rng.integers(2))]
    rate = RATE if name == "libmp3lame" else 48000
    box = io.BytesIO()
    with av.open(box, "w", format=container) as out:
        stream = out.add_stream(name, rate=rate)
        stream.bit_rate = int(rng.choice([24, 32, 48])) * 1000
        stream.layout = "mono"
        sound = x if rate == RATE else ss.resample_poly(x, rate, RATE)
        frame = av.AudioFrame.from_ndarray((np.clip(sound, -1, 1) * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or 1152
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            for packet in stream.encode(piece):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    box.seek(0)
    back: list[NDArray[np.float32]] = []
    with av.open(box) as coded:
        reader = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for decoded in coded.decode(audio=0):
            back += [f.to_ndarray()[0] for f in reader.resample(decoded)]
        back += [f.to_ndarray()[0] for f in reader.resample(None)]
    y = np.concatenate(back).astype(np.float32)
    return _in_step(y, x)


def _in_step(y: Sound, x: Sound) -> Sound:
    """`y` moved so that it fits `x` best, cut or padded to its length."""
    n = 1 << (len(x) + len(y) - 1).bit_length()
    score = np.fft.irfft(np.fft.rfft(y, n) * np.conj(np.fft.rfft(x, n)))
    reach = RATE // 4
    shift = int(np.argmax(np.concatenate([score[-reach:], score[:reach]]))) - reach
    y = y[shift:] if shift >= 0 else np.concatenate([np.zeros(-shift, np.float32), y])
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]
