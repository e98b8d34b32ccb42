"""A real ComfyUI server on the CPU with the pack inside, shared by all tests of this folder."""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "ggtalker_core" / "assets" / "sample"
Prompt = dict[str, dict[str, Any]]


def script(name: str) -> ModuleType:
    """A module of scripts/, as the scripts import each other."""
    folder = str(ROOT / "scripts")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The running server, with the shipped sample in its input folder."""
    tree = Path(os.environ.get("COMFYUI_DIR") or ROOT / ".comfyui" / "ComfyUI")
    if not (tree / "main.py").is_file():
        pytest.skip("needs ComfyUI: run scripts/test.sh, or set COMFYUI_DIR")
    base = tmp_path_factory.mktemp("comfyui")
    (base / "input").mkdir()
    for file in SAMPLE.glob("sample_*"):
        shutil.copy(file, base / "input")
    with script("comfy_server").ComfyServer(tree, base) as running:
        yield running


@pytest.fixture
def client(server: Any) -> Any:
    """A fresh connection."""
    return script("comfy_client").Client(server.url)


@pytest.fixture(scope="session")
def errors() -> ModuleType:
    """The module with Refused, Failed, WasInterrupted."""
    return script("comfy_client")


@pytest.fixture(scope="session")
def api() -> Callable[[str], Prompt]:
    """A shipped API workflow, shortened for tests: two seconds of clip, a training of a few steps."""
    if not (SAMPLE / "sample_clip.mp4").is_file():
        pytest.skip("needs the shipped sample in ggtalker_core/assets/sample")

    def load(name: str) -> Prompt:
        prompt: Prompt = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text())
        for node in prompt.values():
            if node["class_type"] == "GGTalkerLoadReferenceVideo":
                node["inputs"]["end_s"] = 2.0
            if node["class_type"] == "GGTalkerAdaptAvatar":
                node["inputs"]["graph_test"] = True
        return copy.deepcopy(prompt)

    return load


@pytest.fixture
def run(client: Any) -> Callable[..., Any]:
    """Queue a prompt and wait for its outcome."""
    return lambda prompt, *rest: asyncio.run(client.run(prompt, *rest))
