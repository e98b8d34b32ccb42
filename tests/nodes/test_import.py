"""Importing the pack is cheap, starts nothing and needs no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, comfy_tree


@pytest.fixture(scope="module")
def probe() -> dict[str, object]:
    tree = comfy_tree()
    if tree is None:
        pytest.skip("needs ComfyUI: run scripts/test.sh, or set COMFYUI_DIR")
    command = [sys.executable, str(ROOT / "scripts" / "import_probe.py"), str(tree), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_import_takes_less_than_a_second_of_processor_time(probe: dict[str, object]) -> None:
    assert probe["count"] == len(list((ROOT / "web" / "docs").glob("GGTalker*.md")))  # each node has its help page
    assert float(str(probe["cpu_seconds"])) < 1.0


def test_import_loads_nothing_heavy_and_touches_no_gpu(probe: dict[str, object]) -> None:
    heavy = {"numba", "scipy", "cv2", "transformers", "gsplat", "smplx", "pandas", "matplotlib"}
    assert not heavy & set(probe["new"])  # type: ignore[call-overload]
    assert probe["cuda"] is False
    assert probe["torch_alone"] is False


def test_only_the_new_api_is_offered(probe: dict[str, object]) -> None:
    assert probe["legacy"] is False, "with NODE_CLASS_MAPPINGS, ComfyUI ignores comfy_entrypoint"
    assert probe["path"] == [], "the pack must not put itself on sys.path"


def test_the_core_can_be_imported_without_comfyui(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import ggtalker_core.types, ggtalker_core.files; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)
