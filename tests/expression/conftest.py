"""Tiny trained-looking priors and sounds for the tests of the expression part."""

from __future__ import annotations

import dataclasses
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.expression.config import PriorConfig
from ggtalker_core.expression.denoiser import Denoiser
from ggtalker_core.expression.losses import Scale
from ggtalker_core.expression.prior import ExpressionPrior
from ggtalker_core.expression.regression import RegressionTrunk
from ggtalker_core.types import AudioTrack


def make_prior(config: PriorConfig, with_denoiser: bool = True) -> ExpressionPrior:
    """A prior with random weights that do not cancel (the real initialisation starts at zero)."""
    torch.manual_seed(1)
    trunk, denoiser = RegressionTrunk(config), Denoiser(config) if with_denoiser else None
    if denoiser is not None:
        torch.nn.init.normal_(denoiser.leave.weight, std=0.05)
    scale = Scale(torch.full((13,), 0.05), torch.full((13,), 0.1))
    return ExpressionPrior(config, scale, trunk, denoiser)


@pytest.fixture
def tiny_prior() -> ExpressionPrior:
    return make_prior(PriorConfig.tiny())


@pytest.fixture
def wide_prior() -> ExpressionPrior:
    """Tiny networks behind the real features."""
    return make_prior(dataclasses.replace(PriorConfig.tiny(), feature_width=1024))


def _read_wav(path: Path) -> AudioTrack:
    with wave.open(str(path)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels())
        return AudioTrack(torch.from_numpy(data.T.copy()).float() / 32768, file.getframerate())


@pytest.fixture
def read_wav() -> Callable[[Path], AudioTrack]:
    """Reads 16-bit wav files."""
    return _read_wav
