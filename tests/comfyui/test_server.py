"""What ComfyUI itself says of the pack: nodes, help, translations, templates, and refusals before anything runs."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.comfyui
ROOT = Path(__file__).resolve().parents[2]
IDS = set(json.loads((ROOT / "tests" / "golden" / "node_ids.json").read_text()))


def text(server: Any, path: str) -> str:
    with urllib.request.urlopen(server.url + path) as answer:
        return answer.read().decode()


def test_every_node_is_offered(server: Any, client: Any) -> None:
    info = asyncio.run(client.get("/object_info"))
    assert {name for name in info if name.startswith("GGTalker")} == IDS
    assert all(info[name]["python_module"] == "custom_nodes.ggtalker" for name in IDS)
    (line,) = [text for text in server.log.read_text(errors="replace").splitlines() if "custom_nodes/ggtalker" in text]
    assert "seconds: " in line and "IMPORT FAILED" not in line


def test_help_pages_scripts_and_templates_are_served(server: Any) -> None:
    for name in IDS:
        assert text(server, f"/extensions/ggtalker/docs/{name}.md").startswith("# ")
    served = json.loads(text(server, "/extensions"))
    assert sorted(path for path in served if "ggtalker" in path) == [
        "/extensions/ggtalker/js/report.js", "/extensions/ggtalker/js/track_curves.js",
    ]  # fmt: skip
    templates = json.loads(text(server, "/workflow_templates"))["ggtalker"]
    assert sorted(templates) == ["create_avatar", "talk", "talking_head"]
    for name in templates:
        assert json.loads(text(server, f"/api/workflow_templates/ggtalker/{name}.json"))["version"] == 0.4
        with urllib.request.urlopen(f"{server.url}/api/workflow_templates/ggtalker/{name}.jpg") as answer:
            assert answer.read(3) == b"\xff\xd8\xff"


def test_translations_reach_the_page(server: Any) -> None:
    translations = json.loads(text(server, "/i18n"))
    for language in ("en", "zh"):
        assert set(translations[language]["nodeDefs"]) >= IDS
        assert "GGTalker" in translations[language]["nodeCategories"]


def test_missing_consent_is_refused_before_anything_runs(
    run: Callable[..., Any], api: Callable[[str], Any], errors: Any
) -> None:
    prompt = api("talking_head")
    prompt["3"]["inputs"].update(consent_basis="not stated", consent_statement="")
    with pytest.raises(errors.Refused, match="An avatar needs the consent of the person it shows"):
        run(prompt)


@pytest.mark.parametrize(
    ("node", "changes", "said"),
    [
        ("1", {"file": "gone.mp4"}, "there is no file 'gone.mp4' in ComfyUI's input folder"),
        ("1", {"file": "../../etc/passwd"}, "there is no file"),
        ("1", {"start_s": 9.0, "end_s": 3.0}, "must be after start_s"),
        ("3", {"stages": "map, wrinkles"}, "There is no stage 'wrinkles'"),
        ("5", {"mouth_gain": 99.0}, "bigger than max"),
        ("8", {"label": "text", "label_text": " "}, "needs a text"),
        ("8", {"watermark_id": "../../x"}, "hexadecimal"),
        ("6", {"backend": "rm -rf"}, "not in list"),
    ],
)
def test_bad_widgets_are_refused_in_words(
    run: Callable[..., Any], api: Callable[[str], Any], errors: Any, node: str, changes: dict[str, Any], said: str
) -> None:
    prompt = api("talking_head")
    prompt[node]["inputs"].update(changes)
    with pytest.raises(errors.Refused) as caught:
        run(prompt)
    assert said in str(caught.value).lower() or said in str(caught.value)


def test_a_wrong_wire_is_refused(run: Callable[..., Any], api: Callable[[str], Any], errors: Any) -> None:
    prompt = api("talking_head")
    prompt["3"]["inputs"]["track"] = ["1", 0]  # a clip where a track belongs
    with pytest.raises(errors.Refused, match="GGT_CLIP"):
        run(prompt)


def test_an_error_inside_a_node_reaches_the_user_unchanged(
    run: Callable[..., Any], api: Callable[[str], Any], errors: Any, server: Any
) -> None:
    (server.base / "input" / "broken.mp4").write_bytes(b"this is no video" * 100)
    prompt = api("create_avatar")
    prompt["1"]["inputs"]["file"] = "broken.mp4"
    with pytest.raises(errors.Failed, match="broken.mp4") as caught:
        run(prompt)
    assert caught.value.data["exception_type"].endswith("UnreadableFileError")
    assert caught.value.data["node_id"] == "1"
