"""gsplat's own pictures and gradients, recorded on a GPU by benchmarks/gpu/record.py, replayed on the CPU backends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from ggtalker_core.render import render
from ggtalker_core.types import Camera, Gaussians

FIXTURE = Path(__file__).parent / "fixtures" / "gsplat_fixture.safetensors"
FIELDS = ("means", "quats", "scales", "opacities", "colors")


@pytest.fixture(scope="module")
def recorded():
    if not FIXTURE.exists():
        pytest.skip("not recorded yet: run benchmarks/gpu/record.py on a machine with an NVIDIA GPU")
    with safe_open(FIXTURE, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.mark.parametrize("mode", ["classic", "antialiased"])
@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_replay(recorded, backend: str, mode: str) -> None:
    tensors, metadata = recorded
    width, height = json.loads(metadata["size"])
    leaves = [tensors[f"in.{n}"].clone().requires_grad_() for n in FIELDS]
    camera = Camera(tensors["in.viewmat"], tensors["in.intrinsics_px"], width, height)
    out = render(
        Gaussians(*leaves), camera, tensors["in.background"], backend=backend, antialiased=mode == "antialiased"
    )
    ((out.rgb * tensors["in.v_rgb"]).sum() + (out.alpha * tensors["in.v_alpha"]).sum()).backward()
    for got, want in ((out.rgb, tensors[f"{mode}.rgb"]), (out.alpha, tensors[f"{mode}.alpha"])):
        error = (got.detach() - want).abs().flatten()
        assert error.mean() <= 1e-5 and error.max() <= 8e-3
        assert error.kthvalue(int(0.999 * error.numel())).values <= 1e-4
    for name, leaf in zip(FIELDS, leaves):
        want = tensors[f"{mode}.{name}"]
        assert (leaf.grad - want).norm() / want.norm() <= 2e-3, name
        assert torch.cosine_similarity(leaf.grad.flatten(), want.flatten(), 0) >= 0.9999, name
