"""Headless Chromium opens every shipped UI workflow, in the classic renderer and in Nodes 2.0."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.comfyui, pytest.mark.browser]
ROOT = Path(__file__).resolve().parents[2]
NAMES = ("talking_head", "create_avatar", "talk")


@pytest.fixture(scope="module")
def opened(server: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    playwright = Path(os.environ.get("PLAYWRIGHT") or ROOT / ".comfyui" / "browser")
    if not chromium or not shutil.which("node") or not (playwright / "node_modules" / "playwright-core").is_dir():
        pytest.skip(
            "needs chromium, node and playwright-core: run scripts/test.sh as root, or set CHROMIUM and PLAYWRIGHT"
        )
    shots = Path(os.environ.get("GGTALKER_SCREENSHOTS") or tmp_path_factory.mktemp("shots"))
    shots.mkdir(parents=True, exist_ok=True)
    (server.base / "models" / "ggtalker_avatars").mkdir(parents=True, exist_ok=True)
    command = ["node", str(ROOT / "scripts" / "browser.mjs"), "check", server.url, str(ROOT / "workflows"), str(shots)]
    environment = {**os.environ, "CHROMIUM": chromium, "PLAYWRIGHT": str(playwright)}
    done = subprocess.run([*command, *NAMES], env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("renderer", ["classic", "vue"])
@pytest.mark.parametrize("name", NAMES)
def test_workflow_opens_and_means_the_same(opened: dict[str, Any], name: str, renderer: str) -> None:
    found = opened[name][renderer]
    assert found["missing"] == [] and found["errors"] == []
    stored = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text())
    assert set(found["prompt"]) == set(stored)
    for number, node in found["prompt"].items():
        # Nodes 2.0 adds the picture of the chosen video as a widget, also to ComfyUI's own Load Video.
        inputs = {key: value for key, value in node["inputs"].items() if key != "video-preview"}
        assert (node["class_type"], inputs) == (stored[number]["class_type"], stored[number]["inputs"])
