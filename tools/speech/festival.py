"""Festival's diphone and unit-selection voices (made of recordings of real people) with phone times, to train on.

Debian: festival festvox-italp16k festvox-itapc16k festvox-ru festvox-suopuhe-lj festvox-suopuhe-mv festvox-czech-dita
festvox-czech-machac festvox-czech-ph festvox-ca-ona-hts festvox-us-slt-hts festvox-kdlpc16k; voices that are not
installed are left out. Texts must come in the encoding that a voice expects, or it spells letters.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Phones = list[tuple[float, float, str]]

_COMMON = {
    "#": "", "##": "", "pau": "", "_": "", "S": "ʃ", "Z": "ʒ", "tS": "tʃ", "dZ": "dʒ", "E": "ɛ", "O": "ɔ", "J": "ɲ",
    "L": "ʎ", "N": "ŋ", "nf": "ɱ", "ng": "ŋ", "ax": "ə", "rr": "r", "g": "ɡ", "@": "æ", "7": "ø", "B": "β", "D": "ð",
    "G": "ɣ",
}  # fmt: skip
_CZECH = {
    "ch": "x", "c": "ts", "c~": "tʃ", "s~": "ʃ", "z~": "ʒ", "r~": "ʒ", "d~": "ɟ", "t~": "c", "n~": "ɲ", "y": "i",
    "dz~": "dʒ", "o_u": "ou", "a_u": "au", "e_u": "eu",
}  # fmt: skip
_RUSSIAN = {
    "ae": "ɪ",
    "ay": "ə",
    "ur": "ʊ",
    "a": "ɐ",
    "y": "ɨ",
    "c": "ts",
    "ch": "tʃ",
    "sh": "ʃ",
    "sch": "ʃ",
    "zh": "ʒ",
    "h": "x",
}
_ENGLISH = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "axr": "ɚ", "ay": "aɪ", "ch": "tʃ", "dh": "ð", "eh": "ɛ",
    "er": "ɚ", "ey": "eɪ", "hh": "h", "ih": "ɪ", "iy": "i", "jh": "dʒ", "ow": "oʊ", "oy": "ɔɪ", "r": "ɹ", "sh": "ʃ",
    "th": "θ", "uh": "ʊ", "uw": "u", "y": "j", "zh": "ʒ",
}  # fmt: skip


@dataclass(frozen=True)
class FestivalVoice:
    """A voice, the espeak name of its language (for the texts), the encoding and the phone names it uses."""

    name: str
    language: str
    encoding: str
    names: dict[str, str]


VOICES = (
    FestivalVoice("lp_diphone", "it", "latin-1", {}),
    FestivalVoice("pc_diphone", "it", "latin-1", {}),
    FestivalVoice("czech_dita", "cs", "iso-8859-2", _CZECH),
    FestivalVoice("czech_machac", "cs", "iso-8859-2", _CZECH),
    FestivalVoice("czech_ph", "cs", "iso-8859-2", _CZECH),
    FestivalVoice("suo_fi_lj_diphone", "fi", "latin-1", {}),
    FestivalVoice("hy_fi_mv_diphone", "fi", "latin-1", {}),
    FestivalVoice("msu_ru_nsh_clunits", "ru", "utf8", _RUSSIAN),
    FestivalVoice("upc_ca_ona_hts", "ca", "latin-1", {}),
    FestivalVoice("cmu_us_slt_arctic_hts", "en-us", "ascii", _ENGLISH),
    FestivalVoice("ked_diphone", "en-us", "ascii", _ENGLISH),
)


def installed() -> list[FestivalVoice]:
    """The voices of VOICES that this machine has."""
    program = shutil.which("festival")
    if program is None:
        return []
    with tempfile.NamedTemporaryFile("w", suffix=".scm") as script:
        script.write("(print (voice.list))")
        script.flush()
        listed = subprocess.run([program, "-b", script.name], capture_output=True, text=True, check=True).stdout
    return [v for v in VOICES if v.name in listed]


def phone_name(name: str, voice: FestivalVoice) -> str:
    """The IPA of a voice's phone name; doubled letters of the Russian voice are stressed or soft."""
    bare = name.removesuffix("1").rstrip(":") or name
    for key in (name, bare):
        if key in voice.names:
            return voice.names[key]
        if key in _COMMON:
            return _COMMON[key]
    if voice.language == "ru" and len(bare) == 2 and bare[0] == bare[1]:
        return {"y": "ɨ", "h": "x"}.get(bare[0], bare[0])
    return bare


def speak_many(voice: FestivalVoice, texts: list[str]) -> list[tuple[NDArray[np.float32], int, Phones]]:
    """Sound, its rate and phones of every text that the voice could speak."""
    out: list[tuple[NDArray[np.float32], int, Phones]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lines = [f"(voice_{voice.name})"]
        for i, text in enumerate(texts):
            plain = re.sub(r'["\\()]', " ", text)
            lines.append(
                f'(unwind-protect (begin (set! u (utt.synth (Utterance Text "{plain}")))'
                f' (utt.save.segs u "{folder}/{i}.lab") (utt.save.wave u "{folder}/{i}.wav" \'riff)) (print "failed"))'
            )
        (folder / "all.scm").write_bytes("\n".join(lines).encode(voice.encoding, "ignore"))
        command = [str(shutil.which("festival")), "-b", str(folder / "all.scm")]
        subprocess.run(command, capture_output=True, check=False, timeout=300)  # a failed text leaves no file
        for i in range(len(texts)):
            if not (folder / f"{i}.wav").exists():
                continue
            with wave.open(str(folder / f"{i}.wav")) as file:
                rate = file.getframerate()
                sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
            phones, start = list[tuple[float, float, str]](), 0.0
            for line in (folder / f"{i}.lab").read_text(errors="replace").splitlines()[1:]:
                end, _, name = line.split()
                phones.append((start, float(end), phone_name(name, voice)))
                start = float(end)
            out.append((sound, rate, phones))
    return out
