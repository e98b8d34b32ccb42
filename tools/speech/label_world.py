"""Phone times of real speech in any language: text -> espeak's speech of it -> time warping on Whisper states.

python tools/speech/label_world.py --model FOLDER --texts TEXTS.json --media MEDIA_ROOT --out world_phones.json
TEXTS.json: {clip: {"language", "half", "voice": espeak voice, "lines": [[start s, end s, text], ...]}}: Whisper's text
and word times, the text mended by hand where it was plainly wrong. FOLDER holds Whisper base for CTranslate2 (see
make_encoder.py). Every line is spoken by espeak in several voices; each is warped onto the recording along layer 5 of
the encoder, and every phone gets the median of its times. Stretches without energy become pauses, those between the
lines "?". Against pocketsphinx on 24 /p b m/ of LibriVox: onsets 21 ms apart in the median, 51 ms at the 90th
percentile.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal as ss
import torch
from espeak import Espeak, UnknownVoice
from label_real import read_16k
from make_encoder import MODEL_SHA256, core, encoder_state, read_ctranslate2
from numpy.typing import NDArray

LAYER = 5
RATE = 50  # states per second
SPEAKERS = (("", 150), ("+m3", 165), ("+f2", 160), ("+f4", 175), ("+m7", 145), ("+klatt2", 160))
STAND = 0.1  # cost of standing still in one of the two
REACH_S = 0.25  # a line may begin and end this far outside of its text's times
Span = tuple[float, float, str]


def encoder_of(model: Path):
    """Whisper's encoder up to LAYER, as float32."""
    core()
    import dataclasses

    from ggtalker_core.speech.config import SpeechConfig
    from ggtalker_core.speech.encoder import SpeechEncoder

    data = (model / "model.bin").read_bytes()
    if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
        raise SystemExit(f"{model}/model.bin is not the Whisper base this was written for")
    encoder = SpeechEncoder(dataclasses.replace(SpeechConfig(), layers=LAYER))
    encoder.load_state_dict(encoder_state(read_ctranslate2(data), LAYER))
    return encoder.eval()


def states(sound: NDArray[np.floating], encoder: Any) -> NDArray[np.float32]:
    """Normalised states [T, 512] at 50 Hz."""
    from ggtalker_core.speech.features import encode_waveform

    x = torch.from_numpy(np.asarray(sound, np.float32))
    x = x * (0.5 / max(float(x.abs().max()), 1e-6))
    h = encode_waveform(x, encoder).numpy()
    h = np.clip((h - np.median(h, 0)) / (h.std(0) + 1e-3), -3, 3)
    return h / (np.linalg.norm(h, axis=1, keepdims=True) + 1e-6)


