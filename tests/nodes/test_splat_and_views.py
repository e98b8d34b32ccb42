"""Avatar to Splat and the views of Render Gaussians, with ComfyUI's own splat nodes."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

SIZE = (96, 80)


@pytest.fixture(autouse=True)
def inference_mode() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def avatar(core: Any) -> Any:
    with torch.inference_mode(False):
        return core("gaussians.synthetic").synthetic_avatar(32, 6, SIZE)


@pytest.fixture(scope="module")
def motion(avatar: Any) -> Any:
    with torch.inference_mode(False):
        return avatar.body.track.to_motion()


@pytest.fixture
def splat(node_module: Any, avatar: Any, motion: Any) -> Any:
    return node_module("avatar_to_splat").AvatarToSplat.execute(avatar, motion, 2).args


@pytest.fixture
def splat_nodes(pack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """ComfyUI's splat nodes; of the server, which they import, they need nothing here."""
    if "comfy_extras.nodes_gaussian_splat" not in sys.modules:
        server = ModuleType("server")
        server.PromptServer = object  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "server", server)
    return importlib.import_module("comfy_extras.nodes_gaussian_splat")


@pytest.fixture
def orbit_info(splat_nodes: Any) -> Callable[[float, float], dict[str, Any]]:
    """ComfyUI's Create Camera Info: yaw and distance."""

    def info(yaw: float, distance: float) -> dict[str, Any]:
        mode = {"mode": "orbit", "yaw": yaw, "pitch": 10.0, "distance": distance}
        return splat_nodes.CreateCameraInfo.execute(mode, 0.0, 0.5, 0.0, 0.0, 30.0).args[0]

    return info


def test_comfyui_draws_the_splat_as_we_draw_the_head(
    node_module: Any, avatar: Any, motion: Any, splat: Any, splat_nodes: Any, orbit_info: Any
) -> None:
    """Render Splat (its own rasteriser) from the clip's camera, then from one at the side, against Render Gaussians."""
    render = node_module("render").RenderGaussians
    for info in (splat[1], orbit_info(30.0, 6.0)):
        theirs = splat_nodes.RenderSplat.execute(
            splat[0], *SIZE, 1, 1.0, 1.0, 0.0, 0.0, "#000000", "color", camera_info=info
        ).args
        frame = list(render.execute(avatar, motion, camera_info=info).args[0].frames(2, 3))[0]
        covered = frame.alpha > 127
        assert 0.05 < covered.mean() < 0.9
        # Render Splat takes the field of view over the smaller side, which is the height here as in the viewer
        overlap = (theirs[1][0].numpy() > 0.5) & covered
        assert overlap.sum() / covered.sum() > 0.95 and (theirs[1][0].numpy() > 0.5).sum() < covered.sum() * 1.08
        inside = overlap & (frame.alpha > 250)
        there = theirs[0][0].numpy() * 255
        # it blends in linear light, so colours are near but not the same; upside down they are far
        right, wrong = (np.abs(there - p)[inside].mean() for p in (frame.rgb, frame.rgb[::-1]))
        assert right < 30 and right < 0.6 * wrong, (right, wrong)


@pytest.mark.parametrize(("kind", "rounding"), [("ply", 1e-4), ("spz", 0.02)])
def test_files_keep_the_head(splat_nodes: Any, splat: Any, kind: str, rounding: float) -> None:
    file = splat_nodes.SplatToFile3D.execute(splat[0], kind).args[0]
    back = splat_nodes.File3DToSplat.execute(file).args[0]
    assert back.positions.shape == splat[0].positions.shape and back.positions.shape[1] > 500
    assert (back.positions - splat[0].positions).abs().max() < rounding
    assert (back.opacities - splat[0].opacities).abs().max() < max(rounding, 1 / 255)
    assert ((back.sh - splat[0].sh) * 0.2821).abs().max() < max(rounding, 2 / 255)
    assert (back.scales / splat[0].scales).log().abs().max() < max(rounding, 1 / 16)


