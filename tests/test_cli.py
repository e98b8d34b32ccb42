"""The command line: grammar, errors in words, JSON, what doctor finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ggtalker_core.cli import main
from ggtalker_core.cli.arguments import build_parser
from ggtalker_core.cli.console import Bar
from ggtalker_core.cli.doctor import weights
from ggtalker_core.video import WriteConfig, write_video

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("talk", "track", "adapt", "speak", "evaluate", "verify", "doctor")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = [np.full((144, 144, 3), 40 + 5 * i, np.uint8) for i in range(30)]
    write_video(tmp_path / "plain.mp4", frames, fps=Fraction(25), size_px=(144, 144), config=WriteConfig.tiny())
    return tmp_path / "plain.mp4"


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and all(f"  {name} " in shown for name in COMMANDS)
    assert "  train " in shown and "raining a visual prior is not part of this version" in shown


def test_training_without_settings_says_what_is_missing(tmp_path, capsys):
    assert main(["train", "audio-prior", str(tmp_path / "x.json")]) == 1
    assert "x.json cannot be read" in capsys.readouterr().err


def test_the_design_s_commands_parse():
    parser = build_parser()
    for line in (
        "talk --video R --audio W --out O.mp4 --preset draft --device auto",
        "track --video R --out X.track.safetensors",
        "adapt --video R --out X.avatar.safetensors",
        "speak --avatar X --audio W --out O.mp4 --motion M --camera orbit",
        "evaluate --video R --json OUT.json",
        "verify FILE --json -",
        "doctor",
    ):
        assert parser.parse_args(line.split()).command == line.split()[0]


@pytest.mark.parametrize("text", ["0", "x", "1/0", "1000", "-5"])
def test_bad_frame_rates(text, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["track", "--video", "a", "--out", "b", f"--fps={text}"])
    assert stop.value.code == 2 and "frame rate" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "track --video none.mp4 --out t.safetensors",
        "adapt --video none.mp4 --out t.avatar.safetensors",
        "talk --video none.mp4 --audio none.wav --out o.mp4",
        "speak --avatar none.avatar.safetensors --audio none.wav --out o.mp4",
        "evaluate --video none.mp4 --json o.json",
        "verify none.mp4",
    ],
)
def test_a_missing_file_is_told_and_nothing_is_written(tmp_path, monkeypatch, capsys, line):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 1
    err = capsys.readouterr().err
    assert "error:" in err and "none." in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_targets_are_checked_before_any_work(tmp_path, video, capsys):
    assert main(["track", "--video", str(video), "--out", str(tmp_path / "none" / "t.safetensors")]) == 1
    assert "folder of --out does not exist" in capsys.readouterr().err
    assert main(["talk", "--video", str(video), "--audio", "x", "--out", str(tmp_path / "t.avi")]) == 1
    assert "must end in .mp4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["track", "--out", "x.track.safetensors", "--overlay", "x.avi"], "--overlay must end in .mp4"),
        (["track", "--out", "x.track.safetensors", "--json", "gone/x.json"], "folder of --json does not exist"),
        (
            ["talk", "--audio", "x.wav", "--out", "x.mp4", "--save-avatar", "gone/x.safetensors"],
            "folder of --save-avatar",
        ),
        (["talk", "--audio", "x.wav", "--out", "folder.mp4"], "--out cannot be written"),
        (["adapt", "--out", "x.avatar.safetensors", "--curves", "x.jpg"], "--curves must end in .png"),
        (["adapt", "--out", "x.avatar.safetensors", "--stages", "map, wrinkles"], "There is no stage 'wrinkles'"),
    ],
)
def test_every_target_is_checked_before_the_work(words, said, video, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    assert main([*words, "--video", str(video)]) == 1
    assert said in capsys.readouterr().err


def test_an_expired_consent_is_refused(tmp_path, video, capsys):
    line = ["adapt", "--video", str(video), "--out", str(tmp_path / "x.avatar.safetensors"), "--expires", "2001-01-01"]
    assert main(line) == 1 and "--statement" in capsys.readouterr().err
    assert main([*line, "--statement", "I agree to this use of my face"]) == 1
    assert "expired" in capsys.readouterr().err and not (tmp_path / "x.avatar.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "basis", "said"),
    [
        ([], "trial", "none was stated"),
        (["--statement", "Ann agreed on May 1"], "written_consent", "Ann agreed on May 1"),
        (["--consent", "Ann agreed on May 1", "--basis", "self"], "self", "Ann agreed on May 1"),
        (["--basis", "synthetic_person"], "synthetic_person", "without further words"),
    ],
)
def test_consent_is_recorded_as_it_was_stated(words, basis, said, capsys):
    from ggtalker_core.cli.making import consent_of
    from ggtalker_core.provenance import check_consent

    options = build_parser().parse_args(["adapt", "--video", "x.mp4", "--out", "x.avatar.safetensors", *words])
    record = check_consent(consent_of(options))
    assert record.basis == basis and said in capsys.readouterr().err
    assert (record.expires is not None) == (basis == "trial") and ("No consent" in record.statement) == (
        basis == "trial"
    )


def test_consent_can_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("GGTALKER_CONSENT", "Ann agreed on May 1")
    line = ["adapt", "--video", "x.mp4", "--out", "x.avatar.safetensors"]
    assert build_parser().parse_args(line).statement == "Ann agreed on May 1"


def test_verify_gives_one_json_object(video, capsys):
    assert main(["verify", str(video), "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["found"] is False and report["state"] == "nothing"


def test_verify_as_text_and_into_a_file(video, tmp_path, capsys):
    assert main(["verify", str(video)]) == 0
    assert "none found" in capsys.readouterr().out
    assert main(["verify", str(video), "--json", str(tmp_path / "v.json")]) == 0
    assert json.loads((tmp_path / "v.json").read_text())["name"] == "plain.mp4" and capsys.readouterr().out == ""


def test_doctor(capsys):
    code = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    found = {f["what"]: f for f in report["findings"]}
    assert code == (0 if report["ok"] else 1)
    for what in ("Python", "torch", "device", "av", "numba", "rasteriser numba", "weights face_networks.safetensors"):
        assert what in found
    assert all(f["fix"] for f in report["findings"] if f["state"] == "problem")
    assert found["weights face_networks.safetensors"]["state"] == "ok"


def test_doctor_sees_changed_and_missing_weights(tmp_path):
    import hashlib

    (tmp_path / "a.safetensors").write_bytes(b"right")
    (tmp_path / "b.safetensors").write_bytes(b"wrong")
    (tmp_path / "d.safetensors").write_bytes(b"stray")
    good = hashlib.sha256(b"right").hexdigest()
    rows = "\n".join(f"| {name}.safetensors | x | {good} | y |" for name in "abc")
    (tmp_path / "README.md").write_text("| file | what | sha256 |\n|---|---|---|\n" + rows)
    state = {f.what.split()[1].split(".")[0]: (f.state, f.found) for f in weights(tmp_path)}
    assert state["a"][0] == "ok"
    assert state["b"] == ("problem", "the checksum differs") and state["c"] == ("problem", "missing")
    assert state["d"] == ("problem", "no checksum is known for it")
    assert weights(tmp_path / "none")[0].state == "problem"


def test_module_runs_as_a_program(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "ggtalker_core.cli", "verify", "none.mp4"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "error:" in done.stderr and done.stdout == ""


def test_bar_in_a_log_is_a_line_now_and_then(capsys):
    bar = Bar("work")
    for i in range(1000):
        bar(i, 1000, "step")
    bar.close()
    assert capsys.readouterr().err.count("\n") == 1
    Bar("work", quiet=True)(1, 2)
    assert capsys.readouterr().err == ""


def test_bar_leaves_the_time_to_a_stage_that_tells_it(monkeypatch, capsys):
    clock = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr("ggtalker_core.cli.console.time.monotonic", lambda: next(clock))
    bar = Bar("work")
    bar(1, 2, "step")
    bar(1, 2, "step, about 7 s left")
    first, second = capsys.readouterr().err.splitlines()
    assert "0:20 left" in first and second.count(" left") == 1


def test_cancelling_ends_with_130(video, monkeypatch, capsys):
    import ggtalker_core.cli.checking as checking

    def stop(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "verify", stop)
    assert main(["verify", str(video)]) == 130
    assert "Cancelled" in capsys.readouterr().err
