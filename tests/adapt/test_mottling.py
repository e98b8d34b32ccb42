"""Neighbouring texels of one kind agree in colour; in brightness they are free."""

from __future__ import annotations

import dataclasses
import math

import torch

from ggtalker_core.adapt.colors import FirstLook
from ggtalker_core.adapt.config import Weights
from ggtalker_core.adapt.losses import MapPrior
from ggtalker_core.adapt.prior import drawn_texels, map_prior, region_mask
from ggtalker_core.gaussians.config import GaussianConfig
from ggtalker_core.gaussians.texels import Texels, initial_texels
from ggtalker_core.head import HeadModel, UVLayout, load_head, uv_layout

ONLY_HUE = dataclasses.replace(Weights(), smooth=0.0, smooth_unseen=0.0, smooth_lips=0.0, stray=0.0, level=0.0, hue=3.0)


def _prior(hair_m: torch.Tensor | None = None) -> tuple[HeadModel, UVLayout, torch.Tensor, MapPrior]:
    head, layout = load_head(), uv_layout(32)
    points = layout.points(head.template_m[None], head.faces)[0]
    drawn = drawn_texels(layout, head, points, -0.0715)
    look = FirstLook(torch.full((layout.count, 3), 0.5), torch.ones(layout.count))
    hair = torch.zeros(layout.count) if hair_m is None else hair_m
    spread = torch.full((layout.count, 2), 1e-3)
    return head, layout, drawn, map_prior(layout, head, drawn, points, hair, spread, look, GaussianConfig(), ONLY_HUE)


def _cost(prior: MapPrior, color: torch.Tensor, drawn: torch.Tensor) -> float:
    start = initial_texels(uv_layout(32))
    rows = Texels(**{f.name: getattr(start, f.name)[drawn] for f in dataclasses.fields(start)})
    colored, grey = (dataclasses.replace(rows, color=c) for c in (color[drawn], torch.full_like(rows.color, 0.5)))
    return float(prior.loss(colored, ONLY_HUE) - prior.loss(grey, ONLY_HUE))


def test_specks_of_complementary_colours_cost_and_shades_do_not():
    """Every second texel of skin pink, the others green: the mean over neighbours is what a camera sees, grey."""
    _, layout, drawn, prior = _prior()
    odd = (layout.row_col.sum(1) % 2).bool()[:, None]
    hue = torch.tensor([0.1, -0.1 * 0.299 / 0.587, 0.0])  # no brightness
    specks = torch.where(odd, 0.5 + hue, 0.5 - hue)
    expected = ONLY_HUE.hue * float((2 * hue).square().sum())  # a mean over the pairs of one kind, all of which differ
    assert math.isclose(_cost(prior, specks, drawn), expected, rel_tol=1e-3)
    assert abs(_cost(prior, torch.where(odd, torch.tensor(0.7), torch.tensor(0.3)).expand(-1, 3), drawn)) < 1e-6


def test_where_one_kind_ends_colours_may_change():
    """Red lips, dark hair, pale skin: an edge between them is free, one within the skin is not."""
    hair = torch.zeros(uv_layout(32).count)
    head, layout, drawn, prior = _prior()
    red, pale = torch.tensor([0.7, 0.3, 0.3]), torch.tensor([0.8, 0.6, 0.5])
    for kind in ("lips", "scalp"):
        assert abs(_cost(prior, torch.where(region_mask(layout, head, kind)[:, None], red, pale), drawn)) < 1e-6
    nose = torch.where(region_mask(layout, head, "nose")[:, None], red, pale)
    assert _cost(prior, nose, drawn) > 1e-3
    hair[region_mask(layout, head, "nose")] = 0.01  # what is covered by hair is hair
    assert abs(_cost(_prior(hair)[-1], nose, drawn)) < 1e-6