def warp(spoken: NDArray[np.floating], real: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """For every frame edge of `spoken` [N] the time in frames of `real` [M]; and the mean cost of the path.

    Plain dynamic time warping; standing still in either costs a little, the first and last frames of `real` are free.
    """
    cost = 1 - spoken @ real.T
    n, m = cost.shape
    total, came = np.full((n, m), np.inf), np.zeros((n, m), np.int8)
    total[0] = cost[0]
    for i in range(1, n):
        total[i, 0], came[i, 0] = total[i - 1, 0] + cost[i, 0] + STAND, 1
        for j in range(1, m):
            ways = (total[i - 1, j - 1], total[i - 1, j] + STAND, total[i, j - 1] + STAND)
            k = int(np.argmin(ways))
            total[i, j], came[i, j] = ways[k] + cost[i, j], k
    i, j = n - 1, int(np.argmin(total[-1]))
    mean = float(total[i, j] / n)
    first, last = np.full(n, m), np.zeros(n)
    while True:
        first[i], last[i] = min(first[i], j), max(last[i], j + 1)
        if i == 0:
            break
        if came[i, j] != 2:
            i -= 1
            j -= came[i + 1, j] == 0
        else:
            j -= 1
    edges = np.empty(n + 1)
    edges[:-1], edges[-1] = first, last[-1]
    edges[1:-1] = (first[1:] + last[:-1]) / 2
    return np.maximum.accumulate(edges), mean


def align_line(
    sound: NDArray[np.float32], text: str, voice: str, engine: Espeak, encoder: Any
) -> tuple[list[Span], float]:
    """Phones of `text` with their times in `sound` (16 kHz), and the mean cost."""
    real = states(sound, encoder)
    found: dict[tuple[str, ...], list[tuple[NDArray[np.float64], float]]] = {}
    for variant, rate in SPEAKERS:
        try:
            said = engine.speak(text, voice + variant, rate)
        except UnknownVoice:
            continue
        heard = states(ss.resample_poly(said.waveform, 16000, said.sample_rate), encoder)
        edges, cost = warp(heard, real)
        times = [a for a, _, _ in said.phones] + [said.phones[-1][1]]
        key = tuple(p for _, _, p in said.phones)
        placed = np.interp(np.array(times) * RATE, np.arange(len(edges)), edges) / RATE
        found.setdefault(key, []).append((placed, cost))
    names, takes = max(found.items(), key=lambda item: len(item[1]))
    edges = np.median(np.stack([t for t, _ in takes]), 0)
    spans = [(float(a), float(b), p) for a, b, p in zip(edges, edges[1:], names)]
    return spans, float(np.mean([c for _, c in takes]))


def pauses(sound: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Stretches of at least 150 ms that are 35 dB below the loud parts."""
    level = np.sqrt(np.convolve(sound**2, np.ones(480) / 480, "same")[::160] + 1e-12)
    quiet = level < np.percentile(level, 95) * 10 ** (-35 / 20)
    edge = np.diff(np.concatenate([[0], quiet.astype(int), [0]]))
    starts, ends = np.flatnonzero(edge == 1) / 100, np.flatnonzero(edge == -1) / 100
    return [(float(a), float(b)) for a, b in zip(starts, ends) if b - a >= 0.15]


def with_pauses(spans: list[Span], quiet: list[tuple[float, float]]) -> list[Span]:
    """Spans cut back where the recording is silent; the silences as spans of their own."""
    out: list[Span] = []
    for a, b, name in spans:
        for x, y in quiet:
            if x <= a and b <= y:
                a = b
            elif a < x < b and y >= b:
                b = x
            elif x <= a < y < b:
                a = y
        if b - a > 0.01:
            out.append((a, b, name))
    return sorted(out + [(x, y, "") for x, y in quiet])


def with_holes(spans: list[Span], seconds: float) -> list[Span]:
    """The stretches that no text covers as spans "?", which are not judged."""
    out: list[Span] = []
    end = 0.0
    for a, b, name in [*sorted(spans), (seconds, seconds, "?")]:
        if a - end > 0.02:
            out.append((end, a, "?"))
        if b > a:
            out.append((a, b, name))
        end = max(end, b)
    return out


def label(
    sound: NDArray[np.float32], entry: dict[str, Any], engine: Espeak, encoder: Any
) -> tuple[list[Span], list[float]]:
    """Phones of a whole clip and the cost of each line."""
    spans: list[Span] = []
    costs: list[float] = []
    for start, end, text in entry["lines"]:
        first = max(0.0, start - REACH_S)
        part = sound[round(first * 16000) : round((end + REACH_S) * 16000)]
        line, cost = align_line(part, text, entry["voice"], engine, encoder)
        spans += [(a + first, b + first, p) for a, b, p in line]
        costs.append(cost)
    return with_holes(with_pauses(sorted(spans), pauses(sound)), len(sound) / 16000), costs


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder, engine = encoder_of(args.model), Espeak.shared()
    result: dict[str, Any] = {}
    for name, entry in json.loads(args.texts.read_text(encoding="utf8")).items():
        sound = read_16k(args.media / name).astype(np.float32) / 32768
        spans, costs = label(sound, entry, engine, encoder)
        result[name] = {
            "language": entry["language"], "half": entry["half"], "seconds": round(len(sound) / 16000, 3),
            "phones": [[round(a, 3), round(b, 3), p] for a, b, p in spans],
        }  # fmt: skip
        lips = sum(any(c in p for c in "pbm") for _, _, p in spans)
        print(f"{name}: {len(spans)} phones, {lips} /p b m/, costs {np.round(costs, 2).tolist()}", flush=True)
    rows = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False, separators=(',', ':'))}" for k, v in result.items()]
    args.out.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf8")


if __name__ == "__main__":
    main()
