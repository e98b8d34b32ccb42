"""A clip and a voice through the command line, as a user would: time, memory, length, sound, watermark.

Needs the clip and the voice of GGTALKER_MEDIA, else uses the shipped sample. Every command runs in its own process.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "ggtalker_core" / "assets" / "sample"
FPS = Fraction(25)
Row = dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A finished command."""

    report: dict[str, Any]
    wall_s: float
    cpu_s: float
    peak_mb: float


def rows() -> dict[str, Row]:
    """All rows; some minutes on two cores."""
    from ggtalker_core.provenance import verify
    from ggtalker_core.video import read_audio

    clip, voice, kind = _material()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out, avatar = folder / "talk.mp4", folder / "x.avatar.safetensors"
        talk = _command("talk", "--video", clip, "--audio", voice, "--out", out, "--save-avatar", avatar)
        speak = _command("speak", "--avatar", avatar, "--audio", voice, "--out", folder / "again.mp4")
        audio, back = read_audio(voice), read_audio(out)
        added = back.waveform.shape[1] - audio.waveform.shape[1]
        wanted = math.ceil(audio.duration_s * FPS)
        marks = verify(out)
        again = verify(_recoded(out, folder / "crf28.mp4", 28))
        size = avatar.stat().st_size
    same = talk.report["watermark_id"]
    seconds = float(audio.duration_s)
    busy = "depends on what else the machine does"
    return {
        f"talk, draft, {kind}: whole run, wall": _row(talk.wall_s, "s", 720, talk.wall_s <= 720, busy),
        f"talk, draft, {kind}: whole run, processor": _row(talk.cpu_s, "s", None, None),
        f"talk, draft, {kind}: peak memory": _row(talk.peak_mb, "MB", 3000, talk.peak_mb <= 3000),
        "frames are ceil(seconds x fps)": _yes(talk.report["frames"] == wanted),
        "sound: samples added by the codec's framing": _row(added, "", 1023, 0 <= added < 1024),
        "sound: same sample rate": _yes(back.sample_rate == audio.sample_rate),
        "watermark id read back from the mp4": _yes(marks.watermark_id == same),
        "watermark id read back at crf 28": _yes(again.watermark_id == same),
        "speak from the avatar file: wall per second of video": _row(speak.wall_s / seconds, "s", None, None, busy),
        "speak from the avatar file: processor per second of video": _row(speak.cpu_s / seconds, "s", None, None),
        "speak from the avatar file: peak memory": _row(speak.peak_mb, "MB", 3000, speak.peak_mb <= 3000),
        "avatar file": _row(size / 1e6, "MB", None, None),
    }  # fmt: skip


def _material() -> tuple[Path, Path, str]:
    """Clip, voice and what to call them."""
    media = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media"))
    clip, voice = media / "video" / "latentsync_man_crop512.mp4", media / "audio" / "en_f_katie_16k.wav"
    if clip.is_file() and voice.is_file():
        return clip, voice, "20 s clip, 18 s voice"
    found = [next(iter(sorted(SAMPLE.glob(f"sample_{what}*")))) for what in ("clip", "voice")]
    return found[0], found[1], "shipped sample"


def _command(*words: str | Path) -> Done:
    """Run one command of the command line and measure its process."""
    line = [sys.executable, "-m", "ggtalker_core.cli", *map(str, words), "--quiet", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(line, env=environment, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(errors.read().decode(errors="replace")[-2000:])
        report = json.loads(output.read())
    return Done(report, time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _recoded(source: Path, target: Path, crf: int) -> Path:
    """The video encoded again, without its tags."""
    import av

    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream("libx264", rate=FPS, options={"crf": str(crf)})
        stream.width, stream.height = old.streams.video[0].width, old.streams.video[0].height
        stream.pix_fmt = "yuv420p"
        for frame in old.decode(video=0):
            new.mux(stream.encode(frame))
        new.mux(stream.encode(None))
    return target


def _yes(holds: bool) -> Row:
    return _row(float(holds), "", 1, holds)


def _row(value: float, unit: str, target: float | None, ok: bool | None, note: str = "") -> Row:
    row: Row = {"value": float(value), "unit": unit, "target": target, "ok": ok}
    return row | ({"note": note} if note else {})
