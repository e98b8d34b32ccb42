"""The draft adaptation, measured by self-reenactment on the real clips (first 10/11 fitted, last 1/11 scored).

Rows per clip: PSNR of the held-out head, gain over the nearest fitted frame, mouth landmark distance, seconds, memory.
Needs the clips of GGTALKER_MEDIA; without them the rows say so. A painted person with a known map is always measured.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLIPS = {  # file, least head PSNR (None: shown only)
    "man": ("latentsync_man_crop512.mp4", 27.5),
    "congress_woman_A": ("congress_woman_A_512.mp4", 22.9),
    "azure_zh_woman": ("azure_zh_woman_crop512.mp4", None),
}
Row = dict[str, Any]


def rows() -> dict[str, Row]:
    """All rows; minutes per clip on two cores."""
    out = painted_person()
    folder = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media")) / "video"
    for name, (file, least) in CLIPS.items():
        if (folder / file).is_file():
            out.update(real_clip(name, folder / file, least))
        else:
            out[f"{name}: head PSNR"] = _row(None, "dB", least, None, "the clip is not here: set GGTALKER_MEDIA")
    return out


def painted_person() -> dict[str, Row]:
    """A head whose true map is known: how well a short fit draws it in poses that it never saw."""
    import numpy as np

    from ggtalker_core.adapt import AdaptConfig, adapt_avatar
    from ggtalker_core.adapt.config import Stage
    from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
    from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_clip, synthetic_track

    size = (128, 128)
    truth, track = synthetic_avatar(64, 2, size), synthetic_track(30, size, sway=1.6)
    clip, mattes = synthetic_clip(truth, track)
    known = track.landmarks_px.numpy()
    stages = (Stage("map", 120), Stage("map+parameters", 80, fit_parameters=True))
    config = dataclasses.replace(AdaptConfig.tiny(), uv_size=64, max_box_px=128, stages=stages)
    ours = adapt_avatar(
        clip, track, config, matte_of=lambda _, points: mattes[int(np.abs(known - points).sum((1, 2)).argmin())]
    )
    unseen = synthetic_track(60, size, sway=1.2).slice(31, 41)
    errors: list[float] = []
    drawn, true = (AvatarRenderer(avatar).frames(unseen.to_motion()) for avatar in (ours, truth))
    for a, b in zip(drawn, true):
        inside = np.asarray(b.alpha) > 229
        inside[int(0.75 * inside.shape[0]) :] = False  # the neck is not drawn
        errors.append(float((((a.rgb.astype(float) - b.rgb) / 255) ** 2)[inside].mean()))
    value = float(-10 * np.log10(np.mean(errors)))
    return {"painted person: head PSNR in unseen poses, 200 steps": _row(value, "dB", 28.0, value >= 28.0)}


def real_clip(name: str, path: Path, least: float | None) -> dict[str, Row]:
    """One clip through the protocol of ggtalker_core.evaluate."""
    from ggtalker_core.adapt import AdaptConfig
    from ggtalker_core.evaluate.protocol import self_reenactment
    from ggtalker_core.video import open_clip

    result = self_reenactment(open_clip(path), AdaptConfig.draft())
    ours, nearest = result.ours.summary(), result.nearest.summary()
    head, gain = _number(ours["head_psnr_db"]), _number(ours["head_psnr_db"]) - _number(nearest["head_psnr_db"])
    lmd, other = _number(ours["mouth_lmd_px"]), _number(nearest["mouth_lmd_px"])
    memory = result.peak_memory_mb
    return {
        f"{name}: head PSNR": _row(head, "dB", least, None if least is None else head >= least),
        f"{name}: head PSNR over the nearest frame": _row(gain, "dB", 5.0, gain >= 5.0),
        f"{name}: mouth PSNR": _row(ours["mouth_psnr_db"], "dB", None, None),
        f"{name}: edge PSNR": _row(ours["edge_psnr_db"], "dB", None, None),
        f"{name}: mouth landmark distance": _row(lmd, "px", 1.2, lmd <= 1.2),
        f"{name}: mouth landmark distance / nearest frame's": _row(lmd / other, "", 1 / 3, lmd <= other / 3),
        f"{name}: lip gap correlation": _row(ours["lip_gap_correlation"], "", None, None),
        f"{name}: adaptation, wall": _row(result.seconds["adapt"], "s", None, None, "depends on the machine's load"),
        f"{name}: adaptation, processor": _row(result.cpu_seconds["adapt"], "s", None, None),
        f"{name}: peak memory of the process": _row(memory, "MB", 2000, None if memory is None else memory <= 2000),
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _row(value: float | None, unit: str, target: float | None, ok: bool | None, note: str = "") -> Row:
    row: Row = {"value": value, "unit": unit, "target": target, "ok": ok}
    return row | ({"note": note} if note else {})
