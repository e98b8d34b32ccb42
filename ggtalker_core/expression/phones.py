"""Phones (IPA) and the mouth shapes they aim at. The teacher of the bundled prior; see coarticulation.py.

Shapes after the common viseme sets (Oculus 15, JALI: Edwards et al. 2016), scaled so that jawOpen stays under 0.4 in
speech, as in captured talkers. Dominance and decay after Cohen & Massaro 1993; the decays are ours, tuned on lip gaps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .channels import INDEX

Span = tuple[float, float, str]  # start s, end s, IPA ("" = silence)

VOWELS = frozenset("aæɑʌɐɒuʊoɔyøœɵʉʏeɛiɪəɚɝɜᵻɨɘɯɤä")
BILABIALS = frozenset("pbm")
LABIODENTALS, GLIDES = "fvɱ", "wɥ"  # lips nearly meet: the lower one on the teeth, both rounded


@dataclass(frozen=True)
class Shape:
    """What the mouth aims at during a phone, and how strongly."""

    dominance: float  # weight against the neighbours
    decay: float  # 1/s: how fast that weight falls before and after
    jaw_dominance: float  # the same for the jaw alone: bilabials leave it to the neighbours
    targets: tuple[tuple[int, float], ...]  # (channel, weight)


def _shape(dominance: float, decay: float, jaw_dominance: float, **targets: float) -> Shape:
    return Shape(dominance, decay, jaw_dominance, tuple((INDEX[k], v) for k, v in targets.items()))


SILENCE = _shape(1.4, 9, 1.4)
_GROUPS: tuple[tuple[str, Shape], ...] = (
    ("aä", _shape(1, 6, 1, jawOpen=0.36, mouthLowerDown=0.25, mouthUpperUp=0.06)),
    ("ɑɒ", _shape(1, 6, 1, jawOpen=0.33, mouthFunnel=0.05)),
    ("æ", _shape(1, 6, 1, jawOpen=0.30, mouthStretch=0.28, mouthLowerDown=0.3, mouthUpperUp=0.12)),
    ("ʌɐ", _shape(1, 6, 1, jawOpen=0.25, mouthLowerDown=0.1)),
    ("əɘᵻ", _shape(0.8, 7, 0.8, jawOpen=0.15)),
    ("ɜɝɚ", _shape(1, 6, 1, jawOpen=0.15, mouthPucker=0.35, mouthFunnel=0.15)),
    ("ɯɤɨ", _shape(1, 6, 1, jawOpen=0.1, mouthStretch=0.12)),
    ("eɛ", _shape(1, 6, 1, jawOpen=0.20, mouthStretch=0.32, mouthSmile=0.12, mouthLowerDown=0.28)),
    ("i", _shape(1, 6, 1, jawOpen=0.09, mouthStretch=0.42, mouthSmile=0.25, mouthLowerDown=0.34, mouthUpperUp=0.14)),
    ("ɪ", _shape(1, 6.5, 1, jawOpen=0.13, mouthStretch=0.28, mouthLowerDown=0.26)),
    ("o", _shape(1, 6, 1, jawOpen=0.15, mouthFunnel=0.32, mouthPucker=0.65)),
    ("ɔ", _shape(1, 6, 1, jawOpen=0.23, mouthFunnel=0.33, mouthPucker=0.4)),
    ("uyʉ", _shape(1, 6, 1, jawOpen=0.06, mouthPucker=1.0, mouthFunnel=0.18)),
    ("ʊʏ", _shape(1, 6.5, 1, jawOpen=0.09, mouthPucker=0.68, mouthFunnel=0.18)),
    ("øœɵ", _shape(1, 6, 1, jawOpen=0.14, mouthPucker=0.65, mouthFunnel=0.28)),
    ("wɥ", _shape(1.1, 9, 0.8, jawOpen=0.05, mouthPucker=1.0, mouthFunnel=0.14)),
    (
        "pbm",
        _shape(1.3, 14, 0.35, jawOpen=0.08, mouthClose=0.085, mouthPress=0.3, mouthRollLower=0.12, mouthRollUpper=0.06),
    ),
    ("fvɱ", _shape(1.2, 11, 0.6, jawOpen=0.08, mouthRollLower=0.6, mouthUpperUp=0.22, mouthShrugLower=0.1)),
    ("βɸʋ", _shape(1, 11, 0.5, jawOpen=0.06, mouthRollLower=0.15)),
    ("szɕʑ", _shape(0.9, 11, 1.2, jawOpen=0.05, mouthStretch=0.28, mouthLowerDown=0.34, mouthUpperUp=0.18)),
    ("ʃʒʂʐ", _shape(1, 10, 1.2, jawOpen=0.05, mouthFunnel=0.36, mouthPucker=0.5, mouthUpperUp=0.1)),
    ("tdnlɾɭɫʈɖɳɽɲʎcɟ", _shape(0.45, 11, 0.5, jawOpen=0.09, mouthLowerDown=0.18)),
    ("kɡgŋxɣqχʁç", _shape(0.3, 11, 0.4, jawOpen=0.13, mouthLowerDown=0.08)),
    ("θð", _shape(0.7, 11, 0.8, jawOpen=0.09, mouthLowerDown=0.22)),
    ("ɹrɻ", _shape(0.7, 10, 0.5, jawOpen=0.10, mouthPucker=0.38, mouthFunnel=0.15)),
    ("j", _shape(0.8, 9, 0.7, jawOpen=0.08, mouthStretch=0.25, mouthLowerDown=0.2, mouthSmile=0.12)),
    ("hɦʔ", _shape(0.12, 11, 0.12, jawOpen=0.15)),
)  # fmt: skip
# What the mouth may not stay wider than in phones whose lips nearly meet, however open their neighbours are.
NEAR_SHAPES: dict[str, Shape] = {
    LABIODENTALS: _shape(1, 1, 1, jawOpen=0.09, mouthRollLower=0.6, mouthUpperUp=0.22, mouthShrugLower=0.1),
    GLIDES: _shape(1, 1, 1, jawOpen=0.04, mouthPucker=0.6, mouthFunnel=0.14),
}
GROUP_NAMES: tuple[str, ...] = ("", *(phones for phones, _ in _GROUPS))  # silence, then phones that look alike
GROUP_OF: dict[str, int] = {"": 0} | {p: i + 1 for i, (phones, _) in enumerate(_GROUPS) for p in phones}
SHAPES: dict[str, Shape] = {"": SILENCE} | {phone: shape for phones, shape in _GROUPS for phone in phones}

AFFRICATES = {
    "tʃ": "ʃ", "dʒ": "ʒ", "ts": "s", "dz": "z", "tɕ": "ɕ", "dʑ": "ʑ", "tʂ": "ʂ", "ʧ": "ʃ", "ʤ": "ʒ", "pf": "f",
}  # fmt: skip

ARPABET = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AX": "ə", "AXR": "ɚ", "AY": "aɪ", "B": "b", "CH": "tʃ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i",
    "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s",
    "SH": "ʃ", "SIL": "", "PAU": "", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z",
    "ZH": "ʒ",
}  # fmt: skip

_MARKS = re.compile("[ˈˌː\u0303\u0329\u032f\u0361ʲʰˤ.\u200d^|]")


def from_arpabet(phones: list[tuple[float, float, str]]) -> list[Span]:
    """[(start s, duration s, ARPAbet)] -> [(start s, end s, IPA)]; unknown names become a weak open phone."""
    return [(t, t + d, ARPABET.get(name.strip("012").upper(), "h")) for t, d, name in phones]


def split_phones(spans: list[Span]) -> list[Span]:
    """One simple phone per span.

    A bare mark (length, palatalisation, a language switch in brackets) carries no phone: its time goes to the phone
    before. Diphthongs and r-coloured vowels are cut in the middle.
    """
    merged: list[Span] = []
    for start, end, phone in spans:
        plain = _MARKS.sub("", phone)
        if phone and (phone[0] == "(" or not plain):
            if merged:
                merged[-1] = (merged[-1][0], end, merged[-1][2])
            continue
        merged.append((start, end, plain))
    out: list[Span] = []
    for start, end, phone in merged:
        if len(phone) >= 2 and phone[0] in VOWELS and (phone[1] in VOWELS or phone[1] in "ɹr") and phone[0] != phone[1]:
            half = (start + end) / 2
            out += [(start, half, phone[0]), (half, end, phone[1])]
        else:
            out.append((start, end, phone))
    return out


def simple(phone: str) -> str:
    """The key of SHAPES for a bare phone: affricates close like their fricative, the unknown is a weak open phone."""
    if not phone:
        return ""
    return AFFRICATES.get(phone[:2]) or (phone[0] if phone[0] in SHAPES else "h")
