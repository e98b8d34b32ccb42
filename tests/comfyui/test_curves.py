"""Headless Chromium runs Track FLAME and scrubs the curves on the node."""

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


@pytest.mark.parametrize("renderer", ["classic", "vue"])
def test_the_curves_are_scrubbed_against_the_frames(server: Any, tmp_path: Path, renderer: str) -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    playwright = Path(os.environ.get("PLAYWRIGHT") or ROOT / ".comfyui" / "browser")
    if not chromium or not shutil.which("node") or not (playwright / "node_modules" / "playwright-core").is_dir():
        pytest.skip("needs chromium, node and playwright-core: run scripts/test.sh as root")
    shots = Path(os.environ.get("GGTALKER_SCREENSHOTS") or tmp_path)
    shots.mkdir(parents=True, exist_ok=True)
    command = ["node", str(Path(__file__).with_name("curves.mjs")), server.url, str(shots / f"curves.{renderer}.png")]
    environment = {**os.environ, "CHROMIUM": chromium, "PLAYWRIGHT": str(playwright)}
    done = subprocess.run(
        [*command, renderer], env=environment, capture_output=True, text=True, timeout=420, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == []
    assert found["first"]["shown"] == 0 and found["later"]["shown"] == 20
    assert found["later"]["text"].startswith("frame 20 · 0.80 s\nlandmark error")
    assert min(found["first"]["pixels"], found["later"]["pixels"]) > 2000
    assert 8 <= found["pointed"] <= 21  # the middle of 30 frames
    assert "ggtalker_curves" not in found["serialised"]
