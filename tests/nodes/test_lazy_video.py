"""The lazy VIDEO: pulled frame by frame, exact in frames and sound, usable by core nodes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import torch

SIZE = (64, 48)
FPS = Fraction(30000, 1001)
RATE = 44100


class Counter:
    """Frames whose grey level tells their number; counts how often each was made and how many were alive at once."""

    def __init__(self, core: Any, count: int) -> None:
        self.frame, self.count = core("types").RgbaFrame, count
        self.made: list[int] = []
        self.inference: list[bool] = []

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Any]:
        for i in range(start, self.count if stop is None else stop):
            self.made.append(i)
            self.inference.append(torch.is_inference(torch.zeros(1)))
            rgb = np.full((SIZE[1], SIZE[0], 3), 20 + 4 * i, np.uint8)
            yield self.frame(rgb, np.full((SIZE[1], SIZE[0]), 128, np.uint8))


@pytest.fixture
def lazy(core: Any, node_module: Any) -> Any:
    types = core("types")
    count = 50
    seconds = count / FPS
    tone = torch.sin(torch.arange(round(seconds * RATE)) * (2 * np.pi * 440 / RATE)) * 0.5
    source = Counter(core, count)
    talking = types.TalkingVideo(
        source, count, SIZE, FPS, types.AudioTrack(tone.repeat(2, 1), RATE), marks={"ggtalker_manifest": "{}"}
    )
    return node_module("lazy_video").LazyVideo(talking)


def decoded(path: Any) -> tuple[list[np.ndarray], int, int, dict[str, str], Fraction]:
    with av.open(path) as container:
        tags, rate = dict(container.metadata), Fraction(container.streams.video[0].average_rate)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(path) as container:
        sound = list(container.decode(audio=0))
    return frames, sum(f.samples for f in sound), sound[0].sample_rate, tags, rate


def test_nothing_is_made_before_it_is_pulled(lazy: Any) -> None:
    assert (lazy.get_dimensions(), lazy.get_frame_count(), lazy.get_frame_rate()) == (SIZE, 50, FPS)
    assert lazy.get_duration() == pytest.approx(50 / float(FPS))
    assert lazy.talking.source.made == []


def test_saved_file_has_every_frame_once_the_sound_and_the_metadata(lazy: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with torch.inference_mode():  # as ComfyUI runs nodes
        lazy.save_to(str(path), format="auto", codec="auto", metadata={"prompt": {"1": "x"}}, crf=None, colour="new")
    frames, samples, rate, tags, fps = decoded(str(path))
    assert len(frames) == 50 and fps == FPS
    assert lazy.talking.source.made == list(range(50))
    assert not any(lazy.talking.source.inference), "frames must be made with ordinary tensors"
    levels = [float(frame.mean()) for frame in frames]
    assert np.allclose(levels, 20 + 4 * np.arange(50), atol=2.5)
    assert rate == RATE and abs(samples - lazy.talking.audio.waveform.shape[1]) <= 2048  # AAC pads to whole packets
    assert json.loads(tags["prompt"]) == {"1": "x"} and tags["ggtalker_manifest"] == "{}"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_save_to_a_buffer_and_get_stream_source(lazy: Any, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    lazy.save_to(buffer)
    (tmp_path / "b.mp4").write_bytes(buffer.getvalue())
    assert len(decoded(str(tmp_path / "b.mp4"))[0]) == 50
    first, second = lazy.get_stream_source(), lazy.get_stream_source()
    assert first == second and len(decoded(first)[0]) == 50


def test_components_are_what_core_nodes_expect(lazy: Any) -> None:
    parts = lazy.get_components()
    assert parts.images.shape == (50, SIZE[1], SIZE[0], 3) and parts.images.dtype == torch.float32
    assert parts.images[10].mean().item() == pytest.approx(60 / 255, abs=1e-3)
    assert parts.frame_rate == FPS and parts.audio["waveform"].shape[:2] == (1, 2)


def test_too_many_components_are_refused(lazy: Any, core: Any, node_module: Any) -> None:
    import dataclasses

    huge = dataclasses.replace(lazy.talking, count=10_000, size_px=(1920, 1080))
    with pytest.raises(core("errors").InvalidInputError, match="GiB"):
        node_module("lazy_video").LazyVideo(huge).get_components()


def test_trim_cuts_frames_and_sound_alike(lazy: Any) -> None:
    trimmed = lazy.as_trimmed(10 / float(FPS), 20 / float(FPS), strict_duration=True)
    assert trimmed.get_frame_count() == 20
    assert [int(f.rgb[0, 0, 0]) for f in trimmed.frames()] == [20 + 4 * i for i in range(10, 30)]
    seconds = trimmed.talking.audio.waveform.shape[1] / RATE
    assert seconds == pytest.approx(20 / float(FPS), abs=1e-3)
    assert lazy.as_trimmed(-10 / float(FPS), 0).get_frame_count() == 10
    assert lazy.as_trimmed(1.0, 99.0, strict_duration=True) is None
    assert lazy.as_trimmed(99.0, 1.0) is None


@pytest.mark.parametrize(("key", "value"), [("format", "webm"), ("codec", "av1")])
def test_other_formats_are_refused_in_words(lazy: Any, core: Any, tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(core("errors").InvalidInputError, match=value):
        lazy.save_to(str(tmp_path / "a.mp4"), **{key: value})


def test_cancelling_leaves_no_file(lazy: Any, comfy: ModuleType, tmp_path: Path) -> None:
    import comfy.model_management as management

    management.interrupt_current_processing(True)
    try:
        with pytest.raises(management.InterruptProcessingException):
            lazy.save_to(str(tmp_path / "a.mp4"))
    finally:
        management.interrupt_current_processing(False)
    assert len(lazy.talking.source.made) <= 3 and list(tmp_path.iterdir()) == []


def test_core_save_video_takes_it(lazy: Any, comfy: ModuleType) -> None:
    from comfy_extras.nodes_video import GetVideoComponents, SaveVideo, VideoSlice

    SaveVideo.hidden = type("Hidden", (), {"prompt": {"1": {}}, "extra_pnginfo": None})
    (codec,) = [part for part in SaveVideo.define_schema().inputs if part.id == "codec"]
    plain = codec.get_io_type() == "COMBO"  # older ComfyUI
    SaveVideo.execute(lazy, "video/test", "auto", "auto" if plain else {"codec": "auto"})
    (path,) = Path(comfy.get_output_directory(), "video").glob("test_*.mp4")
    assert len(decoded(str(path))[0]) == 50
    assert GetVideoComponents.execute(lazy).args[0].shape[0] == 50
    assert VideoSlice.execute(lazy, 0.5, 0.5, True).args[0].get_frame_count() == round(FPS / 2)


def test_videos_of_other_nodes_become_lazy(lazy: Any, node_module: Any, tmp_path: Path) -> None:
    from comfy_api.latest import InputImpl

    path = tmp_path / "other.mp4"
    lazy.save_to(str(path))
    as_talking = node_module("lazy_video").as_talking
    on_disk = as_talking(InputImpl.VideoFromFile(str(path)))
    assert (on_disk.count, on_disk.size_px, on_disk.fps) == (50, SIZE, FPS)
    assert on_disk.audio.sample_rate == RATE
    window = as_talking(InputImpl.VideoFromFile(str(path), start_time=0.5, duration=1.0))
    assert window.count == 30
    of_tensors = as_talking(InputImpl.VideoFromComponents(lazy.get_components()))
    assert of_tensors.count == 50 and int(next(iter(of_tensors.frames(3, 4))).rgb[0, 0, 0]) == 32
    assert as_talking(lazy) is lazy.talking
