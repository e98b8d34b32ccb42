"""What surrounds the fit of an adaptation: exposure told from skin, memory by length of the clip, the avatar's file.

The exposure rows draw a known gain over real clips (GGTALKER_MEDIA) and compare what is found; tracks of the clips may
lie in GGTALKER_TRACKS (CLIP.track.safetensors), else they are tracked. The memory rows adapt a painted person's frames,
repeated, each in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ggtalker_core.types import ReferenceClip, Track

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("latentsync_man_crop512", "congress_woman_A_512", "congress_woman_B_512", "azure_zh_woman_crop512")
_EVERY = 2  # frames that are looked at
_KEPT_MB, _SIDE, _PAINTED = 40, 192, 100
Row = dict[str, Any]


def rows() -> dict[str, Row]:
    """All rows; about five processor minutes where the clips are tracked already."""
    return exposure() | memory() | file_of_the_full_preset()


def exposure() -> dict[str, Row]:
    """Standard deviation of the found from the drawn log gain, and whether untouched clips are left alone."""
    import numpy as np

    folder = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media")) / "video"
    out: dict[str, Row] = {}
    left_alone: list[bool] = []
    errors: dict[str, list[float]] = {"ramp of .30": [], "pumping by .24, three times": [], "wave of .10": []}
    for name in CLIPS:
        if not (folder / f"{name}.mp4").is_file():
            continue
        clip, track = _tracked(folder / f"{name}.mp4")
        over = np.linspace(0, 1, track.count)
        kinds = (0.15 * (2 * over - 1), 0.12 * np.sign(np.sin(6 * np.pi * over)), 0.05 * np.sin(4 * np.pi * over))
        left_alone.append(_found(clip, track, 0 * over) is None)
        for values, drawn in zip(errors.values(), kinds):
            found = _found(clip, track, drawn)
            difference = -drawn if found is None else found - drawn
            values.append(float((difference - np.median(difference)).std()))
    note = "" if left_alone else "the clips are not here: set GGTALKER_MEDIA"
    share = float(np.mean(left_alone)) if left_alone else None
    out["exposure: real clips left alone"] = _row(share, "", ">= 1", None if share is None else share >= 1, note)
    for kind, values in errors.items():
        worst = max(values) if values else None
        row = _row(worst, "log gain", "<= 0.04", None if worst is None else worst <= 0.04, note)
        out[f"exposure, {kind}: standard error, worst clip"] = row
    return out


def _tracked(path: Path) -> tuple[ReferenceClip, Track]:
    from ggtalker_core.tracking import load_track, track_clip
    from ggtalker_core.video import open_clip

    clip, known = open_clip(path), Path(os.environ.get("GGTALKER_TRACKS", "")) / f"{path.stem}.track.safetensors"
    return clip, load_track(known) if "GGTALKER_TRACKS" in os.environ and known.is_file() else track_clip(clip)


def _found(clip: ReferenceClip, track: Track, log_gain: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The mean log gain [T] that is found when `log_gain` [T] is drawn over every second frame; None: left alone."""
    import numpy as np

    from ggtalker_core.adapt.exposure import exposure_of
    from ggtalker_core.adapt.frames import FrameCollector
    from ggtalker_core.adapt.geometry import NeckLine, plan_crops
    from ggtalker_core.body.parts import chin_height_m
    from ggtalker_core.head import load_head

    head = load_head(track.head_model)
    chin = chin_height_m(head, track.shape)
    plan, neck = plan_crops(head, track, 512, chin), NeckLine.under(chin)
    kept = FrameCollector([i for i in range(0, track.count, _EVERY) if bool(track.valid[i])], plan, track.intrinsics_px)
    for i, image in enumerate(clip.frames(0, track.count)):
        if i in kept:
            # Darker as a whole first, so that nothing is clipped at white.
            changed = np.clip(image * np.exp(log_gain[i] - 0.15), 0, 255).round().astype(np.uint8)
            matte = np.full(image.shape[:2], 255, np.uint8)
            kept.add(i, changed, matte, track.landmarks_px[i].numpy(), neck.pixels(track, i))
    found = exposure_of(head, track, kept.store())
    return None if found is None else found.mean(1).numpy().astype(np.float64)


def memory() -> dict[str, Row]:
    """Peak memory of adapting one and ten minutes with the same budget for frames."""
    peaks = {minutes: _peak_mb(minutes) for minutes in (1, 10)}
    growth = peaks[10] - peaks[1]
    return {
        "peak memory, 1 minute": _row(peaks[1], "MB", None, None),
        "peak memory, 10 minutes": _row(peaks[10], "MB", None, None),
        # The track itself is 4.3 kB a frame: 58 MB of these.
        "peak memory, 10 minutes over 1 minute": _row(growth, "MB", "<= 250", growth <= 250),
    }


def _peak_mb(minutes: int) -> float:
    """Peak memory of a process that adapts so many minutes, in megabytes."""
    command = [sys.executable, str(Path(__file__).resolve()), str(minutes)]
    answer = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return float(json.loads(answer.stdout.splitlines()[-1]))


