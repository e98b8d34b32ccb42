"""Loads the pack in this process beside ComfyUI's own modules, on the CPU, without a server."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACK = "ggtalker_pack"  # ComfyUI uses the folder's path as the name; any name that is not `nodes` will do


def comfy_tree() -> Path | None:
    """The ComfyUI tree of COMFYUI_DIR or of scripts/env.sh."""
    tree = Path(os.environ.get("COMFYUI_DIR") or ROOT / ".comfyui" / "ComfyUI")
    return tree if (tree / "main.py").is_file() else None


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """ComfyUI's folder_paths, with folders of its own; all of comfy_api can be imported afterwards."""
    tree = comfy_tree()
    if tree is None:
        pytest.skip("needs ComfyUI: run scripts/test.sh, or set COMFYUI_DIR")
    sys.path.append(str(tree))  # at the end: its `tests`, `utils` and `app` must not hide anybody's
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import folder_paths

    base = tmp_path_factory.mktemp("comfy")
    for kind in ("input", "output", "temp"):
        (base / kind).mkdir()
        getattr(folder_paths, f"set_{kind}_directory")(str(base / kind))
    folder_paths.models_dir = str(base / "models")
    return folder_paths


@pytest.fixture(scope="session")
def pack(comfy: ModuleType) -> ModuleType:
    """The pack, loaded as ComfyUI loads it."""
    if PACK not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[PACK] = module
        spec.loader.exec_module(module)
    extension = asyncio.run(sys.modules[PACK].comfy_entrypoint())
    asyncio.run(extension.on_load())
    return sys.modules[PACK]


@pytest.fixture(scope="session")
def node_classes(pack: ModuleType) -> dict[str, type]:
    """Node id to class."""
    extension = asyncio.run(pack.comfy_entrypoint())
    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(extension.get_node_list())}


@pytest.fixture(scope="session")
def core(pack: ModuleType) -> object:
    """Imports modules of the pack's own core: core("types") is PACK.ggtalker_core.types."""
    import importlib

    return lambda name: importlib.import_module(f"{PACK}.ggtalker_core.{name}")


@pytest.fixture(scope="session")
def node_module(pack: ModuleType) -> object:
    """Imports modules of the node layer: node_module("host") is PACK.nodes.host."""
    import importlib

    return lambda name: importlib.import_module(f"{PACK}.nodes.{name}")
