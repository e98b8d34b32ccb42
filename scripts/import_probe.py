"""What importing the pack costs and does: prints one JSON object. Run in a process of its own.

python scripts/import_probe.py COMFYUI_TREE PACK_FOLDER
`seconds`: wall, `cpu_seconds`: processor, both after ComfyUI's own modules are loaded; `new`: top-level modules that
the pack brought in; `cuda`: whether CUDA was initialised; `torch_alone`: whether the pack's package and the core's
ground load torch when nobody else has (before ComfyUI does).
"""
# ruff: noqa: T201 - a command line tool speaks through print

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from types import ModuleType


def loaded(root: str) -> ModuleType:
    """The pack under a name of its own, as ComfyUI loads it."""
    spec = importlib.util.spec_from_file_location("pack", root + "/__init__.py", submodule_search_locations=[root])
    if spec is None or spec.loader is None:
        raise SystemExit(f"There is no pack in {root}.")
    pack = importlib.util.module_from_spec(spec)
    sys.modules["pack"] = pack
    spec.loader.exec_module(pack)
    return pack


def main(tree: str, root: str) -> None:
    """Load the pack alone, then ComfyUI's modules, then the nodes."""
    began, began_cpu = time.perf_counter(), time.process_time()
    pack = loaded(root)
    alone, alone_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    torch_alone = "torch" in sys.modules
    sys.path.append(tree)
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import comfy_api.latest  # noqa: F401 - what the host has loaded before any pack
    import folder_paths  # noqa: F401
    import torch

    before, began, began_cpu = set(sys.modules), time.perf_counter(), time.process_time()
    extension = asyncio.run(pack.comfy_entrypoint())
    asyncio.run(extension.on_load())
    count = len([node.GET_SCHEMA() for node in asyncio.run(extension.get_node_list())])
    result = {
        "seconds": alone + time.perf_counter() - began,
        "cpu_seconds": alone_cpu + time.process_time() - began_cpu,
        "count": count,
        "new": sorted({name.split(".")[0] for name in set(sys.modules) - before}),
        "cuda": torch.cuda.is_initialized(),
        "torch_alone": torch_alone,
        "legacy": hasattr(pack, "NODE_CLASS_MAPPINGS"),
        "path": [place for place in sys.path if place == root],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this script
    main(sys.argv[1], sys.argv[2])
