"""A prior of one's own in the place of the bundled one."""

from __future__ import annotations

import pytest
import torch

from ggtalker_core.errors import MissingWeightsError
from ggtalker_core.expression.own import with_own_prior
from ggtalker_core.expression.prior import load_prior, save_prior
from ggtalker_core.types import SpeakingStyle

STYLE = SpeakingStyle(torch.full((50,), 0.1), torch.zeros(3), mouth_gain=1.3, token=torch.ones(64))


def test_without_a_file_everything_stays():
    assert with_own_prior(None, STYLE) == (None, STYLE)


def test_a_file_speaks_without_the_bundled_priors_token(tmp_path):
    path = tmp_path / "own.safetensors"
    save_prior(load_prior().regression_alone(), path, {"data": "of a test"})
    prior, style = with_own_prior(path, STYLE)
    assert prior is not None and prior.denoiser is None
    assert style is not None and style.token is None and style.mouth_gain == 1.3
    assert torch.equal(style.rest_expression, STYLE.rest_expression)
    assert with_own_prior(path, None)[1] is None


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"gone\.safetensors"):
        with_own_prior(tmp_path / "gone.safetensors", STYLE)
