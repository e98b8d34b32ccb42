"""Presets of the adaptation: stages, rates, weights, limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..errors import InvalidInputError
from ..gaussians.config import GaussianConfig

_OTHER_MB = 4.0  # of an avatar: Body Inpainter, plate, track, head


@dataclass(frozen=True)
class Stage:
    """One stretch of steps with the same things being fitted."""

    name: str
    steps: int
    divisor: int = 1  # the frames are shrunk by this factor
    fit_parameters: bool = False  # also expression, jaw, gaze and pose of the visited frame
    fit_colors: bool = False  # also the colour network
    rate: float = 1.0  # on all learning rates; decays to a tenth of it inside the stage
    minutes: float = 0.0  # by the clock instead of the steps; 0: the steps count

    @property
    def kind(self) -> str:
        """What is fitted: map, parameters (and the map) or colors (and both)."""
        return "colors" if self.fit_colors else "parameters" if self.fit_parameters else "map"

    @property
    def work(self) -> float:
        """Of the whole stage: minutes where those count, else steps at full size (rough)."""
        if self.minutes > 0:
            return self.minutes
        return self.steps * (1.0 if self.divisor == 1 else 0.5) * (2.0 if self.fit_colors else 1.0)


@dataclass(frozen=True)
class InpainterStage:
    """Training of the Body Inpainter, after the map; lengths in pixels of a picture of 512."""

    steps: int = 0  # 0: none, heads are set back without a network
    crop_px: int = 192  # of the kept frames; one random square per step
    rate: float = 1.5e-3  # at 4e-3 three seeds of four learned next to nothing
    grow_px: tuple[float, float] = (4.0, 9.0)  # random dilation of the hole
    shift_px: float = 3.0  # random displacement of the rendering
    minutes: float = 0.0  # by the clock instead of the steps; 0: the steps count
    name: str = "body-inpainter"

    @property
    def work(self) -> float:
        """Of the whole stage: minutes where those count, else steps of the map at full size (rough)."""
        if self.minutes > 0 and self.steps > 0:
            return self.minutes
        return self.steps * 1.2 * (self.crop_px / 192) ** 2


@dataclass(frozen=True)
class StyleStage:
    """The audio-to-expression part: how this person articulates, as a style token of the audio prior.

    Read from the tracked mouth alone (no steps), or also moved down the prior's loss on the clip's own sound. On four
    clips (60 % heard, 40 % compared) reading did as well as tuning, so presets only read.
    """

    read: bool = True
    steps: int = 0
    name: str = "style"


@dataclass(frozen=True)
class Rates:
    """Adam's learning rates, for one frame per step."""

    offset: float = 1.5e-4  # m
    log_scale: float = 8e-3
    quaternion: float = 2e-3
    opacity: float = 3e-2  # logit
    color: float = 8e-3
    hair: float = 1e-4  # m, of the waves over scalp and neck
    mlp: float = 2e-3
    mlp_features: float = 5e-3
    expression: float = 4e-2
    jaw: float = 5e-3  # rad
    eyes: float = 5e-3  # rad
    rotation: float = 4e-3  # rad; a frame is visited a few times only
    translation: float = 1e-3  # m


@dataclass(frozen=True)
class Weights:
    """The terms of the loss."""

    l1: float = 0.8
    ssim: float = 0.2
    alpha: float = 0.1  # coverage against the matte
    mouth: float = 4.0  # emphasis inside the mouth's box
    lids: float = 3.0
    offset: float = 20.0  # per metre beyond the limit
    scale: float = 20.0  # per metre beyond the limit
    anisotropy: float = 0.05  # per unit of log ratio beyond 10 : 1
    opaque: float = 0.05  # skin that lets shine through what lies behind it
    opaque_at_least: float = 0.95
    solid: float = 1.0  # holes that show from the side
    solid_every: int = 4  # steps
    fleck: float = 2.0  # what lies behind the skin and shows through it, in the same steps
    stray: float = 5.0  # holds back lips from the colour of teeth, and hair that no frame looks at from any
    smooth: float = 0.02  # neighbours on the UV page
    level: float = 10.0  # bare skin along its normal; per square centimetre
    smooth_unseen: float = 2.0  # the same where no frame looks
    smooth_lips: float = 0.3  # and on lips, whose small errors of tracking print stitches along the line between them
    hue: float = 5.0  # neighbours of one kind (skin, hair) in colour without brightness; at 20 edges lost .2 dB
    expression: float = 2e-5


