"""How this person speaks: where the mouth rests, and how far it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..progress import Progress, patiently, silent
from ..types import SpeakingStyle
from .own_voice import lip_gap, person_wide_m

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ..head import HeadModel
    from ..types import AudioTrack, Track
    from .config import StyleStage
    from .own_voice import PriorOpening

_CORNERS = (61, 291)
_INNER = (13, 14)
_TOKEN_S, _TUNE_S = 1.2, 2.2  # of a clip, for reading and for tuning a token
_REST_SHARE = 0.12  # of the frames: the most closed mouths


def mouth_opening(landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance between the inner lips as a share of the mouth's width; [T, 478, 2] -> [T]."""
    gap = np.linalg.norm(landmarks_px[:, _INNER[0]] - landmarks_px[:, _INNER[1]], axis=-1)
    width = np.linalg.norm(landmarks_px[:, _CORNERS[0]] - landmarks_px[:, _CORNERS[1]], axis=-1)
    return (gap / np.maximum(width, 1e-3)).astype(np.float32)


def speaking_style(
    head: HeadModel, track: Track, usable: list[int], opening: PriorOpening | None = None, token: Tensor | None = None
) -> SpeakingStyle:
    """The rest pose, and how much wider or narrower than the prior this person opens the mouth.

    The rest pose is the median over the frames with the most closed lips, in the mouth's channels only. opening: what
    the prior does with this face; without it the gain is 1.
    """
    lips = mouth_opening(track.landmarks_px.numpy())
    ranked = sorted(usable, key=lambda i: float(lips[i]))
    rest = torch.tensor(ranked[: max(3, round(_REST_SHARE * len(ranked)))])
    expression = track.expression[rest].median(dim=0).values
    jaw = track.jaw_rad[rest].median(dim=0).values
    if head.arkit is not None:
        expression = head.arkit.mouth_projection().to(expression) @ expression
    gain = 1.0
    if opening is not None:
        still = lip_gap(head, track.shape, expression[None], jaw[None])[0]
        gain = opening.gain(person_wide_m(head, track, usable, still))
    return SpeakingStyle(rest_expression=expression, rest_jaw_rad=jaw, mouth_gain=gain, token=token)


def style_token(
    head: HeadModel, track: Track, audio: AudioTrack | None, stage: StyleStage, seed: int = 0,
    progress: Progress = silent,
) -> Tensor | None:  # fmt: skip
    """How this person articulates, [64], for the audio prior; None where neither head nor clip can tell.

    Read from the motion of the mouth; with `stage.steps` and two seconds of sound also tuned on what was said.
    """
    from ..expression import personal
    from ..expression.prior import load_style_prior

    seconds = track.count / float(track.fps)
    if not stage.read or head.arkit is None or seconds < _TOKEN_S:
        return None
    prior = patiently(load_style_prior, progress, "loading the audio prior")
    if stage.steps > 0 and audio is not None and min(seconds, float(audio.duration_s)) > _TUNE_S:
        style = personal.fine_tune(
            prior, audio, track, steps=stage.steps, seed=seed, arkit=head.arkit, progress=progress
        )  # fmt: skip
        return None if style.token is None else style.token.clone()
    return personal.style_token(prior, track, head.arkit).clone()
