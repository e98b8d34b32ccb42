"""The audio-to-expression prior as one object: networks, z-scoring, provenance; loading, saving, asking."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ..errors import IncompatibleFileError, InvalidInputError
from ..progress import Progress, silent
from ..speech.weights import ASSETS, BUNDLED_FEATURES, quantise, read_weights
from .config import PriorConfig, SpeakConfig
from .denoiser import Denoiser, Sound
from .lips import bring_near, part_lips, stand_out
from .losses import Scale
from .recogniser import lips_meet, lips_near
from .regression import Heard, RegressionTrunk
from .sampler import cosine_schedule, sample

PRIOR_FILE = ASSETS / "expression_prior.safetensors"
PRIOR_FORMAT = "ggtalker.expression-prior"
PRIOR_SHA256 = "9b244b763e39b25caba4bb125a65c41640b2ed8b53ec117dfdbc78b7afc0e4ac"
STYLE_FILE = ASSETS / "expression_style.safetensors"
STYLE_FORMAT = "ggtalker.expression-style"
STYLE_SHA256 = "19eac21f055a1857f475174d7044aea672a9b0dbd6bedf66b9f106255ab98dfc"
FORMAT_VERSION = "1"
RECOGNISED_WIDTH = 1024  # of the bundled features


@dataclass(frozen=True)
class MouthMotion:
    """What the prior answers, per frame."""

    channels: Tensor  # [T, 13] mouth channels (channels.CHANNELS)
    closure: Tensor  # [T] probability that the lips are shut


class ExpressionPrior:
    """Regression trunk with, on top of it, the denoiser (None: the prior is the regression alone)."""

    def __init__(
        self,
        config: PriorConfig,
        scale: Scale,
        trunk: RegressionTrunk,
        denoiser: Denoiser | None,
        metadata: Mapping[str, str] | None = None,
    ):
        self.config, self.scale, self.metadata = config, scale, dict(metadata or {})
        self.trunk = trunk.eval().requires_grad_(False)
        self.denoiser = None if denoiser is None else denoiser.eval().requires_grad_(False)
        self.schedule = cosine_schedule(config.noise_steps)

    @property
    def feature_id(self) -> str:
        """Which speech encoder the prior was trained on."""
        return self.metadata.get("feature_id", BUNDLED_FEATURES)

    def check_features(self, feature_id: str) -> None:
        """Raise IncompatibleFileError when the prior was trained on another encoder."""
        if feature_id != self.feature_id:
            raise IncompatibleFileError(
                f"This audio prior was trained on the speech features '{self.feature_id}', but the sound was heard "
                f"with '{feature_id}'. Use the encoder that belongs to the prior, or train a prior on these features "
                f"(python -m ggtalker_core.cli train audio-prior)."
            )

    @torch.no_grad()
    def hear(self, features: Tensor) -> Heard:
        """The regression's answer to features [T, F] at config.fps."""
        if features.ndim != 2 or features.shape[1] != self.config.feature_width:
            raise InvalidInputError(
                f"The prior was trained on {self.config.feature_width} features per frame, got {list(features.shape)}."
            )
        return self.trunk(features[None])

    @torch.no_grad()
    def closure(self, features: Tensor, heard: Heard) -> Tensor:
        """Probability [T] that the lips are shut, as two listeners see it: the trunk and the phone recogniser.

        The recogniser knows the bundled encoder's features only; on others the trunk is asked alone.
        """
        logit = heard.closure[0]
        if self.feature_id == BUNDLED_FEATURES and features.shape[1] == RECOGNISED_WIDTH:
            logit = (logit.clamp(-9, 9) + lips_meet(features)) / 2
        return stand_out(torch.sigmoid(logit))

    def brought_near(self, channels: Tensor, features: Tensor, share: float) -> Tensor:
        """Channels [T, 13] with the lips near each other in the /f v w/ of features [T, F] (lips.bring_near).

        Unchanged on the features of another encoder, which the recogniser does not know.
        """
        if share <= 0 or self.feature_id != BUNDLED_FEATURES or features.shape[1] != RECOGNISED_WIDTH:
            return channels
        return bring_near(channels, lips_near(features), share)

    def regression_alone(self) -> ExpressionPrior:
        """The same prior without its denoiser."""
        return ExpressionPrior(self.config, self.scale, self.trunk, None, self.metadata)

    @torch.no_grad()
    def __call__(
        self,
        features: Tensor,  # [T, F] at config.fps
        *,
        seed: int = 0,
        settings: SpeakConfig | None = None,
        manner: Tensor | None = None,  # [4], Manner.vector; None = plain
        style: Tensor | None = None,  # [style_width], from `style_of`; overrules the manner
        progress: Progress = silent,
    ) -> MouthMotion:
        """Mouth channels for every frame; the same seed gives the same motion. The mouth starts from rest."""
        settings = settings or SpeakConfig()
        heard = self.hear(features)
        closure = self.closure(features, heard)
        if self.denoiser is None:
            return MouthMotion(self.scale.restore(heard.channels[0]), closure)
        rest = self.scale.normalise(torch.zeros(1, self.config.previous, self.config.channels))
        predict = self.predictor(heard, self.style_condition(manner, style), settings.guidance)
        scores = sample(
            predict, features.shape[0], rest, window=self.config.window, schedule=self.schedule,
            steps=settings.steps, seed=seed, variation=settings.variation, progress=progress,
        )  # fmt: skip
        plain = manner is None and style is None  # the regression knows no other manner
        return MouthMotion(self.settled(scores, heard.channels[0], closure, settings, plain), closure)

    def settled(
        self, scores: Tensor, regression: Tensor, closure: Tensor, settings: SpeakConfig, plain: bool
    ) -> Tensor:
        """Channels [T, 13] of sampled and regressed scores [T, 13]: a mean of both, lips apart where they should be."""
        sampled, expected = self.scale.restore(scores), self.scale.restore(regression)
        if plain:
            sampled = torch.lerp(sampled, expected, settings.settle)
        return part_lips(sampled, expected, closure)

    @torch.no_grad()
    def style_of(self, channels: Tensor) -> Tensor:
        """The style token [style_width] of somebody's mouth channels [T, 13] at config.fps, at rest 0.

        Any length from a second up; longer motion is read in overlapping stretches whose tokens are averaged.
        Raises InvalidInputError for less, or when the prior has no style tokens.
        """
        if self.denoiser is None or not self.config.style_width:
            raise InvalidInputError("This prior has no style tokens; use the bundled one, or train with style_width.")
        if channels.shape[0] < self.config.fps:
            raise InvalidInputError(
                f"A style is read from at least one second of motion ({self.config.fps} frames), got {len(channels)}."
            )
        scores, n = self.scale.normalise(channels.float()), self.config.style_frames
        last = max(0, len(scores) - n)
        starts = sorted({min(a, last) for a in range(0, last + n // 2, max(1, n // 2))})
        return torch.cat([self.denoiser.styles.of_motion(scores[None, a : a + n]) for a in starts]).mean(0)

    def style_condition(self, manner: Tensor | None, style: Tensor | None) -> Tensor:
        """The style condition [1, S]."""
        denoiser = self.denoiser
        assert denoiser is not None
        if style is None:
            return denoiser.plain_style(manner)
        if not self.config.style_width or style.shape != (self.config.style_width,):
            raise InvalidInputError(
                f"The style token has shape {list(style.shape)}; this prior takes {self.config.style_width} numbers. "
                f"Read the style again with this prior."
            )
        return style[None].float()

    def predictor(self, heard: Heard, style: Tensor, guidance: float):
        """The denoiser bound to the sound, with guidance."""
        p, denoiser = self.config.previous, self.denoiser
        assert denoiser is not None

        def padded(x: Tensor) -> Tensor:  # the frames before the first one hear what the first one hears
            return torch.cat([x[:, :1].expand(-1, p, *x.shape[2:]), x], 1)

        channels, closure, hidden = padded(heard.channels), padded(heard.closure), padded(heard.hidden)

        def predict(noisy: Tensor, known: Tensor, step: Tensor, first: int, count: int) -> Tensor:
            cut = slice(first, first + p + count)
            sound = Sound(channels[:, cut], closure[:, cut], hidden[:, cut], style)
            if guidance == 1.0:
                return denoiser(noisy, known, sound, step, torch.zeros(1, dtype=torch.bool))
            both = denoiser(
                noisy.repeat(2, 1, 1),
                known.repeat(2, 1),
                sound.repeated(2),
                step.repeat(2),
                torch.tensor([False, True]),
            )
            return both[1:] + guidance * (both[:1] - both[1:])

        return predict


def save_prior(prior: ExpressionPrior, path: Path, trained: Mapping[str, str | float | int]) -> None:
    """Write a prior (int8 matrices). `trained` says how it came to be and must not be empty."""
    from safetensors.torch import save_file

    if not trained:
        raise InvalidInputError("A prior is only saved together with a statement of how it was trained.")
    state = {f"trunk.{k}": v for k, v in prior.trunk.state_dict().items()}
    if prior.denoiser is not None:
        state |= {f"denoiser.{k}": v for k, v in prior.denoiser.state_dict().items()}
    stored = quantise(state) | {"scale.mean": prior.scale.mean.float(), "scale.std": prior.scale.std.float()}
    metadata = {
        "format": PRIOR_FORMAT, "format_version": FORMAT_VERSION,
        "config": json.dumps(dataclasses.asdict(prior.config)), "trained": json.dumps(dict(trained)),
        "feature_id": prior.feature_id,
    }  # fmt: skip
    part = path.with_suffix(".part")
    save_file(stored, part, metadata)
    part.replace(path)


@lru_cache(maxsize=2)
def load_prior(path: Path | None = None) -> ExpressionPrior:
    """The bundled prior (checked against its known sha256), or one of your own from `path`.

    Raises MissingWeightsError (missing, damaged, untrained) and IncompatibleFileError (another version or shape).
    """
    own = path is not None
    path = PRIOR_FILE if path is None else path
    state, metadata = read_weights(path, PRIOR_FORMAT, None if own else PRIOR_SHA256)
    if metadata.get("format_version") != FORMAT_VERSION:
        raise IncompatibleFileError(
            f"{path} has format version {metadata.get('format_version')!r}; this pack reads version {FORMAT_VERSION}."
        )
    try:
        config = PriorConfig(**({"style_width": 0} | json.loads(metadata["config"])))  # older files have no tokens
        trunk, denoiser = RegressionTrunk(config), None
        trunk.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("trunk.")})
        if any(k.startswith("denoiser.") for k in state):
            denoiser = Denoiser(config)
            denoiser.load_state_dict({k[9:]: v for k, v in state.items() if k.startswith("denoiser.")})
        scale = Scale(state["scale.mean"], state["scale.std"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise IncompatibleFileError(f"{path} does not hold the networks that its metadata announce: {error}") from error
    return ExpressionPrior(config, scale, trunk, denoiser, metadata)


@lru_cache(maxsize=1)
def load_style_prior() -> ExpressionPrior:
    """The bundled prior with the denoiser that takes style tokens; it shares the trunk of `load_prior()`.

    It is asked when a person's token is there. Without one the plain denoiser is better (measured on the dev half).
    Raises MissingWeightsError.
    """
    plain = load_prior()
    state, metadata = read_weights(STYLE_FILE, STYLE_FORMAT, STYLE_SHA256)
    config = PriorConfig(**json.loads(metadata["config"]))
    denoiser = Denoiser(config)
    denoiser.load_state_dict(state)
    return ExpressionPrior(config, plain.scale, plain.trunk, denoiser, metadata | {"feature_id": plain.feature_id})