@dataclass(frozen=True)
class AdaptConfig:
    """Everything that may be chosen about an adaptation."""

    preset: str = "draft"
    uv_size: int = 128
    stages: tuple[Stage, ...] = ()
    inpainter: InpainterStage = field(default_factory=InpainterStage)
    take_up: bool = True  # after a checkpoint only what it lacks; off where stages or minutes were chosen
    style: StyleStage = field(default_factory=StyleStage)
    max_box_px: int = 512  # the longer side of the head's box while fitting
    memory_mb: int = 400  # for the frames that are kept
    held_out: int = 4  # frames at most that are kept out of the fit, to see what each stage brings
    min_frames: int = 20  # usable frames
    loop_s: float = 10.0  # length of the body loop
    loop_least_s: float = 5.0  # whatever its pictures weigh
    file_mb: float = 58.0  # of the avatar: the loop's pictures give way, quality first, then length
    jpeg_quality: int = 92
    preview_every_s: float = 2.0
    seed: int = 0
    refine_mattes: bool = True  # put their edges where the colours have them
    # How much more often mouth shapes and poses that are seldom seen are visited; 0: all alike. In a third of the steps
    # .5 gained .2 dB on one of two clips; with all steps it lost .1 (mouth .2), together with wider gaps in the frames.
    hardness: float = 0.0
    even_exposure: bool = True  # a camera that brightens and dims is told from the skin
    sway: bool = True  # hair may follow the head's pose in its own way
    hair_shape: bool = True  # the shape of hair and neck is also learned from the pictures
    antialiased: bool = True
    backend: str = "auto"
    rates: Rates = field(default_factory=Rates)
    weights: Weights = field(default_factory=Weights)
    gaussians: GaussianConfig = field(default_factory=GaussianConfig)

    def __post_init__(self) -> None:
        """Check the numbers that a user can set."""
        if self.uv_size < 8 or self.uv_size > 1024:
            raise InvalidInputError(f"AdaptConfig.uv_size must lie between 8 and 1024, got {self.uv_size}.")
        if not self.stages or any(stage.steps < 0 or stage.divisor < 1 for stage in self.stages):
            raise InvalidInputError("AdaptConfig.stages needs at least one stage, with steps >= 0 and divisor >= 1.")

    @property
    def loop_mb(self) -> float:
        """What the avatar's file leaves to the pictures of the body loop, in megabytes."""
        features = 16 if any(stage.fit_colors for stage in self.stages) else 0  # of the colour network, each texel
        return max(self.file_mb - _OTHER_MB - self.uv_size**2 * (14 + features) * 4 / 1e6, 8.0)

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def work(self) -> float:
        """All work of the fit, in one unit (for the time left)."""
        return self.fit_work + self.inpainter.work

    @property
    def fit_work(self) -> float:
        """The map's part of that work; the rest is the Body Inpainter's."""
        return sum(stage.work for stage in self.stages)

    def scaled(self, factor: float) -> AdaptConfig:
        """The same recipe with `factor` times the steps."""
        stages = tuple(replace(stage, steps=max(1, round(stage.steps * factor))) for stage in self.stages)
        inpainter = replace(self.inpainter, steps=round(self.inpainter.steps * factor))
        return replace(self, stages=stages, inpainter=inpainter)

    @staticmethod
    def draft() -> AdaptConfig:
        """Minutes on two processor cores: 24,994 Gaussians, antialiased.

        No Body Inpainter: in the steps that a draft has time for it changed nothing that could be measured or seen.
        """
        return AdaptConfig(
            preset="draft",
            uv_size=160,
            stages=(
                Stage("map", 400, divisor=2),
                Stage("map+parameters, half size", 2500, divisor=2, fit_parameters=True),
                Stage("map+parameters", 1700, fit_parameters=True, rate=0.7),
            ),
        )

    @staticmethod
    def standard() -> AdaptConfig:
        """63,808 Gaussians; a graphics card, or half an hour on a processor."""
        return AdaptConfig(
            preset="standard",
            uv_size=256,
            max_box_px=640,
            loop_s=20.0,
            stages=(
                Stage("map", 500, divisor=2),
                Stage("map+parameters, half size", 3000, divisor=2, fit_parameters=True),
                Stage("map+parameters", 2600, fit_parameters=True, rate=0.7),
            ),
            inpainter=InpainterStage(2000, crop_px=256),
        )

    @staticmethod
    def full() -> AdaptConfig:
        """255,136 Gaussians and the colour network; for a graphics card."""
        return AdaptConfig(
            preset="full",
            uv_size=512,
            max_box_px=1024,
            memory_mb=1600,
            loop_s=30.0,
            stages=(
                Stage("map", 800, divisor=2),
                Stage("map+parameters, half size", 3000, divisor=2, fit_parameters=True),
                Stage("map+parameters", 2500, fit_parameters=True, rate=0.7),
                Stage("all+colour-network", 4500, fit_parameters=True, fit_colors=True, rate=0.6),
            ),
            inpainter=InpainterStage(4000, crop_px=384),
        )

    @staticmethod
    def tiny() -> AdaptConfig:
        """For tests: 32 x 32 texels, 64 px, a few steps."""
        return AdaptConfig(
            preset="tiny",
            uv_size=32,
            max_box_px=64,
            memory_mb=20,
            min_frames=3,
            loop_s=0.4,
            stages=(Stage("map", 12), Stage("map+parameters", 8, fit_parameters=True)),
            inpainter=InpainterStage(3, crop_px=48),
        )

    @staticmethod
    def named(preset: str) -> AdaptConfig:
        """The preset of this name: draft, standard, full or tiny."""
        presets = {
            "draft": AdaptConfig.draft, "standard": AdaptConfig.standard,
            "full": AdaptConfig.full, "tiny": AdaptConfig.tiny,
        }  # fmt: skip
        if preset not in presets:
            raise InvalidInputError(f"There is no preset '{preset}': choose {', '.join(presets)}.")
        return presets[preset]()


@dataclass(frozen=True)
class RefineConfig:
    """How a track is made to agree with a finished avatar; the rates are those of the adaptation."""

    steps: int = 30  # a frame; each starts from the correction of the frame before
    first_steps: int = 40  # where there is none before
    decay: float = 0.2  # learning rate at the last step, as a share of the first
    carry: float = 0.9  # share of the last frame's correction that the next one starts with
    max_box_px: int = 512
    rates: Rates = field(default_factory=Rates)
    weights: Weights = field(default_factory=Weights)

    @classmethod
    def tiny(cls) -> RefineConfig:
        """For tests."""
        return cls(steps=3, first_steps=6, max_box_px=64)
