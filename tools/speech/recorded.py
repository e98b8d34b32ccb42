"""Recorded speech of real people with phone times, to train on: the sound inside a festival voice.

Debian's festvox-ru holds the 620 sentences (95 minutes, one man, BSD-like licence) that its Russian voice was cut from,
each with a label file. A folder of one's own works as well: wav/NAME.wav and lab/NAME.lab (festival's format: a line
"#", then "end-in-seconds number phone"), with phone names of the Russian voice or IPA.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from festival import VOICES, phone_name
from numpy.typing import NDArray

RUSSIAN = Path("/usr/share/festival/voices/russian/msu_ru_nsh_clunits")
Phones = list[tuple[float, float, str]]


@dataclass(frozen=True)
class Recording:
    """One sentence."""

    sound: Path
    phones: Phones  # (start s, end s, IPA); "" is a pause

    def read(self) -> tuple[NDArray[np.float32], int]:
        """The sound and its rate."""
        with wave.open(str(self.sound)) as file:
            data = np.frombuffer(file.readframes(file.getnframes()), np.int16)
            return data.astype(np.float32) / 32768, file.getframerate()


def recordings(folder: Path = RUSSIAN) -> list[Recording]:
    """Every sentence of `folder` that has both files; none when the folder is not there."""
    voice = next(v for v in VOICES if v.language == "ru")
    out: list[Recording] = []
    for path in sorted((folder / "lab").glob("*.lab")):
        sound, phones, start = folder / "wav" / f"{path.stem}.wav", Phones(), 0.0
        for line in path.read_text(errors="replace").splitlines():
            fields = line.split()
            if len(fields) == 3:
                end = float(fields[0])
                phones.append((start, end, phone_name(fields[2], voice)))
                start = end
        if sound.exists() and phones:
            out.append(Recording(sound, phones))
    return out


def piece(recording: Recording, rng: np.random.Generator, longest_s: float) -> tuple[NDArray[np.float32], int, Phones]:
    """The sentence, or when it is longer than `longest_s` a part of it between two phones."""
    sound, rate = recording.read()
    phones = [(a, min(b, len(sound) / rate), p) for a, b, p in recording.phones if a < len(sound) / rate]
    if len(sound) <= longest_s * rate:
        return sound, rate, phones
    latest = [i for i, (a, _, _) in enumerate(phones) if a <= phones[-1][1] - longest_s]
    first = int(rng.integers(len(latest))) if latest else 0
    start = phones[first][0]
    kept = [(a - start, b - start, p) for a, b, p in phones[first:] if b - start <= longest_s]
    return sound[round(start * rate) : round((start + kept[-1][1]) * rate)], rate, kept
