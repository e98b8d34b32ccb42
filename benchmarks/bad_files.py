"""Files that no camera writes, for benchmarks/bad_input.py."""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path


def raw(path: Path, data: bytes) -> Path:
    """Those bytes."""
    path.write_bytes(data)
    return path


def directory(path: Path) -> Path:
    """A folder where a file belongs."""
    path.mkdir()
    return path


def video(path: Path, size_px: tuple[int, int], count: int = 30) -> Path:
    """Grey frames."""
    import av
    import numpy as np

    codec = "libx264" if max(size_px) <= 4096 else "mjpeg"
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height = size_px
        stream.pix_fmt = "yuv420p" if codec == "libx264" else "yuvj420p"
        for k in range(count):
            grey = np.full((size_px[1], size_px[0], 3), 90 + k, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        file.mux(stream.encode(None))
    return path


def wav(path: Path, samples: list[float], rate: int = 16000, channels: int = 1) -> Path:
    """16-bit PCM; every channel the same."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join(struct.pack("<h", round(32767 * s)) * channels for s in samples))
    return path


def float_wav(path: Path) -> Path:
    """Half a second of 32-bit floats with a few that are not numbers."""
    values = [math.nan if k % 1000 == 7 else 0.1 for k in range(8000)]
    data = struct.pack(f"<{len(values)}f", *values)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)
    return raw(path, head + struct.pack("<4sI", b"data", len(data)) + data)


def silence(path: Path, seconds: int, rate: int = 8000) -> Path:
    """8-bit silence; the file is a hole on disk where the system knows holes."""
    size = seconds * rate
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    raw(path, head + struct.pack("<4sI", b"data", size))
    with path.open("r+b") as file:
        file.truncate(44 + size)
    return path


def cut_voice(source: Path, target: Path, seconds: float = 1.0) -> Path:
    """The beginning of a WAV file."""
    with wave.open(str(source)) as old, wave.open(str(target), "wb") as new:
        new.setparams(old.getparams())
        new.writeframes(old.readframes(int(seconds * old.getframerate())))
    return target