def test_the_splat_may_be_kept_and_changed(splat: Any, avatar: Any) -> None:
    assert not splat[0].positions.is_inference() and not splat[0].positions.requires_grad
    values = (splat[0].positions, splat[0].scales, splat[0].rotations, splat[0].opacities, splat[0].sh)
    assert all(v.dtype == torch.float32 and bool(v.isfinite().all()) for v in values)
    assert float(splat[0].positions[0, :, 1].abs().max()) < 4, "a head is a few units high"


def test_without_motion_it_is_the_clips_frame(node_module: Any, core: Any, avatar: Any) -> None:
    node = node_module("avatar_to_splat").AvatarToSplat
    first, second = (node.execute(avatar, None, i).args[0].positions for i in (0, 3))
    assert first.shape == second.shape and (first - second).abs().max() > 1e-3
    with pytest.raises(core("errors").InvalidInputError, match="6 frames"):
        node.execute(avatar, None, 6)


def test_a_path_swings_and_moves_off(node_module: Any, core: Any, avatar: Any, motion: Any, orbit_info: Any) -> None:
    render, inpaint = node_module("render").RenderGaussians, node_module("inpaint_body").InpaintBody
    still = list(render.execute(avatar, motion).args[0].frames())
    path = render.execute(avatar, motion, orbit_deg=30.0, orbit_pitch_deg=10.0, orbit_distance=2.0).args[0]
    seen = list(path.frames())
    assert np.abs(seen[0].rgb.astype(int) - still[0].rgb).mean() < 1, "the path begins at the clip's camera"
    middle = motion.count // 2
    ratio = (seen[middle].alpha > 127).sum() / (still[middle].alpha > 127).sum()
    assert ratio == pytest.approx(0.25, rel=0.25), "twice as far: a quarter of the area"
    for video in (path, render.execute(avatar, motion, camera_info=orbit_info(20.0, 6.0)).args[0]):
        with pytest.raises(core("errors").InvalidInputError, match="camera_info"):
            inpaint.execute(video)


def test_a_camera_and_a_path_go_together(node_module: Any, avatar: Any, motion: Any, orbit_info: Any) -> None:
    render = node_module("render").RenderGaussians
    info = orbit_info(25.0, 7.0)
    alone = list(render.execute(avatar, motion, camera_info=info).args[0].frames(0, 1))[0]
    both = list(render.execute(avatar, motion, camera_info=info, orbit_deg=20.0).args[0].frames(0, 1))[0]
    assert np.array_equal(alone.rgb, both.rgb), "the path begins at the given camera"


def test_an_orthographic_camera_is_refused_at_once(
    node_module: Any, core: Any, avatar: Any, motion: Any, orbit_info: Any
) -> None:
    info = {**orbit_info(0.0, 6.0), "cameraType": "orthographic"}
    with pytest.raises(core("errors").InvalidInputError, match="orthographic"):
        node_module("render").RenderGaussians.execute(avatar, motion, camera_info=info)


def test_torch_draws_the_same_picture(node_module: Any, avatar: Any, motion: Any) -> None:
    """Switching the backend in a workflow changes nothing visible."""
    render = node_module("render").RenderGaussians
    numba, plain = (next(iter(render.execute(avatar, motion, backend=b).args[0].frames())) for b in ("numba", "torch"))
    error = ((numba.rgb.astype(float) - plain.rgb) ** 2).mean()
    assert 10 * math.log10(255**2 / max(error, 1e-9)) > 60


def test_a_trial_avatar_is_not_exported_without_marks(node_module: Any, core: Any, avatar: Any) -> None:
    import dataclasses

    trial = core("provenance.consent").trial_consent("test")
    unmarked = dataclasses.replace(avatar, info=dataclasses.replace(avatar.info, consent=trial))
    with pytest.raises(core("errors").ConsentRequiredError, match="trial"):
        node_module("avatar_to_splat").AvatarToSplat.execute(unmarked)
