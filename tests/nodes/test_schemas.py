"""The contract of the node layer: ids and wires never change unnoticed; everything is explained and translated."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = ROOT / "tests" / "golden" / "node_ids.json"
LANGUAGES = ("en", "zh")
OF_THIS_MACHINE = {"backend"}  # its tooltip tells what was found here: a translation would hide it


def shape_of(schema: Any) -> dict[str, Any]:
    """What saved workflows depend on: order and types of inputs and outputs."""
    return {
        "inputs": [[i.id, i.get_io_type(), bool(i.optional)] for i in schema.inputs],
        "outputs": [[o.id, o.get_io_type()] for o in schema.outputs],
    }


@pytest.fixture(scope="module")
def schemas(node_classes: dict[str, type]) -> dict[str, Any]:
    return {name: node.GET_SCHEMA() for name, node in node_classes.items()}


def test_the_nodes_are_there(schemas: dict[str, Any]) -> None:
    names = (
        "LoadReferenceVideo TrackFLAME AdaptAvatar AudioToExpression RenderGaussians InpaintBody Watermark LoadAvatar "
        "SaveAvatar RenderTalkingVideo VideoToImages AvatarToSplat TrackToMotion"
    )
    assert set(schemas) == {f"GGTalker{name}" for name in names.split()}


def test_ids_and_wires_match_the_snapshot(schemas: dict[str, Any]) -> None:
    now = {name: shape_of(schema) for name, schema in sorted(schemas.items())}
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(now, indent=1) + "\n")
    assert now == json.loads(SNAPSHOT.read_text()), (
        "Saved workflows depend on ids, order and types. New widgets go to the end. If the change is meant: "
        "UPDATE_SNAPSHOTS=1 pytest tests/nodes/test_schemas.py, and say so in CHANGELOG.md."
    )


def test_everything_is_explained(schemas: dict[str, Any]) -> None:
    bare = []
    for name, schema in schemas.items():
        assert schema.description and schema.search_aliases, name
        assert schema.display_name.endswith("(GGTalker)") and schema.category.startswith("GGTalker/"), name
        bare += [f"{name}.{part.id}" for part in (*schema.inputs, *schema.outputs) if len(part.tooltip or "") < 15]
    assert not bare, f"no tooltip: {bare}"


def test_widgets_have_defaults_and_ranges(schemas: dict[str, Any]) -> None:
    for name, schema in schemas.items():
        for part in schema.inputs:
            kind = part.get_io_type()
            if kind in ("INT", "FLOAT"):
                assert part.min is not None and part.max is not None, f"{name}.{part.id}"
                assert part.min <= part.default <= part.max, f"{name}.{part.id}"
            if kind in ("STRING", "BOOLEAN"):
                assert part.default is not None, f"{name}.{part.id}"
            if part.advanced:
                assert part.optional, f"{name}.{part.id}: a rare knob must not be required in API prompts"


def test_execute_takes_exactly_the_inputs(node_classes: dict[str, type], schemas: dict[str, Any]) -> None:
    import inspect

    for name, node in node_classes.items():
        parameters = inspect.signature(node.execute).parameters  # type: ignore[attr-defined]
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            continue
        assert set(parameters) == {part.id for part in schemas[name].inputs}, name
        for part in schemas[name].inputs:
            has_default = parameters[part.id].default is not inspect.Parameter.empty
            assert has_default == bool(part.optional), f"{name}.{part.id}"


def test_execute_is_thin(node_classes: dict[str, type]) -> None:
    import ast
    import inspect
    import textwrap

    for name, node in node_classes.items():
        tree = ast.parse(textwrap.dedent(inspect.getsource(node.execute)))  # type: ignore[attr-defined]
        body = tree.body[0].body  # type: ignore[attr-defined]
        length = body[-1].end_lineno - body[1].lineno + 1  # without the docstring
        assert length <= 15, f"{name}.execute has {length} lines"


def test_every_node_has_a_help_page(schemas: dict[str, Any]) -> None:
    for name, schema in schemas.items():
        page = (ROOT / "web" / "docs" / f"{name}.md").read_text()
        for part in (*schema.inputs, *schema.outputs):
            label = part.display_name or part.id
            assert f"**{label}**" in page, f"web/docs/{name}.md does not speak of {label}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_locales_are_complete(schemas: dict[str, Any], language: str) -> None:
    folder = ROOT / "locales" / language
    nodes = json.loads((folder / "nodeDefs.json").read_text())
    assert set(nodes) == set(schemas)
    for name, schema in schemas.items():
        entry = nodes[name]
        assert entry["display_name"] and entry["description"], name
        assert set(entry["inputs"]) == {part.id for part in schema.inputs}, name
        assert set(entry["outputs"]) == {str(i) for i in range(len(schema.outputs))}, name
        for key, part in (*entry["inputs"].items(), *entry["outputs"].items()):
            assert part["name"] and ("tooltip" in part) != (key in OF_THIS_MACHINE), f"{name}.{key}"
            assert key in OF_THIS_MACHINE or part["tooltip"], f"{name}.{key}"
    main = json.loads((folder / "main.json").read_text())
    parts = {piece for schema in schemas.values() for piece in schema.category.split("/")}
    assert parts <= set(main["nodeCategories"])


def test_english_locale_says_what_the_nodes_say(schemas: dict[str, Any]) -> None:
    nodes = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text())
    for name, schema in schemas.items():
        assert nodes[name]["display_name"] == schema.display_name
        assert nodes[name]["description"] == schema.description
        for part in schema.inputs:
            if part.id not in OF_THIS_MACHINE:
                assert nodes[name]["inputs"][part.id]["tooltip"] == part.tooltip, f"{name}.{part.id}"
        for i, part in enumerate(schema.outputs):
            assert nodes[name]["outputs"][str(i)]["tooltip"] == part.tooltip, f"{name}.{part.id}"
