"""The stretch of the clip into which the head is set back: calm, without a cut, as long as asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..types import ReferenceClip, Track

_JUMP_SHARE = 0.2  # of the face's width: what the landmarks of one take never move between two frames
_TRIES = 8  # stretches that are looked at for a cut
_MESH = 468
_TURN_WORTH_M = 0.1  # a turned radian counts like a head moved by its radius


def unbroken_runs(track: Track, usable: Sequence[bool], cuts: Sequence[int] = ()) -> list[range]:
    """Stretches of usable frames without jumps; `cuts` are first frames of new shots."""
    jump = [False, *_jumps(track)]
    for cut in cuts:
        jump[cut] = True
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


def find_loop(clip: ReferenceClip, track: Track, usable: Sequence[bool], frames: int) -> range:
    """The calmest stretch of about `frames` frames in which also the picture shows no cut."""
    from ..tracking.cuts import CutDetector

    cuts: list[int] = []
    loop = choose_loop(track, usable, frames)
    for _ in range(_TRIES):
        detector = CutDetector()
        found = [i for i, image in zip(loop, clip.frames(loop.start, loop.stop)) if detector.is_cut(image)]
        if not found:
            break
        cuts += found
        loop = choose_loop(track, usable, frames, cuts)
    return loop


def choose_loop(track: Track, usable: Sequence[bool], frames: int, cuts: Sequence[int] = ()) -> range:
    """The calmest stretch of about `frames` frames; the longest one where none is so long."""
    runs = unbroken_runs(track, usable, cuts)
    longest = max(runs, key=len)
    length = min(frames, len(longest))
    unrest = np.concatenate([[0.0], _unrest(track)]).cumsum()  # [T] what lies before each frame
    best, best_cost = range(longest.start, longest.start + length), float("inf")
    for run in runs:
        if len(run) < length:
            continue
        for start in range(run.start, run.stop - length + 1):
            cost = float(unrest[start + length - 1] - unrest[start])
            if cost < best_cost - 1e-9:
                best, best_cost = range(start, start + length), cost
    return best


def _jumps(track: Track) -> list[bool]:
    """Whether there is a cut between each frame and the next, [T - 1]."""
    points = track.landmarks_px[:, :_MESH]
    width = float((points.amax(1) - points.amin(1))[:, 0].median())
    step = (points[1:] - points[:-1]).norm(dim=-1).mean(1)
    return (step > _JUMP_SHARE * width).tolist()


def _unrest(track: Track) -> NDArray[np.float32]:
    """How much the head moves between each frame and the next, in metres at its surface, [T - 1]."""
    from ..head.pose import axis_angle_to_matrix

    moved = (track.translation_m[1:] - track.translation_m[:-1]).norm(dim=1)
    matrix = axis_angle_to_matrix(track.rotation_rad)  # not the axis-angles: those wrap at pi
    turned = (matrix[1:] - matrix[:-1]).flatten(1).norm(dim=1) / 2**0.5
    return (moved + _TURN_WORTH_M * turned).numpy()


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


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """The sRGB image [H, W, 3] of a JPEG made here."""
    import cv2

    image = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
