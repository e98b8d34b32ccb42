"""The draft adaptation, measured by self-reenactment on the real clips (first 10/11 fitted, last 1/11 scored).

Rows per clip against the targets; needs the clips of GGTALKER_MEDIA, without them the rows say so. Reports that
`cli evaluate --json` wrote before are taken from the folder GGTALKER_EVALUATIONS (evaluate_CLIP.json) instead of
fitting again. A painted person with a known map is always measured; with GGTALKER_ABLATE=1 also what each part of the
recipe brings on one clip (eleven fits at a third of the steps).
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggtalker_core.evaluate.tools import Tools
    from ggtalker_core.progress import Progress
    from ggtalker_core.types import Avatar, ReferenceClip, Track

ROOT = Path(__file__).resolve().parent.parent
CLIPS = {  # file: least head PSNR from landmarks and with refined test frames, least silhouette band
    "man": ("latentsync_man_crop512", (28.7, 30.2, 23.5)),
    "congress_woman_A": ("congress_woman_A_512", (24.0, 25.5, 20.5)),
    "congress_woman_B": ("congress_woman_B_512", (None, None, None)),
    "azure_zh_woman": ("azure_zh_woman_crop512", (None, None, None)),
}
Row = dict[str, Any]
_logger = logging.getLogger(__name__)


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

    def fitted() -> Avatar:
        return adapt_avatar(
            clip, track, config, matte_of=lambda _, points: mattes[int(np.abs(known - points).sum((1, 2)).argmin())]
        )

    ours = fitted()
    unseen = synthetic_track(60, size, sway=1.2).slice(31, 41)
    errors: list[float] = []
    drawn, true = (AvatarRenderer(avatar).frames(unseen.to_motion()) for avatar in (ours, truth))
    for a, b in zip(drawn, true):
        inside = np.asarray(b.alpha) > 229
        inside[int(0.75 * inside.shape[0]) :] = False  # the neck is not drawn
        errors.append(float((((a.rgb.astype(float) - b.rgb) / 255) ** 2)[inside].mean()))
    value = float(-10 * np.log10(np.mean(errors)))
    same = [ours.gaussian_map] + [fitted().gaussian_map for _ in range(2)]
    apart = max(float((other - same[0]).abs().max()) for other in same[1:])
    return {
        "three fits from one seed: largest difference in the map": _most(apart, "", 1e-3),
        "painted person: head PSNR in unseen poses, 200 steps": _row(value, "dB", 28.0, value >= 28.0),
    }


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
        "speckled colours from +-30 degrees / in the film": _row(
            max(report["color_grain_ratio"].values()), "", None, None
        ),
        "track + adapt, processor": _row(sum(report["cpu_seconds"][k] for k in ("track", "adapt")), "s", None, None),
        "track + adapt, wall": _most(sum(report["seconds"][k] for k in ("track", "adapt")), "s", 720.0),
        "peak memory of the process": _most(report["peak_memory_mb"], "MB", 2000.0),
    }
    return {f"{name}: {key}": row for key, row in rows.items()}


def ablation(path: Path) -> dict[str, Row]:
    """What the recipe loses without one of its parts, on one clip at a third of the draft's steps, from one track.

    The test part stays unseen: the first 10/11 are split once more in the same way. One seed; differences below 0.1 dB
    mean nothing. Reports are kept in the folder GGTALKER_EVALUATIONS, so that a stopped run goes on.
    """
    from ggtalker_core.adapt import AdaptConfig
    from ggtalker_core.adapt.config import InpainterStage, RefineConfig, Stage, Weights
    from ggtalker_core.evaluate.config import EvaluateConfig
    from ggtalker_core.evaluate.protocol import self_reenactment
    from ggtalker_core.evaluate.split import split
    from ggtalker_core.video import open_clip

    third = AdaptConfig.draft().scaled(1 / 3)
    last = third.stages[-1]
    colors = Stage(last.name, last.steps, fit_parameters=True, fit_colors=True, rate=last.rate)
    kinds: dict[str, dict[str, Any]] = {
        "whole recipe": {},
        "without refining the frames' parameters": {
            "stages": tuple(dataclasses.replace(stage, fit_parameters=False) for stage in third.stages)
        },
        "without the mouth's weight": {"weights": Weights(mouth=1.0)},
        "with a Body Inpainter": {"inpainter": InpainterStage(400)},
        "without refining the mattes": {"refine_mattes": False},
        "without the hair's own motion": {"sway": False},
        "without looks from the side": {"weights": Weights(solid=0.0)},
        "without learning the hair's shape": {"hair_shape": False},
        "without level skin": {"weights": Weights(level=0.0)},
        "without neighbours of one colour": {"weights": Weights(hue=0.0)},
        "with the colour network": {"stages": (*third.stages[:-1], colors)},
    }
    protocol = EvaluateConfig(test_step=2, refinement=RefineConfig(steps=10))
    clip, tools = split(open_clip(path), protocol)[0], _tracked_once()
    folder = Path(os.environ.get("GGTALKER_EVALUATIONS", "."))
    out: dict[str, Row] = {}
    for kind, changes in kinds.items():
        kept = folder / f"ablation_{path.stem}_{kind.replace(' ', '_')}.json"
        if kept.is_file():
            report = json.loads(kept.read_text())
        else:
            report = self_reenactment(clip, dataclasses.replace(third, **changes), protocol, tools=tools).report()
            if "GGTALKER_EVALUATIONS" in os.environ:
                kept.write_text(json.dumps(report))
        label = f"ablation, {path.stem}, a third of the steps, {kind}"
        for score, what in (("ours", "from landmarks"), ("ours_refined", "refined")):
            for key, part in (("head_psnr_db", "head"), ("mouth_psnr_db", "mouth"), ("edge_psnr_db", "edge")):
                row = _row(report[score][key], "dB", None, None, report.get("note", ""))
                out[f"{label}: {part} PSNR, {what}"] = row
        views = 100 * max(report["open_share"].values())
        out[f"{label}: not solid from +-30 degrees"] = _row(views, "%", None, None)
        grain = max(report["color_grain_ratio"].values())
        out[f"{label}: speckled colours from +-30 degrees / in the film"] = _row(grain, "", None, None)
        _logger.info("%s: head %.2f dB", label, report["ours"]["head_psnr_db"])
    return out


def _tracked_once() -> Tools:
    """The bundled tools with a tracker that works once for all kinds."""
    from ggtalker_core.evaluate.tools import bundled_tools

    tools = bundled_tools()
    known: dict[str, Track] = {}

    def track(clip: ReferenceClip, progress: Progress) -> Track:
        if "fit" not in known:
            known["fit"] = tools.track(clip, progress)
        return known["fit"]

    def track_held_out(clip: ReferenceClip, shared: Track, progress: Progress) -> Track:
        if "test" not in known:
            known["test"] = tools.track_held_out(clip, shared, progress)
        return known["test"]

    return dataclasses.replace(tools, track=track, track_held_out=track_held_out)


def _least(value: float | None, unit: str, target: float | None) -> Row:
    ok = None if target is None or value is None else value >= target
    return _row(value, unit, None if target is None else f">= {target:g}", ok)


def _most(value: float | None, unit: str, target: float) -> Row:
    return _row(value, unit, f"<= {target:.3g}", None if value is None else value <= target)


def _row(value: float | None, unit: str, target: float | str | None, ok: bool | None, note: str = "") -> Row:
    row: Row = {"value": value, "unit": unit, "target": target, "ok": ok}
    return row | ({"note": note} if note else {})
