"""Phone times of real English speech: Whisper text, then a pocketsphinx forced alignment.

python tools/speech/label_real.py --model FOLDER --media MEDIA_ROOT --out benchmarks/data/english_phones.json
FOLDER holds Whisper base for CTranslate2 (the packages of make_encoder.py). Needs faster-whisper, ctranslate2,
pocketsphinx (its acoustic model is in the wheel, BSD) and espeakng-loader; none of them at run time. Clips that already
have a .txt keep that text. Words that the pronouncing dictionary lacks (names, digits) are spelt by espeak. The labels
are automatic and were not corrected by hand; neither sound nor text is stored.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
from espeak import Espeak
from numpy.typing import NDArray

CLIPS = (
    "audio/librivox/en_f_librivox_0870.wav", "audio/librivox/en_f_librivox_0880.wav",
    "audio/librivox/en_f_librivox_0890.wav", "audio/librivox/en_f_librivox_0920.wav",
    "audio/librivox/en_f_librivox_0930.wav", "audio/en_f_librispeech3575.mp3", "audio/en_m_librispeech1320.mp3",
    "audio/en_f_vctk240.mp3", "audio/en_f_katie_16k.wav", "audio/en_m_steve_quiet_16k.wav",
    "audio/en_f_nvidia_28s_48k.wav", "video/congress_woman_A_512.mp4", "video/congress_woman_B_512.mp4",
)  # fmt: skip

# IPA of espeak's en-us to the ARPAbet of the dictionary; longest match first.
ARPA = {
    "tʃ": "CH", "dʒ": "JH", "aɪ": "AY", "aʊ": "AW", "eɪ": "EY", "oʊ": "OW", "ɔɪ": "OY", "ɔː": "AO", "iː": "IY",
    "uː": "UW", "ɑː": "AA", "ɜː": "ER", "ɚ": "ER", "ɝ": "ER", "ɑ": "AA", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH",
    "ɔ": "AO", "b": "B", "d": "D", "ð": "DH", "ɛ": "EH", "f": "F", "ɡ": "G", "h": "HH", "ɪ": "IH", "ᵻ": "IH",
    "i": "IY", "k": "K", "l": "L", "m": "M", "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R", "s": "S", "ʃ": "SH", "t": "T",
    "ɾ": "D", "θ": "TH", "ʊ": "UH", "u": "UW", "v": "V", "w": "W", "j": "Y", "z": "Z", "ʒ": "ZH", "o": "OW",
    "e": "EH", "a": "AA", "ʔ": "T",
}  # fmt: skip


def read_16k(path: Path) -> NDArray[np.int16]:
    """The sound of any file, 16 kHz mono int16."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
    parts: list[NDArray[np.int16]] = []
    with av.open(str(path)) as box:
        for frame in box.decode(audio=0):
            parts += [f.to_ndarray()[0] for f in resampler.resample(frame)]
    parts += [f.to_ndarray()[0] for f in resampler.resample(None)]
    return np.concatenate(parts).astype(np.int16)


def spelling(engine: Espeak, word: str) -> str:
    """ARPAbet of a word by espeak."""
    ipa = "".join(p for _, _, p in engine.speak(word, "en-us").phones)
    keys, out, i = sorted(ARPA, key=len, reverse=True), [], 0
    while i < len(ipa):
        key = next((k for k in keys if ipa.startswith(k, i)), None)
        if key:
            out.append(ARPA[key])
        i += len(key) if key else 1
    return " ".join(out)


def align(pcm: NDArray[np.int16], text: str, engine: Espeak) -> list[list[Any]]:
    """[[start s, duration s, ARPAbet]] of `text` in `pcm` (two passes: words, then phones)."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL", bestpath=False, beam=1e-80, wbeam=1e-60, pbeam=1e-80)
    words = re.findall(r"[a-z0-9']+", text.lower().replace("’", "'").replace("%", " percent "))
    words = [w.strip("'") if decoder.lookup_word(w) is None else w for w in words]
    for word in sorted(set(words)):
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, spelling(engine, word), True)
    decoder.set_align_text(" ".join(words))
    for step in range(2):
        decoder.start_utt()
        decoder.process_raw(pcm.tobytes(), full_utt=True)
        decoder.end_utt()
        if step == 0:
            decoder.set_alignment()
    return [[p.start / 100, p.duration / 100, p.name] for w in decoder.get_alignment() for p in w]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", required=True, help="folder with model.bin, config.json, tokenizer.json, vocabulary.txt"
    )
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--clips", nargs="*", default=CLIPS, help="paths below the media folder")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    from faster_whisper import WhisperModel

    whisper, engine = WhisperModel(args.model, device="cpu", compute_type="int8", cpu_threads=2), Espeak()
    result: dict[str, Any] = {}
    for name in args.clips:
        path = args.media / name
        pcm = read_16k(path)
        written = path.with_suffix(".txt")
        if written.exists():
            text = written.read_text()
        else:
            segments, _ = whisper.transcribe(pcm.astype(np.float32) / 32768, language="en", beam_size=5)
            text = " ".join(s.text.strip() for s in segments)
        phones = align(pcm, text, engine)
        result[name] = {"seconds": round(len(pcm) / 16000, 3), "phones": phones}
        bilabials = sum(p[2] in ("P", "B", "M") for p in phones)
        print(f"{name}: {len(pcm) / 16000:.1f} s, {len(phones)} phones, {bilabials} /p b m/: {text[:100]}", flush=True)
        rows = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in result.items()]
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
