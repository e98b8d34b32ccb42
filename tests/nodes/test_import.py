"""Importing the pack is cheap, starts nothing and needs no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, comfy_tree

PROBE = """
import asyncio, importlib.util, json, sys, time
sys.path.append(sys.argv[1])
import comfy.cli_args
comfy.cli_args.args.cpu = True
import torch, comfy_api.latest, folder_paths  # what the host has loaded before any pack
before, began = set(sys.modules), time.process_time()
root = sys.argv[2]
spec = importlib.util.spec_from_file_location("pack", root + "/__init__.py", submodule_search_locations=[root])
pack = importlib.util.module_from_spec(spec)
sys.modules["pack"] = pack
spec.loader.exec_module(pack)
extension = asyncio.run(pack.comfy_entrypoint())
asyncio.run(extension.on_load())
count = len([node.GET_SCHEMA() for node in asyncio.run(extension.get_node_list())])
seconds = time.process_time() - began
heavy = {name.split(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"seconds": seconds, "count": count, "new": sorted(heavy), "cuda": torch.cuda.is_initialized(),
                  "legacy": hasattr(pack, "NODE_CLASS_MAPPINGS"), "path": [p for p in sys.path if p == sys.argv[2]]}))
"""


@pytest.fixture(scope="module")
def probe() -> dict[str, object]:
    tree = comfy_tree()
    if tree is None:
        pytest.skip("needs ComfyUI: run scripts/test.sh, or set COMFYUI_DIR")
    command = [sys.executable, "-c", PROBE, str(tree), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_import_takes_less_than_a_second_of_processor_time(probe: dict[str, object]) -> None:
    assert probe["count"] == 11
    assert float(str(probe["seconds"])) < 1.0


def test_import_loads_nothing_heavy_and_touches_no_gpu(probe: dict[str, object]) -> None:
    heavy = {"numba", "scipy", "cv2", "transformers", "gsplat", "smplx", "pandas", "matplotlib"}
    assert not heavy & set(probe["new"])  # type: ignore[call-overload]
    assert probe["cuda"] is False


def test_only_the_new_api_is_offered(probe: dict[str, object]) -> None:
    assert probe["legacy"] is False, "with NODE_CLASS_MAPPINGS, ComfyUI ignores comfy_entrypoint"
    assert probe["path"] == [], "the pack must not put itself on sys.path"


def test_the_core_can_be_imported_without_comfyui(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import ggtalker_core.types, ggtalker_core.files; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)
