"""Does an avatar that carries its person's style token move the mouth more like that person? On sound it never heard.

Token, rest and opening come from the first 60 % of a clip; the prior then says the rest of the clip's words, with the
token and without. Both are compared with the tracked mouth there. Needs the clips (GGTALKER_MEDIA); tracks may lie in
GGTALKER_TRACKS (CLIP.track.safetensors).
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggtalker_core.types import ReferenceClip, SpeakingStyle, Track

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("latentsync_man_crop512", "congress_woman_A_512", "congress_woman_B_512", "azure_zh_woman_crop512")
HEARD, SEEDS = 0.6, (0, 1, 2)
Row = dict[str, Any]


def rows() -> dict[str, Row]:
    """Correlation and mean difference of the lip gap, per clip."""
    out: dict[str, Row] = {}
    folder = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media")) / "video"
    for name in CLIPS:
        if not (folder / f"{name}.mp4").is_file():
            out[name] = _row(None, "", "the clip is not here: set GGTALKER_MEDIA")
            continue
        clip, track = _tracked(folder / f"{name}.mp4")
        for manner, (like, off) in _compared(clip, track).items():
            out[f"{name}, {manner}: correlation of the lip gap"] = _row(like, "")
            out[f"{name}, {manner}: mean difference of the lip gap"] = _row(off, "mm")
    return out


def _compared(clip: ReferenceClip, track: Track) -> dict[str, tuple[float, float]]:
    """Correlation and mean difference in millimetres of each manner, means over the seeds."""
    import numpy as np
    import torch

    from ggtalker_core.adapt.config import StyleStage
    from ggtalker_core.adapt.own_voice import prior_opening
    from ggtalker_core.adapt.style import speaking_style, style_token
    from ggtalker_core.evaluate.split import cut
    from ggtalker_core.expression import speak
    from ggtalker_core.head import load_head

    head, at = load_head(), int(track.count * HEARD)
    heard, known = cut(clip, 0, at), track.slice(0, at)
    said, true = cut(clip, at, track.count), track.slice(at, track.count)
    opening = prior_opening(head, track.shape, heard.audio)
    token = style_token(head, known, heard.audio, StyleStage())
    own = speaking_style(head, known, list(range(at)), opening, token)
    real = _gap_mm(true.expression, true.jaw_rad, own)
    out: dict[str, tuple[float, float]] = {}
    for name, style in (("plain manner", dataclasses.replace(own, token=None)), ("style token", own)):
        likes, offs = [], []
        for seed in SEEDS:
            motion = speak(said.audio, style=style, fps=true.fps, seed=seed, arkit=head.arkit)
            gap = _gap_mm(motion.expression, motion.jaw_rad, own)
            n = min(len(gap), len(real))
            likes.append(float(torch.corrcoef(torch.stack([gap[:n], real[:n]]))[0, 1]))
            offs.append(float((gap[:n] - real[:n]).abs().mean()))
        out[name] = float(np.mean(likes)), float(np.mean(offs))
    return out


def _gap_mm(expression: Any, jaw_rad: Any, style: SpeakingStyle) -> Any:
    """Lip gap of the default head above the person's rest, [T] millimetres."""
    import torch

    from ggtalker_core.adapt.own_voice import lip_gap
    from ggtalker_core.head import load_head

    head = load_head()
    still = lip_gap(head, torch.zeros(head.n_shape), style.rest_expression[None], style.rest_jaw_rad[None])
    return (lip_gap(head, torch.zeros(head.n_shape), expression, jaw_rad) - still) * 1000


def _tracked(path: Path) -> tuple[ReferenceClip, Track]:
    from ggtalker_core.tracking import load_track, track_clip
    from ggtalker_core.video import open_clip

    clip, known = open_clip(path), Path(os.environ.get("GGTALKER_TRACKS", "")) / f"{path.stem}.track.safetensors"
    return clip, load_track(known) if "GGTALKER_TRACKS" in os.environ and known.is_file() else track_clip(clip)


def _row(value: float | None, unit: str, note: str = "") -> Row:
    return {"value": value, "unit": unit, "target": None, "ok": None, "note": note}
