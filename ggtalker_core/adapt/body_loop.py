"""The stretch of the clip into which the head is set back: calm, without a cut, as long as asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..types import Track

# A head that moves further than this between two frames was cut, or tracked wrongly.
_JUMP_M, _JUMP_RAD = 0.03, 0.15


def unbroken_runs(track: Track, usable: Sequence[bool]) -> list[range]:
    """Stretches of usable frames without jumps."""
    moved = (track.translation_m[1:] - track.translation_m[:-1]).norm(dim=1)
    turned = (track.rotation_rad[1:] - track.rotation_rad[:-1]).norm(dim=1)
    jump = [False, *((moved > _JUMP_M) | (turned > _JUMP_RAD)).tolist()]
    runs: list[range] = []
    start = None
    for i in range(track.count + 1):
        good = i < track.count and usable[i]
        if start is not None and (not good or jump[i]):
            runs.append(range(start, i))
            start = None
        if good and start is None:
            start = i
    return runs


def choose_loop(track: Track, usable: Sequence[bool], frames: int) -> range:
    """The calmest stretch of about `frames` frames; the longest one where none is so long."""
    runs = unbroken_runs(track, usable)
    longest = max(runs, key=len)
    length = min(frames, len(longest))
    # Movement between frames, in units of head size: a turned radian counts like a head moved by its radius.
    moved = (track.translation_m[1:] - track.translation_m[:-1]).norm(dim=1) / 0.1
    turned = (track.rotation_rad[1:] - track.rotation_rad[:-1]).norm(dim=1)
    unrest = np.concatenate([[0.0], (moved + turned).numpy()]).cumsum()  # [T] what lies before each frame
    best, best_cost = range(longest.start, longest.start + length), float("inf")
    for run in runs:
        if len(run) < length:
            continue
        for start in range(run.start, run.stop - length + 1):
            cost = float(unrest[start + length - 1] - unrest[start])
            if cost < best_cost - 1e-9:
                best, best_cost = range(start, start + length), cost
    return best


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG of an sRGB image [H, W, 3]."""
    import cv2

    ok, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise RuntimeError("OpenCV could not encode a JPEG image.")
    return data.tobytes()


def encode_png(matte: NDArray[np.uint8]) -> bytes:
    """A grey PNG of a matte [H, W]."""
    import cv2

    ok, data = cv2.imencode(".png", matte, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not ok:
        raise RuntimeError("OpenCV could not encode a PNG image.")
    return data.tobytes()
