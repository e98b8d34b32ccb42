"""Sound -> MotionTrack: the prior, closed lips, silence, the person's style, frame rate."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import IncompatibleFileError, InvalidInputError
from ..progress import Progress, SubProgress, silent
from ..speech.features import SpeechFeatures, encode_speech
from ..types import AudioTrack, MotionTrack, SpeakingStyle, frame_count
from .channels import INDEX, to_expression
from .coarticulation import Manner
from .config import SpeakConfig
from .lips import shut_lips
from .prior import ExpressionPrior, load_prior
from .rest import rest_weight, silent_frames

if TYPE_CHECKING:
    from ..head.arkit import ArkitMap

DIGITAL_SILENCE_DB = -90.0  # 16-bit sound holds nothing below this


def speak(
    audio: AudioTrack,
    *,
    prior: ExpressionPrior | None = None,
    style: SpeakingStyle | None = None,
    fps: Fraction | int = 25,
    seed: int = 0,
    steps: int = 10,
    guidance: float = 1.25,
    mouth_gain: float = 1.0,
    jaw_gain: float = 1.0,
    smoothing: float = 0.0,
    manner: Manner | None = None,
    settings: SpeakConfig | None = None,
    arkit: ArkitMap | None = None,
    progress: Progress = silent,
) -> MotionTrack:
    """The mouth motion that says `audio`: expression [T, 50] and jaw [T, 3], T = ceil(seconds * fps).

    style: rest pose of the mouth and the person's own gains (out = rest + gain * motion). seed: equal seeds give equal
    motion. steps: DDIM steps. guidance: 1 = off. mouth_gain, jaw_gain: user's gains, 0 = still. smoothing: 0 none to
    1 strong (a Gaussian of up to 3 frames; it weakens closures). manner: how the prior itself articulates (wide, round,
    crisp); None = plain. settings: the rarer switches (its steps and guidance are overruled). arkit: the ARKit map of
    the head to be driven, default that of the default head.
    Only the mouth moves; brows, lids, gaze and head pose stay with the avatar's own loop.
    Raises InvalidInputError, LimitExceededError, MissingWeightsError.
    """
    fps = Fraction(fps)
    settings = _settings(settings, steps, guidance)
    _check_gains(settings, mouth_gain=mouth_gain, jaw_gain=jaw_gain, smoothing=smoothing)
    if not 0 < fps <= 240:
        raise InvalidInputError(f"fps must be in (0, 240], got {fps}.")
    prior = prior or load_prior()
    arkit = arkit or _default_arkit()
    native = Fraction(prior.config.fps)
    features = encode_speech(audio, native, progress=SubProgress(progress, 0.0, 0.5))
    channels = mouth_motion(features, prior, seed, settings, manner, SubProgress(progress, 0.5, 1.0))
    if smoothing > 0:
        channels = smooth(channels, 1.2 * smoothing)
    channels = retime(channels, native, fps, frame_count(audio.duration_s, fps))
    gains = channels.new_full((channels.shape[1],), mouth_gain * (style.mouth_gain if style else 1.0))
    jaw = jaw_gain * (style.jaw_gain if style else 1.0)
    # mouthClose undoes what jawOpen opens, so it follows the jaw, or closures would no longer close.
    gains[INDEX["jawOpen"]] *= jaw
    gains[INDEX["mouthClose"]] *= jaw
    expression, jaw_rad = to_expression(channels * gains, arkit)
    if style is not None:
        expression, jaw_rad = expression + style.rest_expression, jaw_rad + style.rest_jaw_rad
    return MotionTrack(expression, jaw_rad, fps, covers_upper_face=False, audio=audio)


def mouth_motion(
    features: SpeechFeatures,
    prior: ExpressionPrior,
    seed: int,
    settings: SpeakConfig,
    manner: Manner | None = None,
    progress: Progress = silent,
) -> Tensor:
    """Mouth channels [T, 13] at the prior's frame rate: the prior's answer, closures, rest in silence."""
    vector = None if manner is None else torch.tensor(manner.vector())
    motion = prior(features.values, seed=seed, settings=settings, manner=vector, progress=progress)
    channels = shut_lips(motion.channels, motion.closure, settings.closure_at)
    after = round(settings.rest_after_s * float(features.fps))
    below = float((features.level_db.max() - settings.rest_range_db).clamp(DIGITAL_SILENCE_DB, settings.rest_below_db))
    weight = rest_weight(silent_frames(features.level_db, below, after))
    return channels * (1 - weight)[:, None]


def retime(motion: Tensor, from_fps: Fraction, to_fps: Fraction, count: int) -> Tensor:
    """Motion [T, C] sampled at other frame centres, [count, C]: Catmull-Rom, so that extremes (closures) survive."""
    if from_fps == to_fps and count == len(motion):
        return motion
    centre = (torch.arange(count, dtype=torch.float64) + 0.5) * float(from_fps / to_fps) - 0.5
    low = centre.floor()
    t = (centre - low).float()[:, None]
    p0, p1, p2, p3 = (motion[(low.long() + k).clamp(0, len(motion) - 1)] for k in (-1, 0, 1, 2))
    return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))


def smooth(motion: Tensor, sigma_frames: float) -> Tensor:
    """Gaussian smoothing over time of motion [T, C]; the ends are held."""
    reach = max(1, round(3 * sigma_frames))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma_frames) ** 2)
    padded = torch.cat([motion[:1].expand(reach, -1), motion, motion[-1:].expand(reach, -1)])
    return (padded.unfold(0, 2 * reach + 1, 1) * (taps / taps.sum())).sum(-1)


def _default_arkit() -> ArkitMap:
    from ..head.model import load_head

    arkit = load_head().arkit
    if arkit is None:
        raise IncompatibleFileError("The default head carries no ARKit map; reinstall the pack.")
    return arkit


def _settings(settings: SpeakConfig | None, steps: int, guidance: float) -> SpeakConfig:
    import dataclasses

    return dataclasses.replace(settings or SpeakConfig(), steps=steps, guidance=guidance)


def _check_gains(settings: SpeakConfig, *, mouth_gain: float, jaw_gain: float, smoothing: float) -> None:
    """Raise InvalidInputError for values outside their ranges."""
    for name, value, most in (
        ("mouth_gain", mouth_gain, settings.max_gain), ("jaw_gain", jaw_gain, settings.max_gain),
        ("smoothing", smoothing, 1.0),
    ):  # fmt: skip
        if not 0 <= value <= most:
            raise InvalidInputError(f"{name} must be in [0, {most:g}], got {value}.")
