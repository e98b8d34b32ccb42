"""The house itself: import of the pack, size of what is bundled, and how soon Cancel stops every long node.

Cancelling is measured in a real ComfyUI server: POST /interrupt at many moments of every node, the first of them in a
process that has loaded nothing yet; seconds until the server says that the run was interrupted, by the clock and of
the server's processor time (which other work on the machine does not change).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "ggtalker_core" / "assets"
MOST_MB = 32.0
CLIP_S = 8.0
Row = dict[str, Any]
Prompt = dict[str, dict[str, Any]]
Wait = tuple[float, float]  # processor seconds, seconds by the clock
# node -> seconds after its start at which it is cancelled, one run each
MOMENTS = {
    "1": (0.0, 0.2, 0.5),
    "2": (0.0, 0.3, 1.0, 2.0, 3.0, 4.0),
    "3": (0.0, 0.5, 1.0, 2.0, 4.0, 7.0, 12.0, 20.0),
    "5": (0.0, 0.2, 0.4, 0.6, 0.8),
    "9": (0.0, 0.1, 0.3, 0.6, 1.0, 4.0),
    "11": (0.0, 0.3, 2.0),
}
CALLED = {
    "GGTalkerLoadReferenceVideo": "LoadReferenceVideo",
    "GGTalkerTrackFLAME": "TrackFLAME",
    "GGTalkerAdaptAvatar": "AdaptAvatar",
    "GGTalkerAudioToExpression": "AudioToExpression",
    "SaveVideo": "SaveVideo: frames of RenderGaussians, InpaintBody, Watermark and the encoder",
    "GGTalkerVideoToImages": "VideoToImages: frames of RenderTalkingVideo",
}


def rows() -> dict[str, Row]:
    """All rows; about five minutes on two cores."""
    tree = Path(os.environ.get("COMFYUI_DIR") or ROOT / ".comfyui" / "ComfyUI")
    bundled = sum(file.stat().st_size for file in ASSETS.rglob("*") if file.is_file() and file.suffix != ".pyc") / 1e6
    found = {
        "bundled files, all together": _row(bundled, "MB", MOST_MB, bundled < MOST_MB),
        **import_rows(tree),
    }
    if (tree / "main.py").is_file():
        found |= cancel_rows(asyncio.run(measure(tree)))
    else:
        missing = "needs ComfyUI: run scripts/test.sh, or set COMFYUI_DIR"
        found["cancel"] = {"value": None, "unit": "s", "target": 1.0, "ok": None, "note": missing}
    return found


def import_rows(tree: Path) -> dict[str, Row]:
    """Five imports, each in a process of its own."""
    command = [sys.executable, str(ROOT / "scripts" / "import_probe.py"), str(tree), str(ROOT)]
    probes: list[dict[str, Any]] = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        for _ in range(5)
    ]
    wall, cpu = (statistics.median(probe[key] for probe in probes) for key in ("seconds", "cpu_seconds"))
    quiet = not any(probe["cuda"] for probe in probes)
    alone = not any(probe["torch_alone"] for probe in probes)
    return {
        "pack import, median of 5 processes: wall": _row(wall, "s", 1.0, wall < 1.0),
        "pack import, median of 5 processes: processor": _row(cpu, "s", 1.0, cpu < 1.0),
        "pack import initialises no CUDA": _row(float(quiet), "", 1, quiet),
        "the pack's package itself loads no torch": _row(float(alone), "", 1, alone),
    }


def cancel_rows(samples: dict[str, list[Wait]]) -> dict[str, Row]:
    """Two rows for each node: the longest wait by processor time and by the clock, the medians in the note."""
    found: dict[str, Row] = {}
    busy = os.getloadavg()[2] / (os.cpu_count() or 1)  # of the last quarter of an hour
    for kind, waits in samples.items():
        for number, clock in enumerate(("processor", "wall")):
            seconds = [wait[number] for wait in waits]
            note = f"longest of {len(seconds)} moments, median {statistics.median(seconds):.2f} s"
            reached: bool | None = max(seconds) < 1.0
            if clock == "wall" and busy > 1.0:
                note, reached = f"{note}; not judged: the machine did {busy:.1f} times its work", None
            found[f"cancel, {CALLED.get(kind, kind)}: {clock}"] = _row(max(seconds), "s", 1.0, reached, note)
    return found


async def measure(tree: Path) -> dict[str, list[Wait]]:
    """Node type -> seconds from /interrupt to the end of the run, at every moment, in one server that starts cold."""
    server, client = (_script(name) for name in ("comfy_server", "comfy_client"))
    samples: dict[str, list[Wait]] = {kind: [] for kind in CALLED}
    with tempfile.TemporaryDirectory(prefix="ggtalker_house_") as folder:
        base = Path(folder)
        (base / "input").mkdir()
        prompt = _prompt(base / "input")
        with server.ComfyServer(tree, base) as running:
            talker = client.Client(running.url)
            for node, moments in MOMENTS.items():
                if node == "5":  # from here on an avatar is needed; a quick one will do
                    prompt["3"]["inputs"]["graph_test"] = True
                part = _up_to(prompt, node)
                for moment in moments:
                    done = await _cancelled(client, talker, part, node, moment, running)
                    if done is None:
                        break  # the node was over before that moment: later ones would be, too
                    samples[done[0]].append(done[1])
                    told = f"{done[1][0]:.2f} s of processor, {done[1][1]:.2f} s by the clock"
                    print(f"  cancelled {done[0]} after {moment:g} s: {told}", file=sys.stderr, flush=True)
    return {kind: seconds for kind, seconds in samples.items() if seconds}


async def _cancelled(
    module: Any, client: Any, prompt: Prompt, node: str, moment_s: float, server: Any
) -> tuple[str, Wait] | None:
    """Run, cancel `moment_s` after `node` began: which node was stopped, after how long. None: nothing was running."""
    sent: list[Wait] = []
    running: list[str] = []

    async def cancel() -> None:
        await asyncio.sleep(moment_s)
        sent.append((server.processor_s(), time.perf_counter()))
        await client.interrupt()

    tasks: list[asyncio.Task[None]] = []

    def watch(event: Any) -> None:
        if event.kind == "executing" and event.node:
            running.append(event.node)
            if event.node == node and not tasks:
                tasks.append(asyncio.get_running_loop().create_task(cancel()))

    try:
        await client.run(prompt, watch)
    except module.WasInterrupted:
        wall = time.perf_counter() - sent[0][1]
        if prompt[running[-1]]["class_type"] not in CALLED:
            return None  # a preview behind the node was caught: the node had ended
        return prompt[running[-1]]["class_type"], (server.processor_s() - sent[0][0], wall)
    finally:
        for task in tasks:
            task.cancel()
    return None


def _up_to(prompt: Prompt, node: str) -> Prompt:
    """The part of the workflow that `node` needs, with something after it that asks for its result."""
    needed: Prompt = {}
    waiting = [node]
    while waiting:
        number = waiting.pop()
        needed[number] = prompt[number]
        waiting += [value[0] for value in prompt[number]["inputs"].values() if isinstance(value, list)]
    if node != "9":
        picture = {"1": 2, "2": 1, "3": 1, "11": 0}.get(node)
        shown = {"class_type": "PreviewImage", "inputs": {"images": [node, picture]}}
        needed["99"] = shown if picture is not None else {"class_type": "PreviewAny", "inputs": {"source": [node, 0]}}
    return json.loads(json.dumps(needed))


def _prompt(inputs: Path) -> Prompt:
    """talking_head on a real clip (or the sample), with VideoToImages and RenderTalkingVideo beside it."""
    media = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media"))
    clip, voice = media / "video" / "latentsync_man_crop512.mp4", media / "audio" / "en_f_katie_16k.wav"
    if not clip.is_file() or not voice.is_file():
        clip, voice = (ASSETS / "sample" / name for name in ("sample_clip.mp4", "sample_voice.wav"))
    for file in (clip, voice):
        shutil.copy(file, inputs)
    prompt: Prompt = json.loads((ROOT / "workflows" / "api" / "talking_head.json").read_text())
    prompt["1"]["inputs"].update(file=clip.name, end_s=CLIP_S)
    prompt["4"]["inputs"].update(audio=voice.name)
    prompt["3"]["inputs"].update(
        consent_basis="licensed_dataset", consent_statement="Measures cancelling; no video is kept."
    )
    prompt["10"] = {
        "class_type": "GGTalkerRenderTalkingVideo",
        "inputs": {"avatar": ["3", 0], "motion": ["5", 0], "label": "eu_generated", "invisible": True},
    }
    prompt["11"] = {
        "class_type": "GGTalkerVideoToImages",
        "inputs": {"video": ["10", 0], "first_frame": 0, "count": 0},
    }
    return prompt


def _script(name: str) -> Any:
    """A module of scripts/, as the scripts import each other."""
    folder = str(ROOT / "scripts")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


def _row(value: float, unit: str, target: float | None, ok: bool | None, note: str = "") -> Row:
    row: Row = {"value": float(value), "unit": unit, "target": target, "ok": ok}
    return row | ({"note": note} if note else {})
