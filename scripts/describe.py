"""Writes what can be derived from the node schemas: locales/en, and the tables of inputs and outputs of the help pages.

Run after any change of a schema: .venv/bin/python scripts/describe.py [--check]
--check writes nothing and exits 1 when something is stale.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "## Inputs", "## Tips"


def schemas() -> dict[str, Any]:
    """Node id to schema, read from the pack inside ComfyUI's own modules."""
    sys.path.append(os.environ.get("COMFYUI_DIR") or str(ROOT / ".comfyui" / "ComfyUI"))
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    spec = importlib.util.spec_from_file_location(
        "ggtalker_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    if spec is None or spec.loader is None:
        raise SystemExit("The pack cannot be loaded.")
    pack = importlib.util.module_from_spec(spec)
    sys.modules["ggtalker_pack"] = pack
    spec.loader.exec_module(pack)
    extension = asyncio.run(pack.comfy_entrypoint())
    asyncio.run(extension.on_load())
    return {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in asyncio.run(extension.get_node_list())}


# The tooltips of these end with what was found on this machine: pages stop before that, locales leave them to the node.
OF_THIS_MACHINE, FOUND = {"backend"}, " Here auto takes"
TOLD = " The tooltip says what auto takes on your machine, why not gsplat, and the one command that helps."


def said(part: Any) -> str:
    """The tooltip of an input as it stands on a page."""
    return part.tooltip.split(FOUND)[0] + TOLD if part.id in OF_THIS_MACHINE else part.tooltip


def locale(schema: Any) -> dict[str, Any]:
    """The entry of a node in nodeDefs.json."""
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {
            i.id: {"name": i.display_name or i.id} | ({} if i.id in OF_THIS_MACHINE else {"tooltip": i.tooltip})
            for i in schema.inputs
        },
        "outputs": {
            str(n): {"name": o.display_name or o.id, "tooltip": o.tooltip} for n, o in enumerate(schema.outputs)
        },
    }


def kind(part: Any) -> str:
    """The type of an input in words, with its default and range."""
    name = part.get_io_type()
    default = getattr(part, "default", None)
    if name == "COMBO":
        shown = f"choice, default {default}" if default is not None else "choice"
    elif name in ("INT", "FLOAT"):
        least, most, usual = (f"{v:,}" if isinstance(v, int) else f"{v:g}" for v in (part.min, part.max, default))
        shown = f"{name.lower()}, {least} to {most}, default {usual}"
    elif name == "BOOLEAN":
        shown = f"on/off, default {'on' if default else 'off'}"
    elif name == "STRING":
        shown = "text"
    else:
        shown = name.replace(",", " or ")
    return (
        shown + (", optional" if part.optional and not part.advanced else "") + (", advanced" if part.advanced else "")
    )


def tables(schema: Any) -> str:
    """The sections Inputs and Outputs."""
    lines = [BEGIN, "", "| name | type | meaning |", "|---|---|---|"]
    lines += [f"| **{i.display_name or i.id}** | {kind(i)} | {said(i)} |" for i in schema.inputs]
    lines += ["", "## Outputs", "", "| name | type | meaning |", "|---|---|---|"]
    lines += [f"| **{o.display_name or o.id}** | {o.get_io_type()} | {o.tooltip} |" for o in schema.outputs]
    return "\n".join([*lines, "", ""])


def main() -> int:
    """Write, or with --check compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    found = schemas()
    wanted = {
        ROOT / "locales" / "en" / "nodeDefs.json": json.dumps({k: locale(v) for k, v in found.items()}, indent=2) + "\n"
    }
    for name, schema in found.items():
        page = ROOT / "web" / "docs" / f"{name}.md"
        text = page.read_text()
        wanted[page] = text[: text.index(BEGIN)] + tables(schema) + text[text.index(END) :]
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
        if not check:
            path.write_text(wanted[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
