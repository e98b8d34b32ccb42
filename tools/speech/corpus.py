"""Synthetic speech with phone times -> shards of encoder features, phones and mouth targets for the audio prior.

python tools/speech/corpus.py --declarations package/declaration --out FOLDER --shards 30 [--first 0]
                              [--kokoro FOLDER] [--shares espeak=.55 flite=.1 festival=.1 kokoro=.25]
A shard is 20 chunks of 30 s. Shards that are there are kept, so a stopped run goes on. Needs espeakng-loader; flite and
festival are used where they are installed, Kokoro (kokoro.py) with --kokoro FOLDER that holds model.onnx, vocab.json
and voices/. A source that is missing leaves its share to the others.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import tempfile
import time
import wave
from pathlib import Path

import augment
import numpy as np
import scipy.signal as ss
import torch
from augment import RATE, Sound
from espeak import Espeak, UnknownVoice
from festival import FestivalVoice, installed, speak_many
from kokoro import RATE as KOKORO_RATE
from kokoro import Kokoro, blend, load_voices
from make_encoder import core
from numpy.typing import NDArray
from recorded import piece, recordings
from texts import load_texts

CHUNK_S, CHUNKS = 30, 20
FRAMES = CHUNK_S * 25
MANNERS = 4  # target sets per chunk: one plain, the others random
Phones = list[tuple[float, float, str]]

NAMED_VARIANTS = """
Alex Alicia Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen Reed Storm adam
anika antonio aunty belinda benjamin boris caleb david ed edward grandma grandpa gustave ian iven john linda max michel
miguel norbert pablo paul pedro quincy rob robert sandro shelby steph travis victor zac whisper whisperf
"""
VARIANTS = [
    "", "", "", *(f"+f{i}" for i in range(1, 6)), *(f"+m{i}" for i in range(1, 9)), "+klatt2", "+klatt4", "+klatt6",
    *(f"+{name}" for name in NAMED_VARIANTS.split()),
]  # fmt: skip
FLITE_VOICES = ("slt", "rms", "awb", "slt", "rms", "awb", "kal16")
FLITE = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "b": "b", "ch": "tʃ",
    "d": "d", "dh": "ð", "eh": "ɛ", "er": "ɚ", "ey": "eɪ", "f": "f", "g": "ɡ", "hh": "h", "ih": "ɪ", "iy": "i",
    "jh": "dʒ", "k": "k", "l": "l", "m": "m", "n": "n", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "pau": "",
    "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t", "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z",
    "zh": "ʒ",
}  # fmt: skip
NONSENSE = ("es", "it", "de", "en-us", "pl", "pt-br", "fi", "cs", "tr", "id", "sw")


SHARES = {"espeak": 0.8, "flite": 0.2, "festival": 0.0, "kokoro": 0.0, "recorded": 0.0}  # of the utterances


class Speakers:
    """Draws utterances: text, voice, manner of speaking."""

    def __init__(
        self, texts: dict[str, list[str]], rng: np.random.Generator, shares: dict[str, float], kokoro: Path | None
    ):
        self.texts, self.rng, self.espeak, self.flite = texts, rng, Espeak.shared(), shutil.which("flite")
        self.voices = list(texts)
        for voice in self.voices:  # an unknown language must not be left out in silence
            self.espeak.speak("a", voice)
        self.festival = installed() if shares["festival"] else []
        self.kokoro = kokoro and Kokoro(kokoro / "model.onnx", kokoro / "vocab.json", self.espeak)
        self.kokoro_voices = load_voices(kokoro / "voices") if kokoro else []
        self.recorded = recordings() if shares["recorded"] else []
        there = {
            "espeak": True, "flite": self.flite, "festival": self.festival, "kokoro": self.kokoro,
            "recorded": self.recorded,
        }  # fmt: skip
        given = {name: share for name, share in shares.items() if there[name]}
        self.sources, self.shares = list(given), np.array(list(given.values())) / sum(given.values())
        self.waiting: list[tuple[Sound, Phones]] = []  # utterances of festival, which are made a dozen at a time

    def text(self, voice: str) -> str:
        """A sentence, shuffled words of several, or consonant-vowel nonsense."""
        rng, lines = self.rng, self.texts[voice]
        if voice in NONSENSE and rng.random() < 0.12:
            return " ".join(
                rng.choice(list("pbmfvtskldnrgw"))
                + rng.choice(list("aeiou"))
                + rng.choice(["", "m", "n", "ma", "po", "bi", "p"])
                for _ in range(7)
            )
        if voice not in ("cmn", "ja") and rng.random() < 0.4:
            words = " ".join(lines[i] for i in rng.integers(0, len(lines), 3)).split()
            rng.shuffle(words)
            return " ".join(words[: int(rng.integers(4, 14))])
        return lines[int(rng.integers(len(lines)))]

    def utterance(self) -> tuple[Sound, Phones]:
        """One utterance at 16 kHz with its phones."""
        rng = self.rng
        while True:
            source = str(rng.choice(self.sources, p=self.shares))
            x, phones = getattr(self, f"speak_{source}")()
            if not phones or not RATE / 2 <= len(x) <= 14 * RATE:
                continue
            x = np.asarray(x / (np.abs(x).max() + 1e-6) * 10 ** (rng.uniform(-14, -3) / 20), np.float32)
            return augment.stretch(x, phones, rng) if rng.random() < 0.6 else (x, phones)

    def speak_espeak(self) -> tuple[Sound, Phones]:
        """One of some 30 languages in one of some 70 made-up voices."""
        rng, voice = self.rng, str(self.rng.choice(self.voices))
        try:
            said = self.espeak.speak(
                self.text(voice), voice + str(rng.choice(VARIANTS)), int(rng.integers(120, 235)),
                int(rng.integers(10, 90)), int(rng.integers(15, 85)),
            )  # fmt: skip
        except UnknownVoice:  # not every voice has every variant
            return np.zeros(0, np.float32), []
        return ss.resample_poly(said.waveform, RATE, said.sample_rate).astype(np.float32), list(said.phones)

    def speak_festival(self) -> tuple[Sound, Phones]:
        """An utterance of a voice made of recordings, in one of seven languages."""
        if not self.waiting:
            voice: FestivalVoice = self.festival[int(self.rng.integers(len(self.festival)))]
            for x, rate, phones in speak_many(voice, [self.text(voice.language) for _ in range(12)]):
                self.waiting.append((ss.resample_poly(x, RATE, rate).astype(np.float32), phones))
        return self.waiting.pop() if self.waiting else (np.zeros(0, np.float32), [])

    def speak_kokoro(self) -> tuple[Sound, Phones]:
        """An utterance of a neural voice, or of one between two of them."""
        rng = self.rng
        voice = self.kokoro_voices[int(rng.integers(len(self.kokoro_voices)))]
        if rng.random() < 0.6:  # English has most of the voices: the other languages get more than their share
            others = [v for v in self.kokoro_voices if not v.language.startswith("en")]
            voice = others[int(rng.integers(len(others)))]
        same = [v for v in self.kokoro_voices if v.language == voice.language]
        if rng.random() < 0.5:
            voice = blend(voice, same[int(rng.integers(len(same)))], float(rng.uniform(0.2, 0.8)))
        assert self.kokoro is not None
        x, phones = self.kokoro.speak(self.text(voice.language), voice, float(rng.uniform(0.8, 1.25)))
        return ss.resample_poly(x, RATE, KOKORO_RATE).astype(np.float32), phones

    def speak_recorded(self) -> tuple[Sound, Phones]:
        """A sentence of a real person."""
        x, rate, phones = piece(self.recorded[int(self.rng.integers(len(self.recorded)))], self.rng, 11.0)
        return ss.resample_poly(x, RATE, rate).astype(np.float32), phones

    def speak_flite(self) -> tuple[Sound, Phones]:
        """An English utterance of a voice made from recordings of a person."""
        text = self.text("en-us")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.wav"
            voice = str(self.rng.choice(FLITE_VOICES))
            slow = f"duration_stretch={self.rng.uniform(0.85, 1.2):.2f}"
            command = [str(self.flite), "-voice", voice, "--setf", slow, "-psdur", "-t", text, "-o", str(path)]
            spoken = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            with wave.open(str(path)) as file:
                rate = file.getframerate()
                x = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        phones: Phones = []
        start = 0.0
        for item in spoken:
            name, end = item.rsplit(":", 1)
            phones.append((start, float(end), FLITE.get(name, "h")))
            start = float(end)
        return ss.resample_poly(x, RATE, rate).astype(np.float32), phones


def speech_chunk(speakers: Speakers) -> tuple[Sound, Phones]:
    """30 s of utterances with pauses, in one recording situation."""
    rng, total = speakers.rng, CHUNK_S * RATE
    sound, spans, position = (
        np.zeros(total, np.float32),
        list[tuple[float, float, str]](),
        int(RATE * rng.uniform(0.1, 1.5)),
    )
    while True:
        x, phones = speakers.utterance()
        if position + len(x) + 4000 > total:
            break
        if rng.random() < 0.6:
            x = augment.colour(x, rng)
        if rng.random() < 0.35:
            x = augment.room(x, rng)
        sound[position : position + len(x)] += x
        spans += [(position / RATE + a, position / RATE + b, p) for a, b, p in phones]
        position += len(x) + int(RATE * rng.uniform(0.15, 1.6))
    if rng.random() < 0.75:
        rms = float(np.sqrt((sound**2).mean()))
        sound += augment.noise(total, rng) * rms * 10 ** (-rng.uniform(8, 55) / 20)
    kind = rng.random()
    if kind < 0.2:  # something else is heard, too
        rms = float(np.sqrt((sound**2).mean()))
        if kind < 0.1:
            other = augment.music(total, rng)
        else:
            other = augment.babble([speakers.utterance()[0] for _ in range(3)], total, rng)
        sound += other * rms * 10 ** (-rng.uniform(8, 25) / 20)
    kind = rng.random()
    if kind < 0.08:
        sound = augment.telephone(sound, rng)
    elif kind < 0.22:
        sound = augment.codec(sound, rng)
    return np.clip(sound, -1, 1).astype(np.float32), spans


def quiet_chunk(rng: np.random.Generator) -> Sound:
    """30 s without speech: noise, tones, knocks, faint noise or nothing. The mouth stays shut."""
    n, kind = CHUNK_S * RATE, int(rng.integers(6))
    if kind == 0:
        return np.zeros(n, np.float32)
    x = augment.noise(n, rng)
    if kind == 1:
        x *= 10 ** (-rng.uniform(50, 80) / 20)
    elif kind == 2:
        x = augment.music(n, rng)
    elif kind == 3:  # knocks and clicks
        knocks = np.zeros(n)
        knocks[rng.integers(0, n, 40)] = rng.normal(size=40)
        x = 0.02 * x + ss.lfilter([1], [1, -1.6, 0.8], knocks)
    elif kind == 4:  # gusts of noise, as breath
        x = x * np.repeat(rng.uniform(0, 1, CHUNK_S * 2) ** 3, RATE // 2)
    peak = 10 ** (rng.uniform(-50, -4) / 20)
    return (x / (np.abs(x).max() + 1e-9) * peak).astype(np.float32)


def targets(
    phones: Phones, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Channels [MANNERS, T, 13], manner vectors [MANNERS, 4], closure of the plain manner [T]."""
    from ggtalker_core.expression.coarticulation import Manner, mouth_channels

    manners = [Manner(), *(Manner.random(rng) for _ in range(MANNERS - 1))]
    made = [mouth_channels(phones, CHUNK_S, manner=m, jitter=None if i == 0 else rng) for i, m in enumerate(manners)]
    vectors = np.array([m.vector() for m in manners], np.float32)
    return np.stack([y for y, _ in made]), vectors, made[0][1]


