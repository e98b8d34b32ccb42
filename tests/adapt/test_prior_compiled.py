"""The compiled prior against the one in torch, in double precision."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ggtalker_core.adapt import prior_compiled
from ggtalker_core.adapt.colors import FirstLook
from ggtalker_core.adapt.config import Weights
from ggtalker_core.adapt.losses import MapPrior
from ggtalker_core.adapt.prior import drawn_texels, map_prior
from ggtalker_core.gaussians.config import GaussianConfig
from ggtalker_core.gaussians.texels import Texels
from ggtalker_core.head import load_head, uv_layout

# Every term of the loss by itself (beside those of neighbours, which have no weight here), and all together.
NAMES = ("offset", "scale", "anisotropy", "opaque", "stray", "level", "hue")
NOTHING = dataclasses.replace(Weights(), **dict.fromkeys(NAMES, 0.0))
TERMS = {name: dataclasses.replace(NOTHING, **{name: getattr(Weights(), name)}) for name in NAMES}
TERMS |= {"neighbours": NOTHING, "all": Weights()}


def _prior() -> MapPrior:
    head, layout = load_head(), uv_layout(32)
    points = layout.points(head.template_m[None], head.faces)[0]
    n = layout.count
    rng = torch.Generator().manual_seed(0)
    look = FirstLook(torch.rand(n, 3, generator=rng), torch.rand(n, generator=rng))
    drawn = drawn_texels(layout, head, points, -0.0715)
    hair = 0.01 * torch.rand(n, generator=rng)
    spread = torch.full((n, 2), 1e-3)
    return map_prior(layout, head, drawn, points, hair, spread, look, GaussianConfig(), Weights())


def _texels(prior: MapPrior, dtype: torch.dtype) -> Texels:
    """Some within the limits, some beyond them."""
    n = len(prior.cell)
    rng = torch.Generator().manual_seed(1)
    texels = Texels(
        torch.randn(n, 3, generator=rng) * 4e-3, torch.randn(n, 3, generator=rng) * 1.2 - 6,
        torch.randn(n, 4, generator=rng), prior.color + torch.randn(n, 3, generator=rng) * 0.5,
        torch.randn(n, generator=rng) * 3,
    )  # fmt: skip
    texels.log_scale[::3, 2] = texels.log_scale[::3, 0]  # discs: two axes share an extreme
    return Texels(*(getattr(texels, f.name).to(dtype).requires_grad_(True) for f in dataclasses.fields(texels)))


def _doubled(prior: MapPrior) -> MapPrior:
    values = (getattr(prior, f.name) for f in dataclasses.fields(prior))
    return MapPrior(*(value.double() if value.is_floating_point() else value for value in values))


@pytest.mark.parametrize("name", TERMS)
def test_same_loss_and_gradients_as_in_double_precision(name):
    prior, weights = _prior(), TERMS[name]
    exact, ours = _texels(prior, torch.float64), _texels(prior, torch.float32)
    wanted = 0.5 * _doubled(prior).loss(exact, weights)
    found = 0.5 * prior_compiled.CompiledPrior(prior, weights)(ours)
    assert torch.isclose(found.double(), wanted, rtol=1e-5)
    wanted.backward()
    found.backward()
    for field in ("offset_m", "log_scale", "color", "opacity_logit"):
        a, b = getattr(ours, field).grad, getattr(exact, field).grad
        assert float((a - b).abs().max()) < 2e-5 * float(b.abs().max()) + 1e-12, field


def test_it_is_what_a_processor_uses_and_torch_does_the_rest(monkeypatch):
    prior = _prior()
    texels = _texels(prior, torch.float32)
    ours = prior_compiled.prior_loss(prior, Weights())
    assert isinstance(ours, prior_compiled.CompiledPrior)
    monkeypatch.setattr(prior_compiled, "kernels", lambda: None)
    plain = prior_compiled.prior_loss(prior, Weights())
    assert not isinstance(plain, prior_compiled.CompiledPrior)
    assert torch.isclose(plain(texels), prior.loss(texels, Weights()), rtol=1e-6)
