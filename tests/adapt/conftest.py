"""A clip of a painted person with a known track, known mattes and a known map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_clip, synthetic_track
from ggtalker_core.types import Avatar, ReferenceClip, Track


@dataclass(frozen=True)
class Scene:
    truth: Avatar
    clip: ReferenceClip
    track: Track
    mattes: list[np.ndarray]

    def matte_of(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """The true matte of the frame that belongs to these landmarks."""
        known = self.track.landmarks_px.numpy()

        def matte(_: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
            return self.mattes[int(np.abs(known - landmarks).sum((1, 2)).argmin())]

        return matte


@pytest.fixture(scope="session")
def scene() -> Scene:
    truth = synthetic_avatar(32, 2, (64, 64))
    track = synthetic_track(14, (64, 64), sway=1.6)
    clip, mattes = synthetic_clip(truth, track)
    return Scene(truth, clip, track, mattes)
