"""What the protocol uses of other stages; tests put known answers in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..progress import Progress
    from ..types import ReferenceClip, Track

    Image = NDArray[np.uint8]  # [H, W, 3]


@dataclass(frozen=True)
class Tools:
    """Tracker, matte and detector."""

    track: Callable[[ReferenceClip, Progress], Track]
    track_held_out: Callable[[ReferenceClip, Track, Progress], Track]  # all that is shared comes from the given track
    matte: Callable[[Image, NDArray[np.float32]], NDArray[np.uint8]]  # (image, landmarks [478, 2]) -> [H, W]
    landmarks: Callable[[Image], NDArray[np.float32] | None]  # of one picture by itself, [478, 2]


def bundled_tools(device: str = "cpu") -> Tools:
    """The pack's own tracker, person matte and face detector."""
    from ..tracking import track_clip
    from ..tracking.finder import FaceFinder
    from .held_out import track_held_out as track_unseen

    finder = FaceFinder(device)

    def track(clip: ReferenceClip, progress: Progress) -> Track:
        return track_clip(clip, progress=progress, device=device)

    def track_held_out(clip: ReferenceClip, shared: Track, progress: Progress) -> Track:
        return track_unseen(clip, shared, progress, device)

    def landmarks(image: Image) -> NDArray[np.float32] | None:
        found = finder.detect_landmarks([image])
        return found.landmarks_px[0].numpy() if bool(found.valid[0]) else None

    return Tools(track, track_held_out, finder.matte, landmarks)
