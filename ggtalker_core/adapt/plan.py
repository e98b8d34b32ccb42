"""Which stages run, and for how long: a preset's recipe in full, some of its stages, what an interrupted run lacks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from .config import AdaptConfig, InpainterStage, Stage, StyleStage
from .history import FINISHED

if TYPE_CHECKING:
    from ..types import AvatarInfo

PRESET = "preset"  # all stages of the preset
KINDS = ("map", "parameters", "colors", "style", "inpainter")
_FEW, _INPAINTER_STEPS, _STYLE_STEPS = 200, 1000, 60  # steps of a stage that the preset lacks


def chosen(config: AdaptConfig, words: str) -> AdaptConfig:
    """The stages that `words` names, in that order: "preset", or names of KINDS with commas; a name may come twice.

    map: colours and shapes alone. parameters: also the frames' expression, jaw, gaze and pose. colors: also the colour
    network. style: how the person articulates, tuned on the clip's sound. inpainter: the Body Inpainter. Those two come
    after the fit. Raises InvalidInputError.
    """
    names = [name.strip().lower() for name in words.replace("\n", ",").split(",") if name.strip()]
    if names in ([], [PRESET]):
        return config
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise InvalidInputError(
            f"There is no stage '{unknown[0]}'. Write preset, or some of {', '.join(KINDS)} with commas between."
        )
    stages = tuple(stage for name in names for stage in _of_kind(config, name))
    inpainter = replace(config.inpainter, steps=0)
    if "inpainter" in names:
        inpainter = config.inpainter if config.inpainter.steps else InpainterStage(_INPAINTER_STEPS)
    style = StyleStage(read="style" in names, steps=config.style.steps or _STYLE_STEPS)
    return replace(config, stages=stages or (Stage("map", 0),), inpainter=inpainter, style=style, take_up=False)


def check_start(config: AdaptConfig, resumed: bool) -> None:
    """Raise InvalidInputError where nothing would be fitted and there is no avatar that was."""
    if not resumed and config.steps == 0:
        raise InvalidInputError(
            "The chosen stages fit no head: they need an avatar at resume. Add map and parameters, or connect one."
        )


def within(config: AdaptConfig, minutes: float) -> AdaptConfig:
    """The same stages by the clock, `minutes` in all, shared out as their steps share the work; 0 changes nothing."""
    if minutes <= 0:
        return config
    share = minutes / max(config.work, 1e-9)
    stages = tuple(replace(stage, minutes=stage.work * share) for stage in config.stages)
    inpainter = replace(config.inpainter, minutes=config.inpainter.work * share)
    return replace(config, stages=stages, inpainter=inpainter, take_up=False)


def left_over(config: AdaptConfig, info: AvatarInfo) -> AdaptConfig:
    """What an interrupted run has still to do; all of it after a finished one, one of another recipe, or by choice."""
    if FINISHED in info.stages_done or not config.take_up:
        return config
    stages = list(config.stages)
    for record in info.history[_last_start(info, config) :]:
        if not stages or stages[0].name != record.name:
            break
        left = stages[0].steps - record.steps
        if left > 0:
            stages[0] = replace(stages[0], steps=left)
        else:
            stages.pop(0)
    return replace(config, stages=tuple(stages) or (Stage("map", 0),))


def _last_start(info: AvatarInfo, config: AdaptConfig) -> int:
    """Where in the history the last run through these stages began."""
    name, steps = config.stages[0].name, config.stages[0].steps
    starts = [i for i, record in enumerate(info.history) if record.name == name and record.of == steps]
    return starts[-1] if starts else len(info.history)


def _of_kind(config: AdaptConfig, kind: str) -> tuple[Stage, ...]:
    """The preset's stages of this kind, or one like its last where it has none."""
    found = tuple(stage for stage in config.stages if stage.kind == kind)
    if found or kind in ("style", "inpainter"):
        return found
    steps = max((stage.steps for stage in config.stages), default=_FEW)
    return (Stage(kind, steps, fit_parameters=kind != "map", fit_colors=kind == "colors", rate=0.6),)
