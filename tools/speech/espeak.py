"""espeak-ng 1.52 through ctypes: speech together with its phone events (IPA symbol, start time).

Needs the PyPI package espeakng-loader (library and data, GPL-3.0+): used to make training sound, never shipped.
Facts met: the library keeps global state (one engine per process); an unknown voice leaves the previous one speaking,
so the return code is checked; British English is `en`; the 1.51 of Debian reads Chinese as English letters.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PHONE_EVENT = 7
PARAMETER_RATE, PARAMETER_PITCH, PARAMETER_RANGE = 1, 3, 4


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_ms", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("id", _Id),
    ]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class UnknownVoice(ValueError):
    """espeak has no such voice, or no such voice with this variant."""


@dataclass(frozen=True)
class Spoken:
    """One utterance: sound and phones (start s, end s, IPA); an empty IPA string is a pause."""

    waveform: NDArray[np.float32]  # [S] in [-1, 1]
    sample_rate: int
    phones: tuple[tuple[float, float, str], ...]


class Espeak:
    """The engine. Only one may live in a process: `shared` gives it."""

    _one: Espeak | None = None

    @classmethod
    def shared(cls) -> Espeak:
        """The engine of this process."""
        if cls._one is None:
            cls._one = cls()
        return cls._one

    def __init__(self) -> None:
        import espeakng_loader

        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        # Output mode 2 = synchronous retrieval; options 1 phone events, 2 IPA names, 0x8000 no exit on error.
        self.sample_rate = self._lib.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0x8003)
        if self.sample_rate <= 0:
            raise RuntimeError(f"espeak_Initialize failed with {self.sample_rate}")
        self._sound: list[NDArray[np.int16]] = []
        self._events: list[tuple[float, str]] = []
        self._callback = _CALLBACK(self._receive)  # kept, or it would be collected
        self._lib.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: object, count: int, events: ctypes.Array[_Event]) -> int:
        if samples and count > 0:
            self._sound.append(np.ctypeslib.as_array(samples, (count,)).copy())  # type: ignore[call-overload]
        i = 0
        while events[i].type != 0:
            if events[i].type == PHONE_EVENT:
                name = bytes(events[i].id.string).split(b"\0")[0].decode("utf8", "replace")
                self._events.append((events[i].audio_ms / 1000, name))
            i += 1
        return 0

    def speak(self, text: str, voice: str, rate: int = 175, pitch: int = 50, pitch_range: int = 50) -> Spoken:
        """Speak `text`; `rate` in words a minute (80-450), `pitch` and `pitch_range` 0-99. Raises UnknownVoice."""
        self._sound.clear()
        self._events.clear()
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UnknownVoice(voice)
        for parameter, value in ((PARAMETER_RATE, rate), (PARAMETER_PITCH, pitch), (PARAMETER_RANGE, pitch_range)):
            self._lib.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, 0, 0, 1, None, None)
        self._lib.espeak_Synchronize()
        sound = np.concatenate(self._sound) if self._sound else np.zeros(0, np.int16)
        starts = [t for t, _ in self._events]
        ends = [*starts[1:], len(sound) / self.sample_rate]
        phones = tuple((a, b, name) for (a, name), b in zip(self._events, ends))
        return Spoken(sound.astype(np.float32) / 32768, self.sample_rate, phones)

    def spell(self, text: str, voice: str) -> str:
        """The IPA of `text` with stress marks and spaces, clauses joined by commas. Raises UnknownVoice."""
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UnknownVoice(voice)
        self._lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        rest = ctypes.c_char_p(text.encode())
        clauses: list[str] = []
        while rest.value:  # one clause a call; the pointer is moved on, and cleared after the last
            spelt = self._lib.espeak_TextToPhonemes(ctypes.byref(rest), 1, 0x02)
            clauses.append(spelt.decode("utf8", "replace").strip())
        return ", ".join(c for c in clauses if c)
