"""scripts/demo.py as a person runs it: a video and its figures on success, the node's own words on failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, SAMPLE

pytestmark = pytest.mark.comfyui


def demo(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    tree = Path(os.environ.get("COMFYUI_DIR") or ROOT / ".comfyui" / "ComfyUI")
    if not (tree / "main.py").is_file() or not (SAMPLE / "sample_clip.mp4").is_file():
        pytest.skip("needs ComfyUI and the shipped sample")
    command = [sys.executable, str(ROOT / "scripts" / "demo.py"), "--comfy", str(tree), "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)


def servers() -> set[int]:
    """Processes of servers that a demo started."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "main.py" in line and "demo_" in line:
            found.add(int(folder.name))
    return found


def test_the_sample_becomes_a_video(tmp_path: Path) -> None:
    before = servers()
    done = demo(tmp_path, "--graph-test", "--seconds", "2")
    assert done.returncode == 0, done.stderr
    video = tmp_path / "sample_clip_sample_voice.mp4"
    assert video.is_file() and str(video) in done.stdout
    frames, seconds = re.search(r"(\d+) frames, ([\d.]+) s of video", done.stdout).groups()  # type: ignore[union-attr]
    assert int(frames) == round(float(seconds) * 25) > 100
    for name in ("LoadReferenceVideo", "TrackFLAME", "AdaptAvatar", "AudioToExpression", "SaveVideo"):
        assert re.search(rf"{name} .*100%", done.stdout), f"no bar for {name}"
    assert servers() <= before


def test_a_problem_is_told_in_the_nodes_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 99)
    before = servers()
    done = demo(tmp_path / "out", str(broken), str(SAMPLE / "sample_voice.wav"))
    assert done.returncode == 1
    assert "broken.mp4" in done.stderr and "Traceback" not in done.stderr
    assert "Consent: none was stated" in done.stdout and "--consent" in done.stdout
    assert list((tmp_path / "out").glob("*")) == [] and servers() <= before


def test_a_missing_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    done = demo(tmp_path, str(tmp_path / "gone.mp4"), str(SAMPLE / "sample_voice.wav"))
    assert done.returncode != 0 and "gone.mp4" in done.stderr


def test_two_files_of_one_name_stay_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import demo as script  # type: ignore[import-not-found]

    for name in ("a", "b", "input"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        (tmp_path / name / "take.mp4").write_text(name)
    names = [script.put(tmp_path / name / "take.mp4", tmp_path / "input") for name in ("a", "b")]
    assert names == ["take.mp4", "take_2.mp4"]
    assert [(tmp_path / "input" / name).read_text() for name in names] == ["a", "b"]
