"""A prior of one's own, trained with `cli train audio-prior`, in the place of the bundled one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..types import SpeakingStyle
from .prior import ExpressionPrior, load_prior


def with_own_prior(
    path: Path | None, style: SpeakingStyle | None
) -> tuple[ExpressionPrior | None, SpeakingStyle | None]:
    """What `speak` is to be given as prior and style when the prior of the file `path` is to speak; None: the bundled.

    An avatar's style token was read by the bundled prior and means nothing to another one, so the style goes without
    it; rest pose and gains stay. Raises MissingWeightsError and IncompatibleFileError as `load_prior` does.
    """
    if path is None:
        return None, style
    prior = load_prior(path)
    return prior, None if style is None else dataclasses.replace(style, token=None)
