"""Settings of the audio-to-expression prior and of its training."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInputError
from .channels import N_CHANNELS


@dataclass(frozen=True)
class PriorConfig:
    """Shapes of the networks. The defaults are the paper's where it gives them, else DiffPoseTalk's."""

    feature_width: int = 1024  # two Whisper-base states per frame; the paper's encoder has 1280
    channels: int = N_CHANNELS  # mouth channels, expanded to 53 numbers by the head's ARKit map
    manner_width: int = 4  # how somebody articulates (Manner.vector)
    style_width: int = 64  # style token, as the paper's identity embedding; 0: the manner itself is the condition
    style_frames: int = 100  # of motion from which a token is read, 4 s
    trunk_width: int = 512
    trunk_dropout: float = 0.4  # high: the corpus is synthetic and its timbre must not be learnt
    width: int = 512
    layers: int = 8
    heads: int = 8
    window: int = 100  # new frames at once, 4 s
    previous: int = 10  # frames before the window that the denoiser is shown
    noise_steps: int = 500  # of training, cosine schedule
    fps: int = 25

    def __post_init__(self) -> None:
        """Check the attention heads."""
        if self.width % self.heads:
            raise InvalidInputError(f"PriorConfig.width {self.width} is not a multiple of heads {self.heads}.")

    @staticmethod
    def bundled() -> PriorConfig:
        """The prior that ships with the pack: small enough to be trained on a CPU."""
        return PriorConfig(trunk_width=192, width=192, layers=4, heads=4)

    @staticmethod
    def tiny() -> PriorConfig:
        """For tests."""
        return PriorConfig(
            feature_width=32, trunk_width=16, width=16, layers=2, heads=2, window=20, previous=4, noise_steps=50,
            style_width=8, style_frames=20,
        )  # fmt: skip


@dataclass(frozen=True)
class SpeakConfig:
    """How the prior is asked."""

    steps: int = 10  # DDIM steps
    guidance: float = 1.25  # of the sound (classifier-free); 1 = off
    variation: float = 0.6  # scale of the noise that the sampler starts from; 0 = the same motion for every seed
    settle: float = 0.65  # share of the regression's answer (the mean of all motions) in the plain manner; 0 = none
    closure_at: float = 0.5  # where the closure head is that sure, the lips are shut; above 1 = never
    near_share: float = 0.7  # how near the lips come in f, v and w, of the whole way; 0 = as the networks say
    rest_below_db: float = -65.0  # sound below this (peak, dB of full scale) for rest_after_s is silence: lips rest
    rest_range_db: float = 45.0  # and this far below the loudest sound of the clip: quiet recordings still speak
    rest_after_s: float = 0.2
    lead_in_s: float = 0.32  # the mouth opens that long before a voice that follows a pause; 0 = never
    lead_in_share: float = 0.7  # of the first open shape that follows, reached when the voice sets in
    lead_in_pause_s: float = 0.32  # shortest pause before it
    lead_in_range_db: float = 30.0  # a pause is this far below the loudest sound of the clip
    max_gain: float = 3.0  # largest mouth or jaw gain

    def __post_init__(self) -> None:
        """Check the ranges."""
        ranges = 0 <= self.guidance <= 10 and 0 <= self.variation <= 2 and 0 <= self.settle <= 1
        if self.steps < 1 or not ranges:
            raise InvalidInputError(
                f"SpeakConfig needs steps >= 1, guidance in [0, 10], variation in [0, 2], settle in [0, 1]; got "
                f"{self.steps}, {self.guidance}, {self.variation}, {self.settle}."
            )
        if not all(0 <= v <= 1 for v in (self.lead_in_s, self.lead_in_share, self.near_share)):
            raise InvalidInputError(
                f"SpeakConfig needs lead_in_s, lead_in_share and near_share in [0, 1]; got {self.lead_in_s}, "
                f"{self.lead_in_share}, {self.near_share}."
            )


@dataclass(frozen=True)
class LossWeights:
    """Both networks are trained with these; channels are z-scored, gaps in millimetres."""

    velocity: float = 0.5  # frame differences
    gap: float = 0.01  # squared error of the lip gap
    closed_gap: float = 0.15  # the same, weighted by exp(-true gap / 2 mm): closed lips count most
    closure: float = 0.5  # cross-entropy of the closure head (regression only)
    lips: float = 0.02  # squared distance of the lip vertices of the default head, in square millimetres
    jerk: float = 0.1  # Huber loss of second differences
    still: float = 0.5  # squared velocity where the true mouth stands still
    style: float = 0.05  # the style token must tell the manner (denoiser only)


@dataclass(frozen=True)
class TrainConfig:
    """One training run; a checkpoint is written every `checkpoint_every` steps and a stopped run goes on from it."""

    steps: int = 3000
    batch: int = 16
    peak_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.01
    feature_noise: float = 0.35  # in standard deviations of the window's features (regression only)
    audio_drop: float = 0.1  # share of windows without sound, for guidance (denoiser only)
    manner_drop: float = 0.1  # share of windows whose style is not told (denoiser only)
    motion_style: float = 0.5  # share of the others whose style is read from motion, not from the manner
    previous_noise: float = 0.1  # on the known frames, so that own small errors do not build up (denoiser only)
    ema: float = 0.998
    checkpoint_every: int = 200
    threads: int = 1
    precision: str = "float32"  # or "bfloat16", "float16": of the forward pass; weights and sums stay float32
    seed: int = 0
    loss: LossWeights = LossWeights()

    @staticmethod
    def tiny() -> TrainConfig:
        """For tests."""
        return TrainConfig(steps=30, batch=4, warmup=5, checkpoint_every=10, feature_noise=0.05)