def shard(index: int, texts: dict[str, list[str]], path: Path, shares: dict[str, float], kokoro: Path | None) -> None:
    """Make and write shard `index`; its random numbers depend on nothing else."""
    from fractions import Fraction

    from ggtalker_core.expression.shards import write_shard
    from ggtalker_core.speech.config import SpeechConfig
    from ggtalker_core.speech.features import at_frame_rate, encode_waveform
    from ggtalker_core.speech.weights import load_encoder

    rng = np.random.default_rng(1000 + index)
    speakers, start, rows = Speakers(texts, rng, shares, kokoro), time.process_time(), []
    for i in range(CHUNKS):
        sound, phones = speech_chunk(speakers) if i else (quiet_chunk(rng), [])
        encoder = load_encoder()
        window = float(rng.choice([4.0, 8.0, 8.0, 15.0]))
        encoder.config = dataclasses.replace(SpeechConfig(), window_s=window)
        states = encode_waveform(torch.from_numpy(sound), encoder)
        features = at_frame_rate(states, 50, Fraction(25), FRAMES)
        rows.append((features.half(), *(torch.from_numpy(a) for a in targets(phones, rng)), phones))
    names = ("features", "channels", "manners", "closure")
    tensors = {n: torch.stack([r[k] for r in rows]).half().contiguous() for k, n in enumerate(names)}
    write_shard(path, tensors, [r[4] for r in rows])
    print(f"{path.name}: {CHUNKS * CHUNK_S / 60:.0f} minutes in {time.process_time() - start:.0f} cpu-s", flush=True)


