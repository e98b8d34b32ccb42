"""Files stay inside ComfyUI's folders; names, consent and marks are checked before work begins."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOSTILE = [
    "../x",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "..",
    "",
    " ",
    ".hidden",
    "C:x",
    "a\0b",
    "x" * 101,
    "con/aux",
    "NUL",
    "com1.anna",
    "~root",
    "$(id)",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_save_avatar_refuses_names_that_are_paths(node_module: Any, core: Any, name: str) -> None:
    files = node_module("avatar_files")
    with pytest.raises(core("errors").UnsafePathError, match="cannot be a file name"):
        files.free_path(name, False)
    assert files.SaveAvatar.validate_inputs(name) is not True


def test_save_avatar_numbers_names_that_are_taken(node_module: Any) -> None:
    files = node_module("avatar_files")
    first = files.free_path("Zoë 张", False)
    first.parent.mkdir(parents=True, exist_ok=True)
    first.touch()
    assert files.free_path("Zoë 张", False).name == "Zoë 张_02.avatar.safetensors"
    assert files.free_path("Zoë 张", True) == first
    first.unlink()


@pytest.mark.parametrize("name", ["../../secret.mp4", "/etc/passwd", "x.mp4 [output]/../../y", "../x.mp4 [temp]"])
def test_input_files_stay_inside(node_module: Any, core: Any, name: str) -> None:
    with pytest.raises(core("errors").UnsafePathError):
        node_module("host").input_file(name)


def test_a_link_out_of_the_input_folder_is_refused(
    node_module: Any, core: Any, comfy: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"x")
    link = Path(comfy.get_input_directory()) / "link.mp4"
    link.symlink_to(tmp_path / "secret.mp4")
    try:
        with pytest.raises(core("errors").UnsafePathError):
            node_module("host").input_file("link.mp4")
    finally:
        link.unlink()


def test_load_avatar_says_where_it_looked(node_module: Any) -> None:
    said = node_module("avatar_files").LoadAvatar.validate_inputs("nobody.avatar.safetensors")
    assert "nobody" in said and "ggtalker_avatars" in said
    assert "create_avatar" in node_module("avatar_files").LoadAvatar.validate_inputs("")


def test_avatars_of_both_folders_are_listed(node_module: Any, comfy: ModuleType) -> None:
    files = node_module("avatar_files")
    saved = files.free_path("listed", False)
    saved.parent.mkdir(parents=True, exist_ok=True)
    given = Path(comfy.get_input_directory()) / "given.avatar.safetensors"
    saved.touch()
    given.touch()
    try:
        comfy.cache_helper.clear()
        comfy.filename_list_cache.clear()
        names = files.avatar_names()
        assert "listed.avatar.safetensors" in names and "given.avatar.safetensors [input]" in names
        assert files.avatar_path("given.avatar.safetensors [input]") == given.resolve()
    finally:
        saved.unlink()
        given.unlink()


def test_load_reference_video_checks_before_it_runs(node_module: Any, comfy: ModuleType) -> None:
    node = node_module("load_reference_video").LoadReferenceVideo
    assert "no file 'gone.mp4'" in node.validate_inputs("gone.mp4", 0.0, 0.0)
    assert "must be after" in node.validate_inputs("gone.mp4", 5.0, 3.0)
    assert node.validate_inputs("(the connected video)", 0.0, 0.0) is True
    assert node.validate_inputs("gone.mp4", 0.0, 0.0, input_types={"video": "VIDEO"}) is True
    assert "not IMAGE" in node.validate_inputs("gone.mp4", 0.0, 0.0, input_types={"video": "IMAGE"})
    clip = Path(comfy.get_input_directory()) / "clip.mp4"
    clip.write_bytes(b"1")
    first = node.fingerprint_inputs(file="clip.mp4")
    clip.write_bytes(b"22")
    assert node.fingerprint_inputs(file="clip.mp4") != first
    assert node.validate_inputs("clip.mp4", 0.0, 0.0) is True
    clip.unlink()


@pytest.mark.parametrize(
    ("basis", "statement", "expires"),
    [
        ("not stated", "I agree to this use of my face", ""),
        ("self", "", ""),
        ("self", "   ok   ", ""),
        ("friend of mine", "he will not mind at all", ""),
        ("self", "I agree to this use of my face", "next year"),
        ("self", "I agree to this use of my face", "2001-01-01"),
    ],
)
def test_no_avatar_without_consent(node_module: Any, core: Any, basis: str, statement: str, expires: str) -> None:
    module = node_module("adapt_avatar")
    with pytest.raises(core("errors").ConsentRequiredError) as caught:
        module.consent(basis, statement, expires)
    assert module.AdaptAvatar.validate_inputs(basis, statement, expires) == str(caught.value)


def test_a_trial_says_that_nothing_was_stated(node_module: Any) -> None:
    module = node_module("adapt_avatar")
    record = module.consent("trial", "", "")
    assert record.basis == "trial" and record.statement.startswith("No consent was stated") and record.expires
    assert module.AdaptAvatar.validate_inputs("trial", "", "") is True


def test_consent_that_is_connected_is_checked_when_it_runs(node_module: Any) -> None:
    node = node_module("adapt_avatar").AdaptAvatar
    assert node.validate_inputs("self", None) is True
    assert node.validate_inputs("self", "I agree to this use of my face", "2999-12-31") is True


@pytest.mark.parametrize(
    ("widgets", "said"),
    [
        ({"label": "text"}, "needs a text"),
        ({"label": "eu_ai", "size_pct": 3.0}, "size_pct"),
        ({"label": "none", "watermark_id": "xyz"}, "16"),
    ],
)
def test_marks_that_do_not_go_together_are_refused(node_module: Any, widgets: dict[str, Any], said: str) -> None:
    for node in (node_module("watermark").Watermark, node_module("render").RenderTalkingVideo):
        assert said in node.validate_inputs(**widgets)
        assert node.validate_inputs("eu_generated") is True


def test_watermark_marks_images_and_says_what_it_wrote(node_module: Any, core: Any) -> None:
    import json

    import torch

    images = torch.rand(3, 160, 192, 3) * 0.5 + 0.25
    node = node_module("watermark").Watermark
    video, manifest = node.execute(images, "eu_generated", True, watermark_id="00112233445566ff").args
    record = json.loads(manifest)
    assert record["watermark_id"] == "00112233445566ff" and record["visible"] == "AI GENERATED"
    frames = [frame.rgb for frame in video.frames()]
    plain = node_module("convert").to_bytes(images[0])
    assert video.get_frame_count() == 3 and not (frames[0] == plain).all()
    off = node.execute(images, "none", False).args[0]
    assert (next(iter(off.frames())).rgb == plain).all()
    assert "turned off" in off.talking.marks["ggtalker_manifest"]
    settings = dataclasses.replace(node_module("marks").MarkSettings(), label="none")
    assert settings.problem() is None
