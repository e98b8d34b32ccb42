"""The shipped workflows in API form, end to end on a real server with a training of a few steps."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

pytestmark = pytest.mark.comfyui
ROOT = Path(__file__).resolve().parents[2]


def saved_video(server: Any, outcome: Any) -> Path:
    (saved,) = [
        file for ui in outcome.outputs.values() for file in ui.get("images", []) if file["filename"].endswith(".mp4")
    ]
    return server.base / saved["type"] / saved["subfolder"] / saved["filename"]


def sound_of(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return sum(frame.samples for frame in frames), frames[0].sample_rate


def pictures_of(path: Path) -> tuple[list[Any], Fraction, dict[str, str]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        tags = dict(container.metadata)
        return [f.to_ndarray(format="rgb24") for f in container.decode(stream)], Fraction(stream.average_rate), tags


@pytest.fixture(scope="module")
def talking_head(server: Any, api: Callable[[str], Any]) -> Any:
    from .conftest import script

    prompt = api("talking_head")
    seen: list[Any] = []
    client = script("comfy_client").Client(server.url)
    outcome = asyncio.run(client.run(prompt, seen.append, {"extra_pnginfo": {"workflow": {"mine": 1}}}))
    return outcome, prompt, seen


def test_talking_head_has_the_length_of_the_voice(talking_head: Any, server: Any) -> None:
    outcome, prompt, _ = talking_head
    frames, rate, tags = pictures_of(saved_video(server, outcome))
    samples, hz = sound_of(server.base / "input" / prompt["4"]["inputs"]["audio"])
    assert rate == 25 and len(frames) == math.ceil(Fraction(samples, hz) * 25)
    written, written_hz = sound_of(saved_video(server, outcome))
    assert written_hz == hz and abs(written - samples) <= 2048  # AAC pads to whole packets
    assert json.loads(tags["workflow"]) == {"mine": 1} and "GGTalkerWatermark" in tags["prompt"]
    record = json.loads(tags["ggtalker_manifest"])
    assert record["consent"]["basis"] == "synthetic_person" and record["invisible"] == "on"
    assert frames[0].std() > 10, "the picture must not be empty"
    assert any((a != b).any() for a, b in zip(frames, frames[1:])), "the person must move"


def test_the_mark_of_the_written_file_reads_back(talking_head: Any, server: Any) -> None:
    from ggtalker_core.provenance.verify import verify  # the core as any other program would use it

    outcome, _, _ = talking_head
    path = saved_video(server, outcome)
    record = json.loads(pictures_of(path)[2]["ggtalker_manifest"])
    assert verify(path).watermark_id == record["watermark_id"]


def test_progress_text_and_previews_reach_the_page(talking_head: Any) -> None:
    outcome, _, seen = talking_head
    assert outcome.previews >= 1
    moved = {event.node for event in seen if event.kind == "progress" and event.value > 0}
    assert {"2", "3", "9"} <= moved, "tracking, training and writing must show progress"
    assert any(event.kind == "text" and event.text for event in seen)
    reports = {node for node, ui in outcome.outputs.items() if ui.get("ggtalker_report")}
    assert reports == {"1", "2", "3", "5"}  # clip, track, avatar, curves of the motion


def test_the_same_graph_again_is_cached(talking_head: Any, run: Callable[..., Any]) -> None:
    _, prompt, _ = talking_head
    again = run(prompt)
    assert set(again.cached) == set(prompt) and again.executed == []


def test_another_voice_setting_does_not_train_again(talking_head: Any, run: Callable[..., Any]) -> None:
    _, prompt, _ = talking_head
    other = json.loads(json.dumps(prompt))
    other["5"]["inputs"]["mouth_gain"] = 0.5
    del other["9"]
    other["10"] = {"class_type": "GGTalkerVideoToImages", "inputs": {"video": ["6", 0], "first_frame": 3, "count": 2}}
    other["11"] = {"class_type": "PreviewImage", "inputs": {"images": ["10", 0]}}
    outcome = run(other)
    assert {"1", "2", "3", "4"} <= set(outcome.cached) and {"5", "6", "10"} <= set(outcome.executed)
    assert len(outcome.outputs["11"]["images"]) == 2


def test_edited_frames_go_back_into_the_body(talking_head: Any, run: Callable[..., Any]) -> None:
    _, prompt, _ = talking_head
    other = json.loads(json.dumps(prompt))
    other["10"] = {"class_type": "GGTalkerVideoToImages", "inputs": {"video": ["6", 0], "first_frame": 0, "count": 0}}
    other["11"] = {"class_type": "ImageInvert", "inputs": {"image": ["10", 0]}}
    other["7"]["inputs"].update(images=["11", 0], mask=["10", 1])
    assert run(other).outputs["9"]["images"]


def test_a_video_of_another_node_can_be_the_clip(
    server: Any, run: Callable[..., Any], api: Callable[[str], Any]
) -> None:
    prompt = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "sample_clip.mp4"}},
        "2": {
            "class_type": "Video Slice",
            "inputs": {"video": ["1", 0], "start_time": 1.0, "duration": 2.0, "strict_duration": False},
        },
        "3": api("create_avatar")["1"],
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 2]}},
    }
    prompt["3"]["inputs"].update(file="gone.mp4", video=["2", 0], end_s=0.0)
    outcome = run(prompt)
    assert "2.0 s" in outcome.outputs["3"]["ggtalker_report"][0]
    assert len(outcome.outputs["4"]["images"]) == 16


def test_create_avatar_then_talk(server: Any, run: Callable[..., Any], api: Callable[[str], Any]) -> None:
    prompt = api("create_avatar")
    prompt["90"] = {"class_type": "PreviewImage", "inputs": {"images": ["3", 3]}}
    created = run(prompt)
    (curves,) = created.outputs["90"]["images"]
    drawn = cv2.imread(str(server.base / "temp" / curves["subfolder"] / curves["filename"]))
    assert drawn.shape == (420, 960, 3) and drawn.std() > 10
    assert "held-out frames" in created.outputs["3"]["ggtalker_report"][0]
    file = server.base / "models" / "ggtalker_avatars" / "sample.avatar.safetensors"
    assert file.is_file() and "sample.avatar.safetensors" in created.outputs["4"]["ggtalker_report"][0]
    spoken = run(api("talk"))
    assert len(pictures_of(saved_video(server, spoken))[0]) > 0
    assert spoken.outputs["1"]["images"], "the thumbnail must show on Load Avatar"


def test_cancelling_the_training_stops_soon_and_keeps_what_was_reached(
    server: Any, client: Any, run: Callable[..., Any], api: Callable[[str], Any], errors: Any
) -> None:
    prompt = api("create_avatar")
    prompt["3"]["inputs"].update(graph_test=False, name="stopped", seed=7)
    sent: list[float] = []
    said: list[str] = []

    async def cancel() -> float:
        """Processor seconds of the server from the cancelling to its end: other work on the machine does not count."""

        def watch(event: Any) -> None:
            said.append(event.text)
            if event.kind == "progress" and event.node == "3" and event.value > 0.2 * event.total and not sent:
                sent.append(server.processor_s())
                asyncio.get_running_loop().create_task(client.interrupt())

        with pytest.raises(errors.WasInterrupted):
            await client.run(prompt, watch)
        return server.processor_s() - sent[0]

    seconds = asyncio.run(cancel())
    assert seconds < 2, "measured: 0.6 s at most (benchmarks/house.py)"
    kept = server.base / "models" / "ggtalker_avatars" / "interrupted_stopped.avatar.safetensors"
    assert kept.is_file()
    assert any("interrupted_stopped" in text and "Load Avatar" in text for text in said), "where it lies is told"
    log = server.log.read_text(errors="replace")
    assert "Processing interrupted" in log
    prompt["3"]["inputs"].update(stages="map", minutes=0.05)
    prompt["3"]["inputs"]["resume"] = ["91", 0]
    prompt["91"] = {"class_type": "GGTalkerLoadAvatar", "inputs": {"avatar_file": kept.name}}
    (report,) = run(prompt).outputs["3"]["ggtalker_report"]
    lines = [line for line in report.splitlines() if line.startswith("  map")]
    assert len(lines) >= 2 and " of " in lines[-2] + lines[0], "the stopped stage and the one that went on"
