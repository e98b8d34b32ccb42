"""Sound -> MotionTrack: the prior, closed lips, silence, the person's style, frame rate."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import IncompatibleFileError, InvalidInputError
from ..progress import Progress, SubProgress, silent
from ..speech.features import SpeechFeatures, encode_speech
from ..speech.weights import BUNDLED_FEATURES
from ..types import AudioTrack, MotionTrack, SpeakingStyle, frame_count
from .channels import BREADTH, INDEX, to_arkit
from .coarticulation import Manner, mouth_channels
from .config import SpeakConfig
from .emotion import add_emotion, check_emotion
from .lips import shut_lips
from .prior import ExpressionPrior, load_prior, load_style_prior
from .recogniser import recognise
from .rest import lead_in, rest_weight, silent_frames

if TYPE_CHECKING:
    from ..head.arkit import ArkitMap
    from ..speech.folders import FolderEncoder

ENGINES = ("diffusion", "regression", "rules")
RULES_FPS = 25
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
    engine: str = "diffusion",
    encoder: FolderEncoder | None = None,
    emotion: str = "neutral",
    emotion_intensity: float = 0.5,
    progress: Progress = silent,
) -> MotionTrack:
    """The mouth motion that says `audio`: expression [T, 50] and jaw [T, 3], T = ceil(seconds * fps).

    style: rest pose of the mouth and the person's own gains (out = rest + gain * motion; of the opening, not of how
    narrow or broad the mouth is). seed: equal seeds give equal motion. steps: DDIM steps. guidance: 1 = off.
    mouth_gain, jaw_gain: user's gains, 0 = still. smoothing: 0 none to 1 strong (a Gaussian of up to 3 frames; it
    weakens closures). manner: how the prior itself articulates (wide, round, crisp); None = plain. settings: the rarer
    switches (its steps and guidance are overruled). arkit: the ARKit map of the head to be driven, default that of the
    default head. engine: "diffusion" (the prior), "regression" (its trunk alone: one answer for every seed), "rules"
    (phones recognised in the sound, then co-articulation rules).
    emotion, emotion_intensity: a rule-made look of the mouth on top (emotion.py), 0 to 1.
    encoder: a speech encoder of your own (speech/folders.py), for a prior that was trained on it.
    Only the mouth moves; brows, lids, gaze and head pose stay with the avatar's own loop.
    Raises InvalidInputError, LimitExceededError, MissingWeightsError, IncompatibleFileError (features of another
    encoder than the prior's).
    """
    fps = Fraction(fps)
    settings = _settings(settings, steps, guidance)
    _check_gains(settings, mouth_gain=mouth_gain, jaw_gain=jaw_gain, smoothing=smoothing)
    if not 0 < fps <= 240:
        raise InvalidInputError(f"fps must be in (0, 240], got {fps}.")
    if engine not in ENGINES:
        raise InvalidInputError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}.")
    check_emotion(emotion, emotion_intensity)
    if prior is None:
        styled = style is not None and style.token is not None and manner is None and engine == "diffusion"
        prior = load_style_prior() if styled else load_prior()
    if engine == "regression" and prior.denoiser is not None:
        prior = prior.regression_alone()
    arkit = arkit or default_arkit()
    native = Fraction(prior.config.fps)
    features = encode_speech(audio, native, encoder=encoder, progress=SubProgress(progress, 0.0, 0.5))
    if engine != "rules":
        prior.check_features(features.feature_id)
    if engine == "rules":
        channels = rules_motion(features, settings, manner)
    else:
        token = None if style is None or manner is not None else style.token
        channels = mouth_motion(features, prior, seed, settings, manner, SubProgress(progress, 0.5, 1.0), token)
    if smoothing > 0:
        channels = smooth(channels, 1.2 * smoothing)
    channels = retime(channels, native, fps, frame_count(audio.duration_s, fps))
    channels = channels * mouth_gain * channel_gains(style, jaw_gain)
    weights = add_emotion(channels, to_arkit(channels, arkit.names), arkit.names, emotion, emotion_intensity)
    expression, jaw_rad = arkit.from_weights(weights)
    if style is not None:
        expression, jaw_rad = expression + style.rest_expression, jaw_rad + style.rest_jaw_rad
    return MotionTrack(expression, jaw_rad, fps, covers_upper_face=False, audio=audio)


def channel_gains(style: SpeakingStyle | None, jaw_gain: float = 1.0) -> Tensor:
    """The person's gain of every mouth channel, [13].

    mouthClose undoes what jawOpen opens, so it follows the jaw, or closures would no longer close.
    """
    gains = torch.full((len(INDEX),), style.mouth_gain if style else 1.0)
    gains[[INDEX[name] for name in BREADTH]] = 1.0
    gains[[INDEX["jawOpen"], INDEX["mouthClose"]]] *= jaw_gain * (style.jaw_gain if style else 1.0)
    return gains


def mouth_motion(
    features: SpeechFeatures,
    prior: ExpressionPrior,
    seed: int,
    settings: SpeakConfig,
    manner: Manner | None = None,
    progress: Progress = silent,
    style: Tensor | None = None,
) -> Tensor:
    """Mouth channels [T, 13] at the prior's frame rate: the prior's answer, closures, rest in silence.

    style: a token of `ExpressionPrior.style_of`; a prior without tokens leaves it aside.
    """
    vector = None if manner is None else torch.tensor(manner.vector())
    token = style if prior.denoiser is not None and prior.config.style_width else None
    motion = prior(features.values, seed=seed, settings=settings, manner=vector, style=token, progress=progress)
    near = prior.brought_near(motion.channels, features.values, settings.near_share)
    channels = rested(shut_lips(near, motion.closure, settings.closure_at), features, settings)
    return opened_ahead(channels, motion.closure, features, settings)


def rules_motion(features: SpeechFeatures, settings: SpeakConfig, manner: Manner | None = None) -> Tensor:
    """Mouth channels [T, 13] of the phones that are recognised in the sound, by the co-articulation rules alone."""
    if features.feature_id != BUNDLED_FEATURES:
        raise IncompatibleFileError("The rules engine recognises phones in the bundled encoder's features only.")
    if float(features.fps) != RULES_FPS:
        raise InvalidInputError(f"Phones are recognised at {RULES_FPS} frames per second, got {features.fps}.")
    spans, seconds = recognise(features.values), len(features.values) / RULES_FPS
    made, _ = mouth_channels(spans, seconds, fps=RULES_FPS, manner=manner or Manner())
    return rested(torch.from_numpy(made), features, settings)


def rested(channels: Tensor, features: SpeechFeatures, settings: SpeakConfig) -> Tensor:
    """Channels [T, 13] eased into the rest pose where the sound is silent."""
    after = round(settings.rest_after_s * float(features.fps))
    below = float((features.level_db.max() - settings.rest_range_db).clamp(DIGITAL_SILENCE_DB, settings.rest_below_db))
    weight = rest_weight(silent_frames(features.level_db, below, after))
    return channels * (1 - weight)[:, None]


def opened_ahead(channels: Tensor, closure: Tensor, features: SpeechFeatures, settings: SpeakConfig) -> Tensor:
    """Channels [T, 13] that open ahead of a voice that follows a pause (rest.lead_in)."""
    fps = float(features.fps)
    below = float(features.level_db.max()) - settings.lead_in_range_db
    pause = silent_frames(features.level_db, below, max(1, round(settings.lead_in_pause_s * fps)))
    return lead_in(channels, closure, pause, round(settings.lead_in_s * fps), settings.lead_in_share)


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


def default_arkit() -> ArkitMap:
    """The ARKit map of the default head."""
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
