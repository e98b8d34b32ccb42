"""A person's own way of speaking: a style token from a few seconds of any track, refined on the clip's own sound.

The networks stay as they are; what is learnt is the 64 numbers of the token (and one gain), so a few seconds are
enough and nothing can be forgotten. A track is used relative to its rest: the most closed tenth of its frames.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import IncompatibleFileError, InvalidInputError
from ..progress import Progress, silent
from ..speech.features import encode_speech
from ..types import AudioTrack, SpeakingStyle, Track
from .channels import from_arkit, lip_gap_mm
from .config import LossWeights, SpeakConfig
from .denoiser import Sound
from .losses import motion_loss
from .prior import ExpressionPrior, load_style_prior
from .sampler import add_noise
from .speaking import default_arkit, mouth_motion, retime

if TYPE_CHECKING:
    from ..head.arkit import ArkitMap

REST_SHARE = 0.1
GAIN_RANGE = (0.6, 1.6)
_RATE, _BATCH = 0.05, 4


def track_channels(
    expression: Tensor, jaw_rad: Tensor, arkit: ArkitMap, fps: Fraction, to_fps: int = 25
) -> tuple[Tensor, Tensor]:
    """Mouth channels [T', 13] of a tracked face at `to_fps`, relative to its rest, and that rest [13].

    expression [T, 50], jaw_rad [T, 3]; left and right are averaged.
    """
    weights = arkit.to_weights(expression, jaw_rad)
    raw = from_arkit(weights, arkit.names)
    ranked = lip_gap_mm(raw).argsort()[: max(3, round(REST_SHARE * len(raw)))]
    rest = raw[ranked].median(0).values
    return retime(raw - rest, fps, Fraction(to_fps), max(1, round(len(raw) * to_fps / float(fps)))), rest


def spread_mm(channels: Tensor) -> Tensor:
    """From the nearly closed to the widely open mouth of a motion [T, 13]: tenth to ninetieth percentile of the gap."""
    gap = lip_gap_mm(channels)
    return gap.quantile(0.9) - gap.quantile(0.1)


def style_token(prior: ExpressionPrior, track: Track, arkit: ArkitMap | None = None) -> Tensor:
    """The style token [64] of a track, without its sound. Raises InvalidInputError under one second of track."""
    channels, _ = track_channels(track.expression, track.jaw_rad, arkit or default_arkit(), track.fps, prior.config.fps)
    return prior.style_of(channels)


def manner_of(
    track: Track,
    base: SpeakingStyle | None = None,
    *,
    arkit: ArkitMap | None = None,
    prior: ExpressionPrior | None = None,
) -> SpeakingStyle:
    """The manner of a tracked person as a speaking style: the token of the track, rest pose and gains of `base`.

    arkit: the map of the track's head. base: of whoever is to speak, default the average face at rest. With it, any
    avatar speaks as widely, with as much jaw and lips and as crisply as the tracked person. prior: the one that is to
    speak, default the bundled one. Raises InvalidInputError under one second of track.
    """
    base = base or SpeakingStyle(torch.zeros_like(track.expression[0]), torch.zeros(3))
    return dataclasses.replace(base, token=style_token(prior or load_style_prior(), track, arkit))


def fine_tune(
    prior: ExpressionPrior,
    audio: AudioTrack,
    track: Track,
    base: SpeakingStyle | None = None,
    *,
    steps: int = 60,
    seed: int = 0,
    arkit: ArkitMap | None = None,
    progress: Progress = silent,
) -> SpeakingStyle:
    """The speaking style of a tracked person whose sound is known: base (rest pose, gains) with a token and a gain.

    The token starts at the one read from the motion and is moved down the denoiser's own loss on this clip; then the
    mouth's gain is set so that the lips open as far as the person's. audio and track must start together. base: from
    adaptation; default the track's pose at rest. What is held out of the clip must be cut off before.
    Raises InvalidInputError (under two seconds, prior without tokens).
    """
    arkit = arkit or default_arkit()
    if prior.denoiser is None or not prior.config.style_width:
        raise InvalidInputError("This prior has no style tokens; use load_style_prior().")
    wanted, _ = track_channels(track.expression, track.jaw_rad, arkit, track.fps, prior.config.fps)
    features = encode_speech(audio, prior.config.fps)
    frames = min(len(wanted), len(features.values))
    if frames < 2 * prior.config.fps:
        raise InvalidInputError(f"Fine-tuning needs at least two seconds of track and sound, got {frames} frames.")
    wanted = wanted[:frames]
    token = prior.style_of(wanted)
    token = _refine(prior, features.values[:frames], wanted, token, steps, seed, progress)
    plain = mouth_motion(features, prior, seed, SpeakConfig(), None, silent, token)[:frames]
    opened, opens = (spread_mm(c) for c in (wanted, plain))
    gain = float((opened / opens.clamp(min=0.1)).clamp(*GAIN_RANGE))
    if base is None:
        ranked = lip_gap_mm(track_channels(track.expression, track.jaw_rad, arkit, track.fps)[0]).argsort()
        ranked = ranked[ranked < track.count][: max(3, round(REST_SHARE * track.count))]
        base = SpeakingStyle(track.expression[ranked].median(0).values, track.jaw_rad[ranked].median(0).values)
    return SpeakingStyle(base.rest_expression, base.rest_jaw_rad, gain, base.jaw_gain, token)


def _refine(
    prior: ExpressionPrior, features: Tensor, wanted: Tensor, token: Tensor, steps: int, seed: int, progress: Progress
) -> Tensor:
    """Move the token down the denoiser's loss on this clip, not far from where it started."""
    denoiser, config = prior.denoiser, prior.config
    if denoiser is None:
        raise IncompatibleFileError("The prior has no denoiser.")
    with torch.no_grad():
        heard = prior.hear(features)
    scores, length = prior.scale.normalise(wanted), min(len(wanted), config.previous + config.window)
    start, learnt = token.detach(), token.detach().clone().requires_grad_(True)
    optimizer, generator = torch.optim.Adam([learnt], _RATE), torch.Generator().manual_seed(seed)
    known = torch.zeros(_BATCH, length)
    known[:, : config.previous] = 1
    parts = (heard.channels, heard.closure, heard.hidden)
    with torch.enable_grad():
        for i in range(steps):
            first = torch.randint(0, len(scores) - length + 1, (_BATCH,), generator=generator).tolist()
            step = torch.randint(1, config.noise_steps + 1, (_BATCH,), generator=generator)
            true = torch.stack([scores[a : a + length] for a in first])
            noise = torch.randn(true.shape, generator=generator)
            noisy = torch.where(known[..., None] > 0, true, add_noise(true, noise, prior.schedule[step]))
            cut = [torch.stack([x[0, a : a + length] for a in first]) for x in parts]
            sound = Sound(cut[0], cut[1], cut[2], learnt.expand(_BATCH, -1))
            clean = denoiser(noisy, known, sound, step, torch.zeros(_BATCH, dtype=torch.bool))
            p = config.previous
            loss = motion_loss(clean[:, p:], true[:, p:], prior.scale, LossWeights())
            loss = loss + 0.1 * ((learnt - start) ** 2).mean() / (start**2).mean().clamp(min=1e-3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            progress(i + 1, steps, f"learning how this person speaks, loss {float(loss.detach()):.3f}")
    return learnt.detach()
