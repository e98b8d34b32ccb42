"""Small videos made for the tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BAR = 4  # every frame carries its number as a binary bar code of blocks this high and wide x 2


def numbered(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame that carries its number in 8 black or white columns (survives lossy coding and scaling)."""
    frame = np.full((height, width, 3), 96, np.uint8)
    for bit in range(8):
        x0, x1 = bit * width // 8, (bit + 1) * width // 8
        frame[: height // 2, x0:x1] = 235 if index >> bit & 1 else 16
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number that `numbered` wrote."""
    height, width = frame.shape[:2]
    row = frame[height // 8 : height * 3 // 8].mean(axis=(0, 2))
    return sum(int(row[int((bit + 0.5) * width / 8)] > 96) << bit for bit in range(8))


def make(
    path: Path,
    count: int = 25,
    *,
    fps: Fraction = Fraction(25),
    size: tuple[int, int] = (64, 48),
    times: list[Fraction] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 10,
    sound_hz: int | None = None,
    bframes: int = 0,
    options: dict[str, str] | None = None,
    frames: list[np.ndarray] | None = None,
) -> Path:
    """Write a video with PyAV; `times` (seconds) makes it variable in rate."""
    output = av.open(str(path), "w", options=options or {})
    stream = output.add_stream(codec, rate=fps)
    stream.width, stream.height, stream.pix_fmt = size[0], size[1], pix_fmt
    stream.codec_context.gop_size = gop
    if codec == "libx264":
        stream.codec_context.options = {"crf": "10", "preset": "ultrafast", "bf": str(bframes), "sc_threshold": "0"}
    fixed_rate = codec.startswith("mpeg")
    stream.codec_context.time_base = 1 / fps if fixed_rate else Fraction(1, 90_000)
    sound_codec = "mp2" if path.suffix == ".mpg" else "aac"
    sound = output.add_stream(sound_codec, rate=sound_hz, layout="mono") if sound_hz else None
    for i in range(count):
        array = frames[i] if frames is not None else numbered(i, *size)
        picture = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(format=pix_fmt)
        moment = times[i] if times is not None else i / fps
        picture.time_base, picture.pts = Fraction(1, 90_000), round(moment * 90_000)
        output.mux(stream.encode(picture))
    output.mux(stream.encode(None))
    if sound is not None:
        n = int(count / fps * sound_hz)
        wave = (0.5 * np.sin(2 * np.pi * 220 * np.arange(n) / sound_hz)).astype(np.float32)
        for a in range(0, n, 1024):
            block = av.AudioFrame.from_ndarray(wave[None, a : a + 1024].copy(), format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = sound_hz, a, Fraction(1, sound_hz)
            output.mux(sound.encode(block))
        output.mux(sound.encode(None))
    output.close()
    return path


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Rewrite the matrix (a b c d) in the video track's header of an mp4."""
    import struct

    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4
    version = data[start]
    at = start + (4 + 32 + 52 - 36 - 16 + 4 if version else 4 + 20 + 16)
    a, b, c, d = (v * 65536 for v in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
