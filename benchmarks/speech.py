"""Speech to expression on real English speech, on the shipped default path (`speak()` with its default settings).

python benchmarks/run.py speech     needs the real clips (GGTALKER_MEDIA, or shared/media beside the repository)
Closure: /p b m/ of aligned phones is hit when the mid-line lip gap of the skinned default head falls under 10 % of the
clip's 95th percentile within 40 ms (recall); a run of closed frames outside pauses is right when a /p b m/ is within
40 ms (precision). LibriVox phones come with the clips (pocketsphinx); those of the other voices lie in
data/english_phones.json (faster-whisper text, pocketsphinx times, made by tools/speech/label_real.py, not corrected by
hand).
Steps, guidance and thresholds were chosen by the clips of DEV (and three more voices that are not part of this
benchmark); the other clips were scored beside them. Speakers of DEV and TEST differ but for the LibriVox reader.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PHONES = Path(__file__).resolve().parent / "data" / "english_phones.json"
DEV = (
    "audio/librivox/en_f_librivox_0870.wav", "audio/librivox/en_f_librivox_0890.wav", "audio/en_f_librispeech3575.mp3",
    "audio/en_f_katie_16k.wav", "video/congress_woman_A_512.mp4",
)  # fmt: skip
Row = dict[str, Any]


def core() -> None:
    """Make `ggtalker_core` importable without putting the repository root on sys.path."""
    if "ggtalker_core" in sys.modules:
        return
    folder = ROOT / "ggtalker_core"
    spec = importlib.util.spec_from_file_location(
        "ggtalker_core", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules["ggtalker_core"] = module
    spec.loader.exec_module(module)


def media_root() -> Path | None:
    """The folder of real clips, or None."""
    folder = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media"))
    return folder if (folder / "audio").is_dir() else None


@dataclass
class Clip:
    """One voice with its phones and what `speak` made of it."""

    name: str
    audio: Any  # AudioTrack
    phones: list[tuple[float, float, str]]
    gap_mm: Any  # [T] signed, of the skinned head
    jaw_open: Any  # [T] ARKit weight


def read_audio(path: Path) -> Any:
    """The sound of any file at its own rate, as an AudioTrack."""
    import av
    import torch

    from ggtalker_core.types import AudioTrack

    with av.open(str(path)) as box:
        stream = box.streams.audio[0]
        converter = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
        parts = [f.to_ndarray() for frame in box.decode(audio=0) for f in converter.resample(frame)]
        return AudioTrack(torch.from_numpy(np.concatenate(parts, 1)), int(stream.rate))


def lip_gap_mm(motion: Any) -> Any:
    """Height of the upper over the lower mid-line lip vertex of the default head, [T] millimetres, signed."""
    import torch

    from ggtalker_core.head import load_head

    head, n = load_head(), motion.count
    upper, lower = (int(v) for v in head.lip_pairs[5])
    zero, out = torch.zeros(1, 3), []
    for i in range(0, n, 64):
        e, j = motion.expression[i : i + 64], motion.jaw_rad[i : i + 64]
        b = len(e)
        v = head.vertices(torch.zeros(b, head.n_shape), e, j, zero.expand(b, 3), torch.zeros(b, 6))
        out.append((v[:, upper, 1] - v[:, lower, 1]) * 1000)
    return torch.cat(out).numpy()


def neutral_gap_mm() -> float:
    """The lip gap of the resting default head."""
    import torch

    from ggtalker_core.types import MotionTrack

    return float(lip_gap_mm(MotionTrack(torch.zeros(1, 50), torch.zeros(1, 3), Fraction(25)))[0])


def jaw_open(motion: Any) -> Any:
    """The jawOpen weight, [T]."""
    from ggtalker_core.head import load_head

    arkit = load_head().arkit
    return arkit.to_weights(motion.expression, motion.jaw_rad)[:, arkit.index("jawOpen")].numpy()


def librivox_phones(path: Path) -> list[tuple[float, float, str]]:
    """The phones that come with a LibriVox clip."""
    words = json.loads(path.read_text())["w"]
    return [(p["b"], p["d"], p["t"]) for word in words for p in word["w"]]


def load_clips(media: Path, seed: int = 0) -> list[Clip]:
    """Every labelled clip, spoken with the default settings."""
    from ggtalker_core.expression import speak

    clips: list[Clip] = []
    for name, entry in json.loads(PHONES.read_text()).items():
        own = (media / name).with_suffix(".phone.json")
        phones = librivox_phones(own) if own.exists() else [(t, d, p) for t, d, p in entry["phones"]]
        audio = read_audio(media / name)
        motion = speak(audio, seed=seed)
        clips.append(Clip(name, audio, phones, lip_gap_mm(motion), jaw_open(motion)))
    return clips


def envelope(audio: Any) -> tuple[Any, float]:
    """Loudness of the 300-3000 Hz band, [N] at 100 per second."""
    import scipy.signal as ss

    from ggtalker_core.speech import resample

    x = resample(audio.mono(), audio.sample_rate, 16000).numpy()
    band = ss.sosfiltfilt(ss.butter(2, [300, 3000], "band", fs=16000, output="sos"), x)
    return np.maximum(ss.sosfiltfilt(ss.butter(2, 10, fs=16000, output="sos"), np.abs(band))[::160], 0), 100.0


def energy_gap(clip: Clip) -> Any:
    """Baseline: the louder, the wider, [T]."""
    loud, rate = envelope(clip.audio)
    times = (np.arange(len(clip.gap_mm)) + 0.5) / 25
    return np.interp(times, np.arange(len(loud)) / rate, np.clip(loud / np.percentile(loud, 95), 0, 1.3) ** 0.6 * 9)


def rules_gap(clip: Clip) -> Any:
    """Ceiling: the rules that made the training targets, run on the aligned phones, [T] millimetres."""
    import torch

    from ggtalker_core.expression import channels
    from ggtalker_core.expression.coarticulation import mouth_channels
    from ggtalker_core.expression.phones import from_arpabet

    made, _ = mouth_channels(from_arpabet(clip.phones), len(clip.gap_mm) / 25)
    return channels.lip_gap_mm(torch.from_numpy(made)).numpy()


def score(clips: list[Clip], gaps: list[Any]) -> Any:
    """Closure counts of several clips together."""
    from ggtalker_core.expression.closure import ClosureCount, count_closures

    total = ClosureCount()
    for clip, gap in zip(clips, gaps):
        total.add(count_closures(np.maximum(gap, 0), clip.phones))
    return total


def entry(value: float | None, unit: str, target: str | None, ok: bool | None, note: str = "") -> Row:
    """One row."""
    return {"value": value, "unit": unit, "target": target, "ok": ok, "note": note}


def closure_rows(clips: list[Clip]) -> dict[str, Row]:
    """Recall and precision of ours, the baselines and the ceiling."""
    groups = {
        "LibriVox": [c for c in clips if "librivox" in c.name],
        "other English voices": [c for c in clips if "librivox" not in c.name],
        "dev clips": [c for c in clips if c.name in DEV],
        "test clips": [c for c in clips if c.name not in DEV],
        "all": clips,
    }
    out: dict[str, Row] = {}
    for title, group in groups.items():
        count = score(group, [c.gap_mm for c in group])
        must = title in ("LibriVox", "other English voices", "test clips")
        for kind, value, n in (
            ("recall", count.recall, len(count.hits)),
            ("precision", count.precision, len(count.right)),
        ):
            out[f"closure {kind}, {title}"] = entry(
                value, "", ">= 0.80" if must else None, value >= 0.80 if must else None, f"n={n}"
            )
    ours = score(clips, [c.gap_mm for c in clips])
    out["lips shut in vowel frames, all"] = entry(ours.shut_in_vowels, "", "<= 0.10", ours.shut_in_vowels <= 0.10)
    moved = [np.roll(c.gap_mm, 5) for c in clips]
    other = [np.resize(clips[(i + 1) % len(clips)].gap_mm, len(c.gap_mm)) for i, c in enumerate(clips)]
    for title, gaps in (
        ("energy -> jaw", [energy_gap(c) for c in clips]), ("shuffled audio", other), ("audio moved by 200 ms", moved),
        ("rules on aligned phones (ceiling)", [rules_gap(c) for c in clips]),
    ):  # fmt: skip
        count = score(clips, gaps)
        out[f"{title}: closure recall, all"] = entry(count.recall, "", None, None, "baseline")
        out[f"{title}: closure precision, all"] = entry(count.precision, "", None, None, "baseline")
    return out


def shape_rows(clips: list[Clip]) -> dict[str, Row]:
    """Likeness to the rules, lag, amplitude."""
    from ggtalker_core.expression.closure import count_closures

    lags, likeness, pauses = [], [], []
    for c in clips:
        rules = rules_gap(c)
        r = [np.corrcoef(np.roll(c.gap_mm, -k)[10:-10], rules[10:-10])[0, 1] for k in range(-5, 6)]
        lags.append((int(np.argmax(r)) - 5) * 40)
        likeness.append(np.corrcoef(c.gap_mm, rules)[0, 1])
        inner = [(t + 0.12, d - 0.27, p) for t, d, p in c.phones if p == "SIL" and d >= 0.3]
        pauses += count_closures(c.gap_mm, inner).pause_gap if inner else []
    jaw = np.concatenate([c.jaw_open for c in clips])
    p99, rest = float(np.percentile(jaw, 99)), float(np.mean(pauses)) - neutral_gap_mm()
    r = float(np.mean(likeness))
    lag = float(np.median(lags))
    return {
        "correlation of the lip gap with the rules on aligned phones": entry(
            r, "", ">= 0.75", r >= 0.75, "mean of clips"
        ),
        "lag behind the rules on aligned phones, median": entry(
            lag, "ms", "within 40", abs(lag) <= 40, "steps of 40 ms"
        ),
        "jawOpen, 99th percentile": entry(p99, "", "<= 0.45", p99 <= 0.45),
        "jawOpen, standard deviation": entry(float(jaw.std()), "", "0.04 .. 0.13", 0.04 <= float(jaw.std()) <= 0.13),
        "lip gap in pauses >= 300 ms, above neutral, mean": entry(rest, "mm", "<= 0.6", rest <= 0.6, "inner part"),
    }


def quiet_rows() -> dict[str, Row]:
    """Digital silence and noise."""
    import torch

    from ggtalker_core.expression import speak
    from ggtalker_core.types import AudioTrack

    zeros = lip_gap_mm(speak(AudioTrack(torch.zeros(1, 64000), 16000)))
    spectrum = torch.fft.rfft(torch.randn(160000, generator=torch.Generator().manual_seed(0)))
    pink = torch.fft.irfft(spectrum / torch.arange(1, len(spectrum) + 1).sqrt())
    noisy = lip_gap_mm(speak(AudioTrack((pink / pink.abs().max() * 0.3)[None], 16000)))
    away, still, most = (
        float(np.abs(zeros - neutral_gap_mm()).max()),
        float(zeros.std()),
        float(noisy.max()) - neutral_gap_mm(),
    )
    return {
        "digital silence: lip gap away from neutral, max": entry(away, "mm", "<= 0.1", away <= 0.1),
        "digital silence: standard deviation of the lip gap": entry(still, "mm", "<= 0.02", still <= 0.02),
        "pink noise: lip gap above neutral, max": entry(most, "mm", "<= 1.0", most <= 1.0),
    }


def cost_rows(clip: Clip) -> dict[str, Row]:
    """Processor time of one voice on one thread, and the size of the weights."""
    import torch

    from ggtalker_core.expression import speak
    from ggtalker_core.expression.prior import PRIOR_FILE
    from ggtalker_core.speech import encode_speech
    from ggtalker_core.speech.weights import ENCODER_FILE

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.process_time()
        encode_speech(clip.audio, Fraction(25))
        listening = time.process_time() - start
        start = time.process_time()
        speak(clip.audio)
        whole = time.process_time() - start
    finally:
        torch.set_num_threads(threads)
    seconds = float(clip.audio.duration_s)
    size = (PRIOR_FILE.stat().st_size + ENCODER_FILE.stat().st_size) / 1e6
    return {
        "features, cpu-s per s of sound, 1 thread": entry(listening / seconds, "", None, None),
        "speak, cpu-s per s of sound, 1 thread": entry(whole / seconds, "", "<= 0.10", whole / seconds <= 0.10),
        "all speech weights": entry(size, "MB", "<= 16", size <= 16),
    }


def rows() -> dict[str, Row]:
    """All rows; without the real clips only those that need none."""
    core()
    media = media_root()
    out = quiet_rows()
    if media is None:
        out["closure recall, LibriVox"] = entry(None, "", ">= 0.80", None, "needs the real clips: set GGTALKER_MEDIA")
        return out
    clips = load_clips(media)
    longest = max(clips, key=lambda c: float(c.audio.duration_s))
    return closure_rows(clips) | shape_rows(clips) | out | cost_rows(longest)
