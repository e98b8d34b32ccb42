"""How gsplat is called, without a GPU: by its real signature, with the shapes it documents, answered by numba."""

from __future__ import annotations

import inspect

import pytest
import torch

from ggtalker_core.render import backend_gsplat, gsplat_extension, render
from ggtalker_core.types import Camera, Gaussians


@pytest.fixture()
def stand_in(monkeypatch):
    """gsplat.rasterization with its own signature and shape rules, rendering with numba."""
    gsplat = pytest.importorskip("gsplat")
    signature = inspect.signature(gsplat.rasterization)
    calls: list[dict] = []

    def rasterization(*args, **kwargs):
        assert not args, "keyword arguments only: their order changes between versions"
        given = signature.bind(**kwargs).arguments
        calls.append(given)
        b, n = given["means"].shape[:2]
        assert given["quats"].shape == (b, n, 4) and given["scales"].shape == (b, n, 3)
        assert given["opacities"].shape == (b, n) and given["colors"].shape == (b, n, 3)
        assert given["viewmats"].shape == (b, 1, 4, 4) and given["Ks"].shape == (b, 1, 3, 3)
        assert given["backgrounds"].shape == (b, 1, 3) and given["packed"] is False
        assert all(v.is_contiguous() for v in given.values() if isinstance(v, torch.Tensor))
        out = render(
            Gaussians(*(given[k] for k in ("means", "quats", "scales", "opacities", "colors"))),
            Camera(
                given["viewmats"][:, 0], given["Ks"][:, 0], given["width"], given["height"],
                given["near_plane"], given["far_plane"],
            ),
            given["backgrounds"][:, 0], backend="numba", eps2d=given["eps2d"],
            antialiased=given["rasterize_mode"] == "antialiased",
        )  # fmt: skip
        return out.rgb[:, None], out.alpha[:, None], {}

    monkeypatch.setattr(gsplat, "rasterization", rasterization)
    monkeypatch.setattr(gsplat_extension, "load", lambda: None)
    return calls


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
def test_same_as_the_other_backends(scene, stand_in, antialiased: bool) -> None:
    frames = max(scene.gaussians.means.shape[0], scene.camera.viewmat.shape[0])
    background = scene.background.expand(frames, 3)
    rgb, alpha = backend_gsplat.render_frames(scene.gaussians, scene.camera, background, frames, 0.3, antialiased)
    want = render(scene.gaussians, scene.camera, scene.background, backend="numba", antialiased=antialiased)
    assert torch.equal(rgb, want.rgb) and torch.equal(alpha, want.alpha)
    assert len(stand_in) == 1, "all frames in one call"
