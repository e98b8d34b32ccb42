"""The compiled rigging against the one in torch, in double precision."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ggtalker_core.gaussians import rigging, rigging_compiled
from ggtalker_core.gaussians.config import GaussianConfig
from ggtalker_core.gaussians.rigging import Rig, bind_texels, make_rig
from ggtalker_core.gaussians.texels import Texels
from ggtalker_core.head import load_head, uv_layout

Case = tuple[Texels, Rig, torch.Tensor]


def _case(dtype: torch.dtype) -> Case:
    """Texels of all kinds on two heads whose triangles lie every way round; leaves of `dtype`."""
    head, layout = load_head(), uv_layout(24)
    rng = torch.Generator().manual_seed(0)
    n = layout.count
    texels = Texels(
        torch.randn(n, 3, generator=rng) * 1e-3, torch.randn(n, 3, generator=rng) * 0.3 - 7,
        torch.randn(n, 4, generator=rng), torch.rand(n, 3, generator=rng), torch.randn(n, generator=rng),
    )  # fmt: skip
    rig = make_rig(layout, head.faces, head.template_m)
    vertices = head.template_m[None] + torch.randn(2, *head.template_m.shape, generator=rng) * 2e-2
    exact = dataclasses.replace(
        rig, barycentric=rig.barycentric.to(dtype), rest_area_m2=rig.rest_area_m2.to(dtype)
    )  # fmt: skip
    leaves = (getattr(texels, f.name).to(dtype).requires_grad_(True) for f in dataclasses.fields(texels))
    return Texels(*leaves), exact, vertices.to(dtype).requires_grad_(True)


def _found(case: Case, compiled: bool) -> list[torch.Tensor]:
    """What comes out, and the gradients for random pulls on it."""
    texels, rig, vertices = case
    way = rigging_compiled.posed if compiled else rigging.posed
    out = way(texels, rig, vertices, GaussianConfig())
    rng = torch.Generator().manual_seed(1)
    pulls = [torch.randn(x.shape, generator=rng, dtype=torch.float64).to(x) / x.detach().abs().mean() for x in out]
    torch.autograd.backward(out, pulls)
    leaves = (texels.offset_m, texels.log_scale, texels.quaternion, vertices)
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    assert len(gradients) == 4
    return [value.detach().double() for value in (*out, *gradients)]


def test_same_values_and_gradients_as_in_double_precision():
    exact, ours = _found(_case(torch.float64), False), _found(_case(torch.float32), True)
    for name, a, b in zip(("mean", "quat", "scale", "d offset", "d scale", "d quat", "d vertex"), ours, exact):
        assert float((a - b).abs().max()) < 3e-6 * float(b.abs().max()), name


def test_it_is_what_a_processor_uses_and_torch_does_the_rest(monkeypatch):
    texels, rig, vertices = _case(torch.float32)
    assert rigging_compiled.takes(texels, rig, vertices)
    assert not rigging_compiled.takes(texels, rig, vertices.double())
    assert not rigging_compiled.takes(texels, rig, vertices.to("meta"))
    ours = bind_texels(texels, rig, vertices)
    monkeypatch.setattr(rigging_compiled, "kernels", lambda: None)
    plain = bind_texels(texels, rig, vertices)
    assert torch.allclose(ours.means, plain.means, atol=1e-6) and torch.allclose(ours.quats, plain.quats, atol=1e-5)


def test_only_what_is_asked_for_gets_a_gradient():
    texels, rig, vertices = _case(torch.float32)
    held = texels.detach()
    bind_texels(held, rig, vertices).means.sum().backward()
    assert vertices.grad is not None and float(vertices.grad.abs().sum()) > 0
    moved = texels.parameters()
    bind_texels(moved, rig, vertices.detach()).scales.sum().backward()
    assert moved.log_scale.grad is not None and float(moved.log_scale.grad.abs().sum()) > 0
    with torch.inference_mode():
        assert not bind_texels(held, rig, vertices.detach()).means.requires_grad


@pytest.mark.parametrize("squashed", [0, 1])
def test_triangles_without_area_stay_finite(squashed):
    texels, rig, vertices = _case(torch.float32)
    flat = vertices.detach().clone()
    flat[..., squashed:] = 0.0  # on a line; all in one point
    flat.requires_grad_(True)
    bound = bind_texels(texels, rig, flat)
    (bound.means.sum() + bound.scales.sum() + bound.quats.sum()).backward()
    for value in (bound.means, bound.quats, bound.scales, flat.grad, texels.offset_m.grad, texels.quaternion.grad):
        assert value is not None and bool(torch.isfinite(value).all())
