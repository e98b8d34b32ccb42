"""Paths stay inside, sizes are checked, checksums are right."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ggtalker_core.errors import InvalidInputError, LimitExceededError, UnreadableFileError, UnsafePathError
from ggtalker_core.files import Limits, add_head_folder, check_size, find_head, resolve_inside, sha256_of


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    for name in ("input", "output", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "input" / "sub").mkdir()
    (tmp_path / "input" / "sub" / "a b ü.mp4").write_bytes(b"x")
    (tmp_path / "output" / "only.mp4").write_bytes(b"x")
    (tmp_path / "secret" / "key").write_bytes(b"x")
    return [tmp_path / "input", tmp_path / "output"]


def test_names_inside(roots, tmp_path):
    assert resolve_inside("sub/a b ü.mp4", roots) == tmp_path / "input/sub/a b ü.mp4"
    assert resolve_inside("only.mp4", roots) == tmp_path / "output/only.mp4"
    assert resolve_inside("new.mp4", roots) == tmp_path / "input/new.mp4"
    assert resolve_inside(tmp_path / "output/only.mp4", roots, must_exist=True).is_file()
    with pytest.raises(UnreadableFileError):
        resolve_inside("new.mp4", roots, must_exist=True)
    with pytest.raises(UnreadableFileError):
        resolve_inside("sub", roots, must_exist=True)
    with pytest.raises(InvalidInputError):
        resolve_inside("a", [])


TRAVERSALS = [
    "../secret/key",
    "sub/../../secret/key",
    "..",
    "a/../b",
    "..\\secret\\key",
    "sub\\..\\..\\secret\\key",
    "/etc/passwd",
    "//host/share/x",
    "\\\\host\\share\\x",
    "\\\\?\\C:\\x",
    "C:\\x",
    "c:/x",
    "C:x",
    "x.mp4:stream",
    "x\x00.mp4",
    "\x00",
    "",
    " ",
    " x.mp4",
    "x.mp4 ",
    "x\n.mp4",
    "x\t",
    "\x1b[0m",
    "nul",
    "NUL.mp4",
    "con",
    "aux.txt",
    "COM1",
    "lpt9.mp4",
    "sub/nul",
    "file:///etc/passwd",
    "http://host/x.mp4",
    "concat:a|b",
    "/",
    "./../secret/key",
    "sub/./../../secret/key",
    "/proc/self/environ",
    "~/../../etc/passwd/../..",
    "sub//../../secret/key",
    "input/../..",
]


@pytest.mark.parametrize("text", TRAVERSALS)
def test_ways_out_are_refused(roots, text):
    with pytest.raises(UnsafePathError):
        resolve_inside(text, roots)


def test_links_that_lead_out_are_refused(roots, tmp_path):
    (tmp_path / "input" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "input" / "file").symlink_to(tmp_path / "secret" / "key")
    for name in ("link/key", "file", "link", "link/new.mp4"):
        with pytest.raises(UnsafePathError):
            resolve_inside(name, roots)


def test_a_root_may_be_a_link_and_a_sibling_is_outside(roots, tmp_path):
    (tmp_path / "linked").symlink_to(tmp_path / "input")
    assert resolve_inside("sub/a b ü.mp4", [tmp_path / "linked"]) == tmp_path / "input/sub/a b ü.mp4"
    (tmp_path / "input-evil").mkdir()
    with pytest.raises(UnsafePathError):
        resolve_inside(tmp_path / "input-evil" / "x", roots)


def test_sizes(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"12345")
    assert check_size(file) == 5
    with pytest.raises(LimitExceededError, match=r"a\.bin"):
        check_size(file, Limits(max_bytes=4))
    (tmp_path / "empty").touch()
    for bad in (tmp_path / "empty", tmp_path / "none", tmp_path):
        with pytest.raises(UnreadableFileError):
            check_size(bad)


def test_checksum(tmp_path):
    data = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_limits_must_be_positive():
    with pytest.raises(InvalidInputError, match="max_frames"):
        Limits(max_frames=0)
    assert Limits.tiny().max_side_px == 512


def test_heads_are_found_by_name_only_in_the_folders_that_were_added(tmp_path):
    (tmp_path / "mine.ggtalker.safetensors").write_bytes(b"x")
    assert find_head("mine.ggtalker.safetensors") is None
    add_head_folder(tmp_path)
    assert find_head("mine.ggtalker.safetensors") == tmp_path / "mine.ggtalker.safetensors"
    for name in (
        "",
        "default",
        "other.safetensors",
        "../mine.ggtalker.safetensors",
        str(tmp_path / "mine.ggtalker.safetensors"),
    ):
        assert find_head(name) is None
