"""Track FLAME and Track to Motion on the sample clip: curves, small pictures, a FLAME file of one's own."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

SAMPLE = Path(__file__).resolve().parents[2] / "ggtalker_core" / "assets" / "sample" / "sample_clip.mp4"


@pytest.fixture(scope="module")
def clip(node_module: Any, comfy: ModuleType) -> Any:
    target = Path(comfy.get_input_directory()) / SAMPLE.name
    shutil.copy(SAMPLE, target)
    node = node_module("load_reference_video").LoadReferenceVideo
    with torch.inference_mode():
        yield node.execute(target.name, 0.0, 0.6, fps=25.0, max_side_px=256).args[0]
    target.unlink()


@pytest.fixture(scope="module")
def out(node_module: Any, clip: Any) -> Any:
    with torch.inference_mode():
        return node_module("track_flame").TrackFLAME.execute(clip, "fast")


def test_track_overlay_report_and_curves(out: Any, clip: Any) -> None:
    track, overlay, report, curves = out.args
    assert track.count == clip.count == 15 and track.head_model == "default" and "frames" in report
    assert overlay.shape[0] == 8 and tuple(curves.shape) == (1, 420, 960, 3)
    assert 0.05 < float(curves.mean()) < 0.5 and float(curves.std()) > 0.02


def test_the_widget_gets_curves_and_a_page_of_frames(out: Any, clip: Any, comfy: ModuleType) -> None:
    (data,) = out.ui["ggtalker_curves"]
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["count"] == clip.count and data["fps"] == 25.0 and data["shown"] == list(range(15))
    assert [row["name"] for row in data["rows"]] == ["landmark error", "jaw", "blink", "yaw"]
    assert all(len(row["values"]) == len(data["frames"]) for row in data["rows"])
    page = Path(comfy.get_temp_directory()) / data["page"]["filename"]
    assert page.is_file() and data["page"]["type"] == "temp"
    assert out.ui["ggtalker_report"] and len(out.ui["images"]) == 1


def test_a_flame_file_in_the_folder_is_offered_and_used(
    node_module: Any, core: Any, comfy: ModuleType, clip: Any
) -> None:
    host, folder = node_module("host"), Path(comfy.models_dir) / "ggtalker" / "flame"
    assert host.flame_files() == []
    export = core("head.flame_files").export_flame
    export(core("head").load_head("default"), folder)
    (folder / "flame_static_embedding.pkl").unlink()
    assert host.flame_files() == ["FLAME_NEUTRAL.npz"]
    node = node_module("track_flame").TrackFLAME
    with torch.inference_mode():
        track = node.execute(clip, "fast", head="FLAME_NEUTRAL.npz").args[0]
    assert track.head_model == "FLAME_NEUTRAL.ggtalker.safetensors" and bool(track.valid.all())
    with pytest.raises(core("errors").UnreadableFileError, match="models/ggtalker/flame"):
        node.execute(clip, "fast", head="other.pkl")
    shutil.rmtree(folder)


def test_a_track_of_one_head_drives_an_avatar_of_another(
    node_module: Any, core: Any, comfy: ModuleType, out: Any
) -> None:
    flame = core("head.flame_files")
    folder = Path(comfy.get_temp_directory()) / "flame"
    path = flame.convert_flame(flame.export_flame(core("head").load_head("default"), folder), folder / "h.safetensors")
    avatar = core("gaussians.synthetic").synthetic_avatar(32, 4, (96, 96))
    body = dataclasses.replace(
        avatar.body, track=dataclasses.replace(avatar.body.track, head_model=str(path))
    )  # fmt: skip
    avatar = dataclasses.replace(avatar, head_model=str(path), body=body)
    track = out.args[0]
    motion = node_module("track_to_motion").TrackToMotion.execute(track, "relative", avatar).args[0]
    assert motion.count == track.count and bool(motion.expression.isfinite().all())
