"""Where machine code is kept, and what happens without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ggtalker_core import compiled
from ggtalker_core.adapt import cpu as of_fit
from ggtalker_core.compiled import cache_folder, working_kernels
from ggtalker_core.gaussians import cpu as of_rigging


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with one source."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "one.py").write_text("A = 1\n")
    return folder


def test_the_folder_is_one_that_can_be_written(monkeypatch, tmp_path, home) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_folder("a", home).parent == tmp_path / "mine"
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert cache_folder("a", home).parent == home / "__pycache__"


def test_another_source_another_constant_or_another_name_is_another_folder(home) -> None:
    first = cache_folder("a", home)
    assert cache_folder("a", home) == first != cache_folder("b", home)
    other = home.parent / "constants.py"
    other.write_text("B = 2\n")
    assert cache_folder("a", home, (other,)) != first
    (home / "one.py").write_text("A = 2\n")
    assert cache_folder("a", home) != first


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have owners on POSIX only")
def test_a_folder_of_others_is_not_used(monkeypatch, tmp_path, home) -> None:
    """Anybody could have put code there."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "open"))
    assert cache_folder("a", home).parent != tmp_path / "open"


@pytest.mark.parametrize("part", [of_rigging, of_fit])
def test_kernels_that_do_not_import_or_do_not_run_are_done_without_and_it_is_said(part, monkeypatch, caplog) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("numba is broken")

    whole = part.kernels()
    assert whole is not None
    asked = whole.__name__, Path(part.__file__).parent
    assert working_kernels(*asked, "the test") is whole and not caplog.text
    monkeypatch.setattr(whole, "try_out", broken)
    assert working_kernels(*asked, "the test") is None
    assert "Without compiled code for the test" in caplog.text and "numba is broken" in caplog.text
    caplog.clear()
    monkeypatch.setattr(compiled, "import_kernels", broken)
    assert working_kernels(*asked, "the test") is None and "numba is broken" in caplog.text


def test_a_trial_notices_wrong_numbers(monkeypatch) -> None:
    for part, kernel in ((of_rigging, "pose_texels"), (of_fit, "pair_terms")):
        found = part.kernels()
        assert found is not None
        monkeypatch.setattr(found, kernel, lambda *values: values[-3].fill(7) or 7.0)
        with pytest.raises(RuntimeError, match="wrong"):
            found.try_out()
