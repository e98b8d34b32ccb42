"""Phone times of telephone prompts spoken by people in French, Spanish, Italian and Russian, for the benchmark.

python tools/speech/label_prompts.py --model FOLDER --prompts FOLDER --out benchmarks/data/prompt_phones.json
FOLDER of the prompts: where Debian's asterisk-core-sounds-{fr,es,it,ru} and their -g722 packages were unpacked
(`apt-get download`, then `dpkg -x`); CC BY-SA 3.0 (Russian: CC BY 3.0), one speaker a language, the text is in the
packages. Neither sound nor text is stored here. Times come as in label_world.py. Taken are the first `--each` prompts a
language, by the sha1 of their name, that last 2.5 to 9 s and have a text of plain words; the last bit of the sha1 says
whether a prompt belongs to the dev or the test half.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espeak import Espeak
from label_real import read_16k
from label_world import encoder_of, label

LANGUAGES = {  # folder of the sounds, espeak's voice
    "fr": ("fr_CA_f_June", "fr"),
    "es": ("es_MX_f_Allison", "es-419"),
    "it": ("it_IT_m_Carlo", "it"),
    "ru": ("ru_RU_f_IvrvoiceRU", "ru"),
}
SHORTEST_S, LONGEST_S = 2.5, 9.0


def texts(folder: Path, language: str) -> dict[str, str]:
    """{prompt: text} of one language, without sound effects and remarks."""
    name = f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    with gzip.open(folder / name, "rt", encoding="utf8", errors="replace") as file:
        lines = [line.strip().split(":", 1) for line in file if ":" in line and not line.startswith(";")]
    plain = {a.strip(): b.strip(' “”"') for a, b in lines}
    return {name: text for name, text in plain.items() if text and not re.search(r"[\[\]()<>{}*#\d]", text)}


def chosen(folder: Path, language: str, each: int) -> list[tuple[str, Path, str, str]]:
    """(name, sound, text, half) of the prompts that are taken."""
    sounds = folder / "usr/share/asterisk/sounds" / LANGUAGES[language][0]
    out: list[tuple[str, Path, str, str]] = []
    for name, text in sorted(texts(folder, language).items(), key=lambda i: hashlib.sha1(i[0].encode()).hexdigest()):
        path = sounds / f"{name}.g722"
        seconds = path.stat().st_size / 8000 if path.exists() else 0.0
        if SHORTEST_S <= seconds <= LONGEST_S:
            half = "test" if hashlib.sha1(name.encode()).digest()[-1] % 2 else "dev"
            out.append((f"{LANGUAGES[language][0]}/{name}.g722", path, text, half))
    return out[:each]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--each", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder, engine = encoder_of(args.model), Espeak.shared()
    rows: list[str] = []
    for language, (_, voice) in LANGUAGES.items():
        lips = {"dev": 0, "test": 0}
        for name, path, text, half in chosen(args.prompts, language, args.each):
            sound = read_16k(path).astype(np.float32) / 32768
            entry: dict[str, Any] = {"lines": [[0.0, len(sound) / 16000, text]], "voice": voice}
            spans, costs = label(sound, entry, engine, encoder)
            phones = [[round(a, 3), round(b, 3), p] for a, b, p in spans]
            row = {"language": language, "half": half, "cost": round(costs[0], 3), "phones": phones}
            rows.append(f"{json.dumps(name)}: {json.dumps(row, ensure_ascii=False, separators=(',', ':'))}")
            lips[half] += sum(any(c in p for c in "pbm") for _, _, p in spans)
        print(f"{language}: /p b m/ {lips}", flush=True)
        args.out.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf8")


if __name__ == "__main__":
    main()
