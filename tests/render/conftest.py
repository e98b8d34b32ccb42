"""Scenes that a rasteriser gets wrong, each small enough for the float64 reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ggtalker_core.types import Camera, Gaussians

WIDTH, HEIGHT = 52, 39  # no multiple of 16


@dataclass(frozen=True)
class Scene:
    """Gaussians before a camera, and how the picture's gradient is weighed."""

    name: str
    gaussians: Gaussians
    camera: Camera
    background: Tensor  # [3]

    def weights(self) -> tuple[Tensor, Tensor]:
        """Random cotangents of rgb and alpha, the same at every call."""
        g = torch.Generator().manual_seed(7)
        b = max(self.gaussians.means.shape[0], self.camera.viewmat.shape[0])
        size = (b, self.camera.height, self.camera.width)
        return torch.randn(*size, 3, generator=g), torch.randn(*size, 1, generator=g)


def _camera(width: int = WIDTH, height: int = HEIGHT, distance_m: float = 4.0, near_m: float = 0.01) -> Camera:
    c, s = math.cos(0.3), math.sin(0.3)
    view = torch.tensor([[c, 0, s, 0.05], [0, 1, 0, -0.1], [-s, 0, c, distance_m], [0, 0, 0, 1]])
    k = torch.tensor([[1.1 * width, 0, width / 2], [0, 1.05 * width, height / 2 + 3], [0, 0, 1.0]])
    return Camera(view[None], k[None], width, height, near_m=near_m)


def _cloud(n: int = 220, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        "means": torch.randn(n, 3, generator=g) * torch.tensor([0.8, 0.8, 0.5]),
        "quats": torch.randn(n, 4, generator=g),
        "scales": torch.rand(n, 3, generator=g) * 0.15 + 0.01,
        "opacities": torch.rand(n, generator=g),
        "colors": torch.rand(n, 3, generator=g) * 1.4 - 0.2,
    }


def _scene(name: str, parts: dict[str, Tensor], camera: Camera | None = None) -> Scene:
    batched = {k: v if v.ndim == (2 if k == "opacities" else 3) else v[None] for k, v in parts.items()}
    return Scene(name, Gaussians(**batched), camera or _camera(), torch.tensor([0.1, 0.5, 0.9]))


def _cloud_scene() -> Scene:
    return _scene("cloud", _cloud(300))


def _off_axis() -> Scene:
    """Large Gaussians whose centres lie beyond the clamped field of view but reach into the picture."""
    parts = _cloud(60, seed=1)
    parts["means"] = parts["means"] * torch.tensor([6.0, 6.0, 0.5])
    parts["scales"] = parts["scales"] * 8
    return _scene("off-axis (slope clamped)", parts)


def _near_plane() -> Scene:
    """Some before, some behind, some right at the near plane."""
    parts = _cloud(80, seed=2)
    parts["means"][:, 2] = torch.linspace(-1.0, 2.0, 80)
    parts["scales"] = parts["scales"] * 0.3
    return _scene("near plane", parts, _camera(distance_m=0.6, near_m=0.3))


def _far_away() -> Scene:
    """Everything behind the camera or off the picture, but for a few."""
    parts = _cloud(120, seed=3)
    parts["means"][:60] += torch.tensor([0.0, 0.0, -12.0])
    parts["means"][60:110] += torch.tensor([9.0, 0.0, 0.0])
    return _scene("behind and off the picture", parts)


def _nothing_seen() -> Scene:
    parts = _cloud(40, seed=3)
    parts["means"][:, 0] += 100
    return _scene("nothing seen", parts)


def _tiny() -> Scene:
    parts = _cloud(200, seed=4)
    parts["scales"] = parts["scales"] * 0.05
    return _scene("tiny", parts)


def _huge() -> Scene:
    parts = _cloud(30, seed=5)
    parts["scales"] = parts["scales"] * 40
    return _scene("huge", parts)


def _needles() -> Scene:
    parts = _cloud(120, seed=6)
    parts["scales"] = torch.tensor([0.8, 0.004, 0.002]).expand(120, 3).clone()
    return _scene("needles", parts)


def _opacities() -> Scene:
    """0, 1, just off 1/255 on both sides, and above the limit of 0.999."""
    parts = _cloud(120, seed=7)
    marks = torch.tensor([0.0, 1.0, 1.01 / 255, 0.99 / 255, 0.9995, -0.5])
    parts["opacities"] = marks.repeat(20)
    return _scene("opacity 0 and 1", parts)


def _equal_depths() -> Scene:
    parts = _cloud(150, seed=8)
    parts["means"][:, 2] = 0
    camera = _camera()
    camera.viewmat[:, :3, :3] = torch.eye(3)
    return _scene("equal depths", parts, camera)


def _opaque() -> Scene:
    """Many opaque layers: every pixel ends at the transmittance limit."""
    parts = _cloud(400, seed=9)
    parts["opacities"] = parts["opacities"] * 0.3 + 0.69
    parts["scales"] = parts["scales"] * 2
    return _scene("opaque layers", parts)


def _few() -> Scene:
    return _scene("three Gaussians", _cloud(3, seed=10))


def _one_pixel() -> Scene:
    camera = _camera(1, 1)
    camera.intrinsics_px[:, :2, 2] = 0.5
    parts = _cloud(50, seed=11)
    parts["scales"] = parts["scales"] * 5
    return _scene("one pixel", parts, camera)


def _tile_exact() -> Scene:
    return _scene("two tiles exactly", _cloud(100, seed=12), _camera(32, 16))


def _moving() -> Scene:
    """Three frames: own means and cameras, the rest shared."""
    parts = _cloud(90, seed=13)
    parts["means"] = torch.stack([parts["means"], parts["means"] * 1.1, parts["means"] - 0.1])
    one = _camera()
    views = one.viewmat.repeat(3, 1, 1)
    views[1, 0, 3] += 0.3
    views[2, 2, 3] += 0.7
    ks = one.intrinsics_px.repeat(3, 1, 1)
    ks[2, 0, 0] *= 1.3
    return _scene("moving", parts, Camera(views, ks, WIDTH, HEIGHT))


_MAKERS: tuple[Callable[[], Scene], ...] = (
    _cloud_scene, _off_axis, _near_plane, _far_away, _nothing_seen, _tiny, _huge, _needles, _opacities, _equal_depths,
    _opaque, _few, _one_pixel, _tile_exact, _moving,
)  # fmt: skip
SCENES = [make() for make in _MAKERS]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that asks for a `scene` runs on all of them."""
    if "scene" in metafunc.fixturenames:
        metafunc.parametrize("scene", SCENES, ids=[s.name for s in SCENES])


@pytest.fixture()
def cloud() -> Scene:
    """A plain cloud of 300 Gaussians."""
    return SCENES[0]
