"""A motion as a picture: the opening of the lips, the jaw and the loudness over time, to be looked at on the node."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .channels import INDEX, lip_gap_mm

if TYPE_CHECKING:
    from ..head.arkit import ArkitMap
    from ..types import MotionTrack

_PAPER, _GRID, _SOUND, _JAW, _LIPS = (24, 24, 28), (52, 52, 60), (70, 78, 92), (240, 170, 70), (90, 190, 255)
_INK = (160, 160, 172)
_TOP_MM, _TOP_JAW = 14.0, 0.4  # what reaches the upper edge


def motion_picture(motion: MotionTrack, arkit: ArkitMap, size: tuple[int, int] = (640, 320)) -> NDArray[np.uint8]:
    """Draw lip gap (blue), jawOpen (orange) and loudness (grey) of a motion; uint8 [height, width, 3].

    size: (width, height) in pixels. Motion longer than the picture is wide is drawn by its maxima and minima.
    """
    import cv2

    width, height = size
    page = np.full((height, width, 3), _PAPER, np.uint8)
    seconds = motion.count / float(motion.fps)
    seconds_shown = range(0, int(seconds) + 1, max(1, math.ceil(seconds / 8)))
    for second in seconds_shown:
        x = int(second / max(seconds, 1e-6) * (width - 1))
        cv2.line(page, (x, 0), (x, height), _GRID, 1)
    weights = arkit.to_weights(motion.expression, motion.jaw_rad)
    names = [name if name in arkit.names else name + "Left" for name in INDEX]
    gap = lip_gap_mm(weights[:, [arkit.index(name) for name in names]]).clamp(min=0).numpy()
    jaw = weights[:, arkit.index("jawOpen")].numpy()
    if motion.audio is not None:
        wave = motion.audio.mono().abs().numpy()
        edges = np.linspace(0, len(wave), width + 1).astype(int)
        loud = np.array([wave[a : max(b, a + 1)].max(initial=0.0) for a, b in zip(edges, edges[1:])])
        for x, v in enumerate(loud / max(float(loud.max()), 1e-6)):
            cv2.line(page, (x, height - 24), (x, height - 24 - int(v * 0.33 * height)), _SOUND, 1)
    for curve, top, colour in ((jaw, _TOP_JAW, _JAW), (gap, _TOP_MM, _LIPS)):
        across = np.arange(len(curve)) / max(len(curve) - 1, 1) * (width - 1)
        up = (height - 26) - np.clip(curve / top, -0.02, 1) * (height - 66)
        points = np.stack([across, up], 1).round().astype(np.int32)
        cv2.polylines(page, [points[:, None]], False, colour, 1, cv2.LINE_AA)
    for second in seconds_shown:
        x = int(second / max(seconds, 1e-6) * (width - 1))
        cv2.putText(page, f"{second} s", (x + 4, height - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _INK, 1, cv2.LINE_AA)
    for i, (text, colour) in enumerate((("lips", _LIPS), ("jaw", _JAW), ("sound", _INK))):
        cv2.putText(page, text, (10 + 76 * i, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, 1, cv2.LINE_AA)
    return page