def adapt_painted(minutes: int) -> float:
    """Adapt a painted person's frames, repeated over so many minutes; the peak memory of this process in megabytes."""
    import dataclasses
    from fractions import Fraction

    import numpy as np
    import torch

    from ggtalker_core.adapt import AdaptConfig, adapt_avatar
    from ggtalker_core.evaluate.usage import peak_memory_mb
    from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_clip, synthetic_track

    size, count = (_SIDE, _SIDE), minutes * 60 * 25
    truth, short = synthetic_avatar(64, 2, size), synthetic_track(_PAINTED, size, sway=1.4)
    clip, mattes = synthetic_clip(truth, short)
    index = torch.arange(count) % _PAINTED
    names = [f.name for f in dataclasses.fields(short)]
    perframe = [n for n in names if isinstance(v := getattr(short, n), torch.Tensor) and v.shape[:1] == (_PAINTED,)]
    track = dataclasses.replace(short, **{name: getattr(short, name)[index] for name in perframe})
    pictures = clip.source.pictures  # type: ignore[attr-defined]
    source = dataclasses.replace(clip.source, pictures=[pictures[i] for i in index.tolist()])  # type: ignore[type-var]
    long = dataclasses.replace(clip, source=source, duration_s=Fraction(count, 25))
    known = short.landmarks_px.numpy()
    config = dataclasses.replace(
        AdaptConfig.tiny(), uv_size=64, max_box_px=_SIDE, memory_mb=_KEPT_MB, loop_s=4.0
    )  # fmt: skip
    adapt_avatar(
        long, track, config, matte_of=lambda _, points: mattes[int(np.abs(known - points).sum((1, 2)).argmin())]
    )  # fmt: skip
    return peak_memory_mb()


def file_of_the_full_preset() -> dict[str, Row]:
    """An avatar as large as the full preset makes it, with half a minute of a real clip as its body loop."""
    import dataclasses

    import torch

    from ggtalker_core.adapt import AdaptConfig
    from ggtalker_core.adapt.loop_store import LoopStore
    from ggtalker_core.body.inpainter import BodyInpainter
    from ggtalker_core.gaussians.avatar_file import load_avatar, save_avatar
    from ggtalker_core.gaussians.color_mlp import N_CONDITION, new_color_mlp
    from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_track
    from ggtalker_core.head import uv_layout
    from ggtalker_core.types import BodyLoop
    from ggtalker_core.video import open_clip

    config = AdaptConfig.full()
    folder = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media")) / "video"
    path = folder / f"{CLIPS[0]}.mp4"
    path = path if path.is_file() else ROOT / "ggtalker_core" / "assets" / "sample" / "sample_clip.mp4"
    clip = open_clip(path)
    frames = [*clip.frames()]
    wanted = round(config.loop_s * 25)
    store = LoopStore(wanted, config.jpeg_quality, config.loop_mb * 1e6, round(config.loop_least_s * 25))
    matte = _matte(clip.size_px)
    for i in range(wanted):
        store.add(frames[i % len(frames)], matte)
    avatar = synthetic_avatar(config.uv_size, 2, (64, 64))
    mlp = new_color_mlp(uv_layout(config.uv_size).count, torch.randn(8, N_CONDITION))
    loop = BodyLoop(
        tuple(store.jpegs), tuple(store.pngs), None, synthetic_track(len(store.jpegs), clip.size_px), clip.fps
    )  # fmt: skip
    network = {key: value.clone() for key, value in BodyInpainter().state_dict().items()}
    whole = dataclasses.replace(avatar, color_mlp=mlp, body=loop, inpainter=network)
    with tempfile.TemporaryDirectory() as place:
        file = save_avatar(whole, Path(place) / "full.avatar.safetensors")
        size, start = file.stat().st_size / 1e6, time.perf_counter()
        load_avatar(file)
        seconds = time.perf_counter() - start
    note = f"{len(store.jpegs)} of {wanted} loop frames at JPEG quality {store.quality}, {path.stem}"
    return {
        "file of the full preset": _row(size, "MB", "<= 60", size <= 60, note),
        "file of the full preset: loading": _row(seconds, "s", "<= 1", seconds <= 1.0),
    }


def _matte(size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """A person's outline, softly."""
    import cv2
    import numpy as np

    width, height = size_px
    page = np.zeros((height, width), np.uint8)
    cv2.ellipse(page, (width // 2, height // 2), (width // 4, height // 3), 0, 0, 360, 255, -1)
    cv2.rectangle(page, (width // 8, 4 * height // 5), (7 * width // 8, height), 255, -1)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), 2), dtype=np.uint8)


def _row(value: float | None, unit: str, target: str | None, ok: bool | None, note: str = "") -> Row:
    row: Row = {"value": value, "unit": unit, "target": target, "ok": ok}
    return row | ({"note": note} if note else {})


if __name__ == "__main__":
    print(json.dumps(adapt_painted(int(sys.argv[1]))))
