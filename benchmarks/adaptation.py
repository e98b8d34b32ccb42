"""The draft adaptation, measured by self-reenactment on the real clips (first 10/11 fitted, last 1/11 scored).

Rows per clip against the targets; needs the clips of GGTALKER_MEDIA, without them the rows say so. Reports that
`cli evaluate --json` wrote before are taken from the folder GGTALKER_EVALUATIONS (evaluate_CLIP.json) instead of
fitting again. A painted person with a known map is always measured; with GGTALKER_ABLATE=1 also what each part of the
recipe brings on one clip (five more fits).
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLIPS = {  # file: least head PSNR from landmarks and with refined test frames, least silhouette band
    "man": ("latentsync_man_crop512", (28.7, 30.2, 23.5)),
    "congress_woman_A": ("congress_woman_A_512", (24.0, 25.5, 20.5)),
    "congress_woman_B": ("congress_woman_B_512", (None, None, None)),
    "azure_zh_woman": ("azure_zh_woman_crop512", (None, None, None)),
}
Row = dict[str, Any]


def rows() -> dict[str, Row]:
    """All rows; minutes per clip on two cores."""
    out = painted_person()
    folder = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media")) / "video"
    for name, (file, least) in CLIPS.items():
        report = _report(folder / f"{file}.mp4")
        if report is None:
            out[f"{name}: head PSNR"] = _row(None, "dB", least[0], None, "the clip is not here: set GGTALKER_MEDIA")
        else:
            out.update(clip_rows(name, report, least))
    if os.environ.get("GGTALKER_ABLATE") == "1" and (folder / f"{CLIPS['man'][0]}.mp4").is_file():
        out.update(ablation(folder / f"{CLIPS['man'][0]}.mp4"))
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


def _report(path: Path) -> dict[str, Any] | None:
    """The evaluation of a clip: a finished one where there is one, else a new one; None without the clip."""
    done = Path(os.environ.get("GGTALKER_EVALUATIONS", "")) / f"evaluate_{path.stem}.json"
    if os.environ.get("GGTALKER_EVALUATIONS") and done.is_file():
        return json.loads(done.read_text())
    return evaluated(path, "draft") if path.is_file() else None


def evaluated(path: Path, preset: str, **changes: Any) -> dict[str, Any]:
    """One clip through the protocol of ggtalker_core.evaluate, with changes to the preset."""
    from ggtalker_core.adapt import AdaptConfig
    from ggtalker_core.evaluate.protocol import self_reenactment
    from ggtalker_core.video import open_clip

    config = dataclasses.replace(AdaptConfig.named(preset), **changes)
    return self_reenactment(open_clip(path), config).report()


def clip_rows(name: str, report: dict[str, Any], least: tuple[float | None, ...]) -> dict[str, Row]:
    """The rows of one clip."""
    ours, refined, nearest = (report[key] for key in ("ours", "ours_refined", "nearest_frame"))
    head, again, edge = ours["head_psnr_db"], refined["head_psnr_db"], refined["edge_psnr_db"]
    lmd, other = ours["mouth_lmd_px"], nearest["mouth_lmd_px"]
    views = report["open_share"].values()
    rows = {
        "head PSNR, test frames from landmarks": _least(head, "dB", least[0]),
        "head PSNR, test frames refined": _least(again, "dB", least[1]),
        "head PSNR over the nearest frame": _least(head - nearest["head_psnr_db"], "dB", 6.0),
        "full frame PSNR": _row(ours["full_psnr_db"], "dB", None, None),
        "mouth PSNR": _row(ours["mouth_psnr_db"], "dB", None, None),
        "silhouette band PSNR": _row(ours["edge_psnr_db"], "dB", None, None),
        "silhouette band PSNR, test frames refined": _least(edge, "dB", least[2]),
        "mouth landmark distance": _most(lmd, "px", 1.0),
        "mouth landmark distance / nearest frame's": _most(lmd / other, "", 1 / 3),
        "lip gap correlation": _least(ours["lip_gap_correlation"], "", 0.97),
        "error in the seam band / in the head": _most(ours["seam_error_ratio"], "", 1.2),
        "flicker in still stretches / the original's own": _most(ours["flicker_ratio"], "", 1.3),
        "not solid from +-30 degrees": _most(100 * max(views), "%", 1.0),
        "track + adapt, processor": _row(sum(report["cpu_seconds"][k] for k in ("track", "adapt")), "s", None, None),
        "track + adapt, wall": _most(sum(report["seconds"][k] for k in ("track", "adapt")), "s", 720.0),
        "peak memory of the process": _most(report["peak_memory_mb"], "MB", 2000.0),
    }
    return {f"{name}: {key}": row for key, row in rows.items()}


def ablation(path: Path) -> dict[str, Row]:
    """What the recipe loses without one of its parts, on one clip; one seed, differences below 0.1 dB mean nothing."""
    from ggtalker_core.adapt import AdaptConfig
    from ggtalker_core.adapt.config import InpainterStage, Stage, Weights

    draft = AdaptConfig.draft()
    last = draft.stages[-1]
    kinds: dict[str, dict[str, Any]] = {
        "whole recipe": {},
        "without refining the frames' parameters": {
            "stages": tuple(dataclasses.replace(stage, fit_parameters=False) for stage in draft.stages)
        },
        "without the mouth's weight": {"weights": Weights(mouth=1.0)},
        "without the Body Inpainter": {"inpainter": InpainterStage(0)},
        "with the colour network": {
            "stages": (*draft.stages[:-1], Stage(last.name, last.steps, fit_parameters=True, fit_colors=True, rate=0.7))
        },
    }
    out: dict[str, Row] = {}
    for kind, changes in kinds.items():
        report = evaluated(path, "draft", **changes)
        for score, what in (("ours", "from landmarks"), ("ours_refined", "refined")):
            for key, label in (("head_psnr_db", "head"), ("mouth_psnr_db", "mouth"), ("edge_psnr_db", "edge")):
                out[f"ablation, {path.stem}, {kind}: {label} PSNR, {what}"] = _row(report[score][key], "dB", None, None)
    return out


def _least(value: float | None, unit: str, target: float | None) -> Row:
    ok = None if target is None or value is None else value >= target
    return _row(value, unit, None if target is None else f">= {target:g}", ok)


def _most(value: float | None, unit: str, target: float) -> Row:
    return _row(value, unit, f"<= {target:.3g}", None if value is None else value <= target)


def _row(value: float | None, unit: str, target: float | str | None, ok: bool | None, note: str = "") -> Row:
    row: Row = {"value": value, "unit": unit, "target": target, "ok": ok}
    return row | ({"note": note} if note else {})
