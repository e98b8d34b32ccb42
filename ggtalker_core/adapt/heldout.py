"""A few frames are kept out of the fit and compared after every stage: what did the stage bring?

They lie inside the clip, so frames near them were seen; the figure tells stages of one run apart and is no measure of
new poses. For that there is the evaluation, whose test part no adaptation ever sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..gaussians.drive import HeadPose

if TYPE_CHECKING:
    from ..types import Track
    from .frames import FrameStore
    from .optimise import Fitter

_EACH = 25  # usable frames for one that is kept out, at least
# Neighbours that are kept out too: so many to each side at most, and with the scored ones at most this share.
_MARGIN_MOST, _MARGIN_SHARE = 2, 0.01
_BACKGROUND = 0.5


@dataclass(frozen=True)
class KeptOut:
    """Which frames the fit must not see."""

    scored: tuple[int, ...]  # places in the clip
    unseen: frozenset[int]  # those and their neighbours

    @staticmethod
    def of(usable: Sequence[int], count: int) -> KeptOut:
        """At most `count` of the usable frames, spread evenly; clips of few frames keep fewer out, or none."""
        n = min(count, len(usable) // _EACH)
        if n <= 0:
            return KeptOut((), frozenset())
        margin = min(_MARGIN_MOST, int((_MARGIN_SHARE * len(usable) / n - 1) // 2))
        places = [int((k + 0.5) * len(usable) / n) for k in range(n)]
        near = {usable[p + d] for p in places for d in range(-max(margin, 0), max(margin, 0) + 1)}
        return KeptOut(tuple(usable[p] for p in places), frozenset(near))


@torch.no_grad()
def held_out_psnr_db(fitter: Fitter, store: FrameStore | None, track: Track) -> float | None:
    """PSNR inside the head of the frames of `store`, which were kept out, in decibels; None without any.

    Their pose is the tracked one with what the fit changed in the frames around them.
    """
    if store is None or store.count == 0:
        return None
    found = fitter.parameters.write_back(track, fitter.store.indices)
    errors: list[float] = []
    for k, i in enumerate(store.indices):
        pose = HeadPose.of_track(found, i, i + 1)
        drawn = fitter.render(pose, k, 1, torch.full((3,), _BACKGROUND), store=store)
        shown = drawn.rgb[0].clamp(0, 1).cpu().numpy()
        image = store.images[k].astype(np.float32) / 255
        head = (store.mattes[k] > 127) & (store.weights[k] > 127)
        if head.any():
            errors.append(float(((shown - image) ** 2).mean(-1)[head].mean()))
    return round(float(-10 * np.log10(max(float(np.mean(errors)), 1e-10))), 3) if errors else None