def retarget(path: Path) -> None:
    """Make the targets of a shard again from its phones, after a change of the rules."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    from ggtalker_core.expression.shards import write_shard

    with safe_open(str(path), "pt") as file:
        phones = file.metadata()["phones"]
    tensors, rng = load_file(path), np.random.default_rng(int(path.stem.removeprefix("shard")))
    made = [targets([(a, b, p) for a, b, p in chunk], rng) for chunk in json.loads(phones)]
    for i, name in enumerate(("channels", "manners", "closure")):
        tensors[name] = torch.stack([torch.from_numpy(m[i]) for m in made]).half().contiguous()
    write_shard(path, tensors, json.loads(phones))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--declarations", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=30)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--tar", action="store_true", help="write WebDataset tars instead of safetensors")
    parser.add_argument("--retarget", action="store_true", help="only make the targets again")
    parser.add_argument("--kokoro", type=Path, help="folder with model.onnx, vocab.json, voices/")
    parser.add_argument("--shares", nargs="*", default=[], metavar="SOURCE=SHARE", help=f"default {SHARES}")
    args = parser.parse_args()
    shares = SHARES | {name: float(share) for name, share in (s.split("=") for s in args.shares)}
    core()
    torch.set_num_threads(1)
    if args.retarget:
        for path in sorted(args.out.glob("shard*.safetensors")):
            retarget(path)
        return
    texts = load_texts(args.declarations)
    args.out.mkdir(parents=True, exist_ok=True)
    for index in range(args.first, args.first + args.shards):
        path = args.out / f"shard{index:03d}.{'tar' if args.tar else 'safetensors'}"
        if not path.exists():
            shard(index, texts, path, shares, args.kokoro)


if __name__ == "__main__":
    main()
