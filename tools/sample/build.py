"""Build the shipped sample: a clip of a person who does not exist, and a second synthetic voice to be spoken.

PYTHONPATH=. python tools/sample/build.py FRAMES_FOLDER [--out ggtalker_core/assets/sample] [--only START:STOP:STEP]

The person is the default head (CC0) with procedural skin, hair and clothes; the voices are espeak-ng's (its program is
GPL-3.0+, what it speaks is ours). Needs espeakng-loader and scipy. Frames already in FRAMES_FOLDER are not drawn again.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from motion import poses
from numpy.typing import NDArray
from person import Lens, Person
from scipy.signal import resample_poly

from ggtalker_core.head import load_head
from ggtalker_core.types import AudioTrack
from ggtalker_core.video import write_video

FPS, SEED = 25, 21
TEXT = (
    "Hello. The person you are looking at does not exist. My face is a computer model, my hair was grown by a few "
    "formulas, and this voice is synthetic too."
)
SECOND_TEXT = (
    "Thank you for trying the sample. Every picture and every word of this video was made by a program, from start "
    "to finish."
)
TAGS = {
    "comment": "A made-up person: procedural rendering of a CC0 head model with a synthetic voice. Nobody was filmed.",
    "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia",
}


def engine() -> Any:
    """espeak-ng from tools/speech."""
    path = Path(__file__).resolve().parents[1] / "speech" / "espeak.py"
    spec = importlib.util.spec_from_file_location("espeak", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["espeak"] = module
    spec.loader.exec_module(module)
    return module.Espeak()


def background(size: int) -> NDArray[np.float32]:
    """A plain wall, a little lighter on one side; linear light [size, size, 3]."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    glow = np.exp(-(((x - 0.35) / 0.75) ** 2 + ((y - 0.3) / 0.85) ** 2))
    return (np.array([0.30, 0.335, 0.35], np.float32) * (0.62 + 0.55 * glow[..., None])).astype(np.float32)


def identity(n_shape: int) -> torch.Tensor:
    """Some character: a small random step away from the average."""
    return 0.55 * torch.randn(1, n_shape, generator=torch.Generator().manual_seed(SEED))


def draw(folder: Path, phones: list[tuple[float, float, str]], seconds: float, chosen: slice) -> int:
    """Draw the missing frames as PNG; gives the number of frames of the clip."""
    torch.set_num_threads(1)
    head = load_head()
    moves = poses(head, phones, seconds, FPS, SEED)
    count = len(moves.expression)
    todo = [i for i in range(count)[chosen] if not (folder / f"{i:04d}.png").exists()]
    if todo:
        person, lens = Person(head, identity(head.n_shape)), Lens()
        wall, grain = background(lens.size), np.random.default_rng(1)
    for i in todo:
        picture = person.picture(
            moves.expression[i : i + 1], moves.jaw_rad[i : i + 1], moves.neck_rad[i : i + 1],
            moves.eyes_rad[i : i + 1], moves.sway_m[i], lens, wall,
        )  # fmt: skip
        picture += grain.normal(scale=0.7, size=(*picture.shape[:2], 1)).astype(np.float32)  # breaks up bands
        cv2.imwrite(str(folder / f"{i:04d}.png"), np.clip(np.rint(picture), 0, 255).astype(np.uint8)[..., ::-1])
        print(f"frame {i} of {count}", flush=True)
    return count


def frames(folder: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """The drawn frames in order."""
    for i in range(count):
        yield np.ascontiguousarray(cv2.imread(str(folder / f"{i:04d}.png"))[..., ::-1])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--out", type=Path, default=Path("ggtalker_core/assets/sample"))
    parser.add_argument("--only", default="", help="START:STOP:STEP of the frames to draw; writes no clip")
    parser.add_argument("--crf", type=int, default=20)
    args = parser.parse_args()
    args.frames.mkdir(parents=True, exist_ok=True)
    voice = engine()
    spoken = voice.speak(TEXT, "en-us+m3", rate=168, pitch=42, pitch_range=60)
    seconds = len(spoken.waveform) / spoken.sample_rate
    chosen = slice(*(int(part) if part else None for part in args.only.split(":"))) if args.only else slice(None)
    count = draw(args.frames, list(spoken.phones), seconds, chosen)
    if args.only:
        return
    args.out.mkdir(parents=True, exist_ok=True)
    wave = 0.8 * spoken.waveform / np.abs(spoken.waveform).max()
    sound = AudioTrack(torch.from_numpy(wave.astype(np.float32))[None], spoken.sample_rate)
    written = write_video(
        args.out / "sample_clip.mp4", frames(args.frames, count), fps=Fraction(FPS), size_px=(512, 512), audio=sound,
        crf=args.crf, metadata=TAGS,
    )  # fmt: skip
    second = voice.speak(SECOND_TEXT, "en-us+f4", rate=160, pitch=52, pitch_range=60)
    wave = resample_poly(second.waveform, 16000, second.sample_rate)
    write_wav(args.out / "sample_voice.wav", 0.8 * wave / np.abs(wave).max(), 16000)
    print(written, f"{len(wave) / 16000:.2f} s of voice")


def write_wav(path: Path, wave: NDArray[np.floating], rate: int) -> None:
    """16-bit mono."""
    import wave as wav

    with wav.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(wave * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main()
