"""A talking avatar beside the person's own clip, as moving pictures and as strips of every frame, to be looked at.

python benchmarks/side_by_side.py AVATAR --real CLIP --out FOLDER [--seconds 7] [--stretch 2] [--voices NAME ...]

The avatar says the clip's own words and the benchmark's voices in six languages (dev half where there is one), from
GGTALKER_MEDIA. Of each: LANGUAGE.mp4 (avatar left, the person's clip right, the voice as sound, phone and lip opening
written below) and LANGUAGE.png, the mouth in every frame of the stretch that has most closures and wide vowels; for the
own words the person's mouth stands under the avatar's. Phones are written in X-SAMPA-like letters. numbers.json:
what can be counted in the rendered mouths (landmarks of the avatar's pictures against those of the person's).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
LANGUAGES = ("en", "de", "es", "fr", "ko", "zh")
LETTERS = dict(zip("əɛɔʊɪʃʒŋθðɹɾɡɑʌɜɐɒœøɯɕʑɲʂʐɨβɣçχʁɟ", "@EOUISZNTDrrgAV3aQ92Ms\\zJSZ1BGCXRj"))
CELL, COLUMNS, BAR = (150, 120), 10, 30
FPS = Fraction(25)
Frame = Any  # [H, W, 3] uint8


def letters(phone: str) -> str:
    """A phone in plain letters, for a font without IPA."""
    return "".join(LETTERS.get(c, c) for c in phone if c.isascii() or c in LETTERS) or "."


def plain(phone: str) -> str:
    """The first sound of a phone, without marks of stress; "" for silence, "?" for what nobody knows."""
    return next((c for c in phone if c.isalpha() and c not in "ˈˌː" or c == "?"), "")


def phone_at(spans: Sequence[tuple[float, float, str]], time_s: float) -> str:
    """The phone spoken at a time, "" in silence."""
    return next((p for a, b, p in spans if a <= time_s < b), "")


def busiest(spans: Sequence[tuple[float, float, str]], end_s: float, length_s: float) -> float:
    """Start of the stretch with most closures, wide vowels and round ones (up to four of a kind count in full)."""
    best, start = -1.0, 0.0
    for at in np.arange(0, max(end_s - length_s, 0) + 0.01, 0.2):
        inside = [plain(p) for a, b, p in spans if a >= at and b <= at + length_s]
        counts = [sum(p != "" and p in kind for p in inside) for kind in ("pbm", "aɑæ", "uoʊɔwy")]
        score = 2 * min(counts[0], 4) + sum(min(c, 4) for c in counts) + 0.1 * sum(counts)
        if score > best:
            best, start = score, float(at)
    return start


def write(image: Frame, text: str, at: tuple[int, int], size: float = 0.42) -> None:
    """White letters."""
    import cv2

    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)


def openings(marks: Any, valid: Any) -> tuple[Any, Any]:
    """Opening and width of the lips over the distance of the eyes, [T] each, NaN where no face was found."""
    eyes = np.linalg.norm(marks[:, 33] - marks[:, 263], axis=-1)
    high = np.linalg.norm(marks[:, 13] - marks[:, 14], axis=-1) / np.maximum(eyes, 1e-3)
    wide = np.linalg.norm(marks[:, 61] - marks[:, 291], axis=-1) / np.maximum(eyes, 1e-3)
    return np.where(valid, high, np.nan), np.where(valid, wide, np.nan)


def mouth_of(image: Frame, marks: Any) -> Frame:
    """The mouth enlarged to a cell; black where it lies outside the picture."""
    import cv2

    centre, half = marks[[13, 14, 61, 291]].mean(0), np.linalg.norm(marks[33] - marks[263]) * 0.62
    scale = CELL[0] / (2 * half)
    move = np.array([[scale, 0, CELL[0] / 2 - scale * centre[0]], [0, scale, CELL[1] / 2 - scale * centre[1]]])
    return cv2.warpAffine(image, move, CELL, flags=cv2.INTER_CUBIC)


class Seen:
    """Frames with the landmarks found in them."""

    def __init__(self, frames: list[Frame]) -> None:
        from ggtalker_core.tracking import FaceFinder

        found = FaceFinder("cpu").detect_landmarks(frames)
        self.frames, self.marks, self.valid = frames, found.landmarks_px.numpy(), found.valid.numpy()
        self.high, self.wide = openings(self.marks, self.valid)

    def cell(self, index: int, text: str) -> Frame:
        """One mouth with its label."""
        index = min(index, len(self.frames) - 1)
        out = np.zeros((CELL[1] + 14, CELL[0], 3), np.uint8)
        if self.valid[index]:
            out[14:] = mouth_of(self.frames[index], self.marks[index])
        write(out, f"{text} {self.high[index]:.2f}", (2, 11), 0.36)
        return out


def strip(rows: Sequence[tuple[str, Seen]], spans: Any, start: int, count: int) -> Frame:
    """Every frame from `start` on, ten in a row; `rows` stand under each other within each row."""
    parts: list[Frame] = []
    for first in range(start, start + count, COLUMNS):
        for title, seen in rows:
            cells = [seen.cell(i, f"{title}{i / 25:.2f} {letters(phone_at(spans, (i + 0.5) / 25))}") for i in
                     range(first, first + COLUMNS)]  # fmt: skip
            parts.append(np.concatenate(cells, 1))
    return np.concatenate(parts, 0)


def beside(avatar: Seen, real: list[Frame], spans: Any) -> Iterator[Frame]:
    """Frames of the avatar and of the clip next to each other, phone and opening below."""
    import cv2

    height = avatar.frames[0].shape[0] // 2 * 2
    for i, frame in enumerate(avatar.frames):
        other = real[i % len(real)]
        width = round(other.shape[1] * height / other.shape[0]) // 2 * 2
        pair = np.concatenate([frame[:height], cv2.resize(other, (width, height))], 1)
        page = np.zeros((height + BAR, pair.shape[1], 3), np.uint8)
        page[:height] = pair
        write(page, f"{i / 25:6.2f} s  /{letters(phone_at(spans, (i + 0.5) / 25))}/", (8, height + 20), 0.5)
        length = int(np.nan_to_num(avatar.high[i]) * 400)
        page[height + 8 : height + 22, 190 : 190 + length] = (120, 200, 255)
        yield page


def counted(seen: Seen, spans: Any) -> dict[str, float]:
    """What the eye might miss: opening in closures, wide and round vowels and pauses; jitter; one-frame pops."""
    phones = [plain(phone_at(spans, (i + 0.5) / 25)) for i in range(len(seen.high))]

    def mean(curve: Any, kind: str) -> float:
        chosen = [v for v, p in zip(curve, phones) if p and p in kind and np.isfinite(v)]
        return float(np.mean(chosen)) if chosen else float("nan")

    known = np.isfinite(seen.high)
    high = np.interp(np.arange(len(known)), np.flatnonzero(known), seen.high[known])
    speed, reach = np.diff(high), max(1e-3, float(np.percentile(high, 95) - np.percentile(high, 5)))
    pops = (speed[:-1] * speed[1:] < 0) & (np.minimum(np.abs(speed[:-1]), np.abs(speed[1:])) > 0.04)
    quiet = [h for h, p in zip(high, phones) if not p]
    return {
        "opening in p b m": mean(high, "pbm"),
        "opening in a": mean(high, "aɑæ"),
        "opening in pauses": float(np.mean(quiet)) if quiet else float("nan"),
        "width in u o": mean(seen.wide, "uoʊɔwy"),
        "width in i e": mean(seen.wide, "iɪeɛ"),
        "rms of the second difference of the opening": float(np.sqrt(np.mean(np.diff(high, 2) ** 2))),
        "speed, 95th percentile over the range": float(np.percentile(np.abs(speed), 95) / reach),
        "speed, 99th percentile over the range": float(np.percentile(np.abs(speed), 99) / reach),
        "pops of one frame a second": float(pops.sum() / (len(high) / 25)),
    }


def voices(media: Path, bench: Any, named: Sequence[str]) -> list[Any]:
    """One voice a language, of the dev half where there is one, or the named ones."""
    clips = bench.CLIPS.load_clips(media)
    if named:
        return [c for c in clips if c.name in named]
    pick = [[c for c in clips if c.language == lang and c.name.startswith("audio/")] for lang in LANGUAGES]
    return [max(of, key=lambda c: (c.half == "dev", float(c.audio.duration_s))) for of in pick]


def cut(audio: Any, seconds: float) -> Any:
    """The first seconds of a sound."""
    return type(audio)(audio.waveform[:, : int(seconds * audio.sample_rate)], audio.sample_rate)


def spoken(avatar: Any, audio: Any) -> Seen:
    """The avatar saying `audio`, as the shipped path makes it, without marks."""
    from ggtalker_core.pipeline import MarkOptions, make_motion, talking_video

    video = talking_video(
        avatar, make_motion(avatar, audio, fps=FPS), marks=MarkOptions(watermark=False, no_label=True)
    )
    return Seen([f.rgb for f in video.frames()])


def show(title: str, ours: Seen, real: Seen, voice: Any, args: argparse.Namespace, own: bool) -> dict[str, Any]:
    """Write video and strip of one voice; returns what was counted."""
    import cv2

    from ggtalker_core.video import write_video

    seconds, out = len(ours.frames) / 25, args.out / title
    pages = beside(ours, real.frames, voice.spans)
    height, width = ours.frames[0].shape[0] // 2 * 2 + BAR, next(beside(ours, real.frames, voice.spans)).shape[1]
    write_video(
        out.with_suffix(".mp4"), pages, fps=FPS, size_px=(width, height), audio=cut(voice.audio, seconds), crf=16
    )
    start = round(busiest(voice.spans, seconds, args.stretch) * 25)
    rows = [("", ours), ("real ", real)] if own else [("", ours)]
    page = strip(rows, voice.spans, start, round(args.stretch * 25))
    cv2.imwrite(str(out.with_suffix(".png")), page[..., ::-1])
    numbers: dict[str, Any] = {"voice": voice.name, "half": voice.half, "avatar": counted(ours, voice.spans)}
    if own:
        n = min(len(ours.high), len(real.high))
        both = np.isfinite(ours.high[:n]) & np.isfinite(real.high[:n])
        numbers["the person"] = counted(real, voice.spans)
        numbers["correlation of the openings"] = float(np.corrcoef(ours.high[:n][both], real.high[:n][both])[0, 1])
    return numbers


def main() -> int:
    """Command line."""
    import speech as bench

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=7.0)
    parser.add_argument("--stretch", type=float, default=2.0)
    parser.add_argument("--voices", nargs="*", default=[])
    args = parser.parse_args()
    bench.core()
    from ggtalker_core.gaussians.avatar_file import load_avatar
    from ggtalker_core.video import open_clip

    media = bench.CLIPS.media_root()
    if media is None:
        raise SystemExit("the benchmark's voices are not here: set GGTALKER_MEDIA")
    args.out.mkdir(parents=True, exist_ok=True)
    avatar, clip = load_avatar(args.avatar), open_clip(args.real)
    real = Seen([np.asarray(frame) for frame in clip.frames(0, round(args.seconds * float(clip.fps)))])
    own = [c for c in bench.CLIPS.load_clips(media) if Path(c.name).stem == args.real.stem]
    numbers: dict[str, Any] = {}
    for voice, same in [(c, True) for c in own] + [(c, False) for c in voices(media, bench, args.voices)]:
        title = f"own_{voice.language}" if same else voice.language
        ours = spoken(avatar, cut(voice.audio, args.seconds))
        numbers[title] = show(title, ours, real, voice, args, same)
        print(title, json.dumps(numbers[title]), flush=True)
    (args.out / "numbers.json").write_text(json.dumps(numbers, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))  # run as a script, outside any ComfyUI process
    sys.path.insert(0, str(HERE))
    raise SystemExit(main())
