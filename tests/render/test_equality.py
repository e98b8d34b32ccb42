"""Picture, coverage and all five gradients of every backend against the float64 reference."""

from __future__ import annotations

import functools

import pytest
from torch import Tensor

from ggtalker_core.render import render
from ggtalker_core.types import Gaussians

FIELDS = ("means", "quats", "scales", "opacities", "colors")
MAX_ERROR, MAX_GRADIENT_ERROR = 5e-6, 1e-5


def rendered(scene, backend: str, antialiased: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """rgb, alpha and the gradients of the five tensors under the scene's cotangents."""
    leaves = [getattr(scene.gaussians, name).clone().requires_grad_() for name in FIELDS]
    out = render(Gaussians(*leaves), scene.camera, scene.background, backend=backend, antialiased=antialiased)
    v_rgb, v_alpha = scene.weights()
    ((out.rgb * v_rgb).sum() + (out.alpha * v_alpha).sum()).backward()
    return out.rgb.detach(), out.alpha.detach(), [leaf.grad for leaf in leaves]


@functools.cache
def _reference(name: str, antialiased: bool, key):
    return rendered(key[0], "reference", antialiased)


class _ByIdentity(tuple):
    __slots__ = ()

    def __hash__(self) -> int:
        return id(self[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and self[0] is other[0]


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_same_as_reference(scene, backend: str, antialiased: bool) -> None:
    rgb, alpha, gradients = rendered(scene, backend, antialiased)
    want_rgb, want_alpha, wanted = _reference(scene.name, antialiased, _ByIdentity((scene,)))
    assert rgb.shape == want_rgb.shape and alpha.shape == want_alpha.shape
    assert (rgb - want_rgb).abs().max() <= MAX_ERROR
    assert (alpha - want_alpha).abs().max() <= MAX_ERROR
    for name, got, want in zip(FIELDS, gradients, wanted):
        assert got.shape == want.shape, name
        scale = want.norm().clamp(min=1e-6)
        assert (got - want).norm() / scale <= MAX_GRADIENT_ERROR, name
