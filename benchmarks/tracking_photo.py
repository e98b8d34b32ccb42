"""What the photometric mode gains on a real clip: colours of the skin on frames not used for the albedo, and jitter.

python benchmarks/tracking_photo.py CLIP [SECONDS]     prints JSON

Three tracks: without any smoothing (landmarks of one crop, each frame alone), fast, full (landmarks as usual). The
albedo of a texel is its mean over every 5th frame; the others are scored against it. None of this uses the fit's own
samples, pictures or visibility.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

PAGE, EVERY, SECONDS = 160, 5, 4.0


def measure(path: Path, seconds: float = SECONDS) -> dict[str, float]:
    """All measures of one clip."""
    import torch

    from ggtalker_core.head import load_head
    from ggtalker_core.head.measure import lip_opening_m
    from ggtalker_core.tracking import TrackConfig, face_finder, track_clip
    from ggtalker_core.video import open_clip

    torch.set_num_threads(1)
    head, clip = load_head(), open_clip(path, end_s=seconds)
    loose = TrackConfig(turn_change=0.0, move_change=0.0, expression_change=0.0, steady=0.0, views=1, flow=0.0)
    unsmoothed = track_clip(clip, loose)
    wall = time.perf_counter()
    found = face_finder(TrackConfig()).detect_landmarks(clip.frames())
    finding_wall, clock = time.perf_counter() - wall, time.process_time()
    fast = track_clip(clip, landmarks=found)
    fast_s, clock = time.process_time() - clock, time.process_time()
    wall = time.perf_counter()
    full = track_clip(clip, TrackConfig.full(), landmarks=found)
    full_s, full_wall = time.process_time() - clock, time.perf_counter() - wall + finding_wall
    tracks = {"unsmoothed": unsmoothed, "fast": fast, "full": full}
    shown = {k: _vertices(t, head) for k, t in tracks.items()}
    still = _still(unsmoothed.landmarks_px, unsmoothed.valid)
    gap = {k: lip_opening_m(_posed(t, head), head) for k, t in tracks.items()}
    shaking = {k: _jitter(v, head, still) for k, v in shown.items()}
    psnr = {k: _psnr(clip, tracks[k], shown[k], head) for k in ("fast", "full")}
    return {
        "skin_psnr_fast": psnr["fast"],
        "skin_psnr_full": psnr["full"],
        "skin_psnr_gain": psnr["full"] - psnr["fast"],
        "jitter_unsmoothed": shaking["unsmoothed"],
        "jitter_fast_ratio": shaking["fast"] / shaking["unsmoothed"],
        "jitter_full_ratio": shaking["full"] / shaking["unsmoothed"],
        "lip_amplitude_fast": float(gap["fast"].std() / gap["unsmoothed"].std()),
        "lip_amplitude_full": float(gap["full"].std() / gap["unsmoothed"].std()),
        "fit_cpu_per_frame_fast": fast_s / clip.count,
        "fit_cpu_per_frame_full": full_s / clip.count,
        "frames_per_second_full": clip.count / full_wall,
    }


def _vertices(track: Any, head: Any) -> Any:
    """[T, V, 3] camera axes."""
    from ggtalker_core.head.pose import transform

    return transform(_posed(track, head), track.rotation_rad, track.translation_m)


def _posed(track: Any, head: Any) -> Any:
    """[T, V, 3] head axes."""
    return head.vertices(
        track.shape, track.expression, track.jaw_rad, track.neck_rad, track.eyes_rad, track.offset_m
    )  # fmt: skip


def _still(points: Any, valid: Any) -> Any:
    """Frames [T - 2] in the middle of stretches in which the nose bridge moves least: the stillest third."""
    place = points[:, [168, 6, 197, 195]].mean(1)
    moved = (place[2:] - place[:-2]).norm(dim=-1)
    good = valid[2:] & valid[1:-1] & valid[:-2]
    return good & (moved <= moved[good].quantile(1 / 3))


def _jitter(vertices: Any, head: Any, still: Any) -> float:
    """Mean second difference of head vertices without the mouth, in millimetres, over still frames."""
    chosen = head.regions.vertices("scalp", "ears", "nose", "brows").nonzero()[:, 0][::5]
    v = vertices[:, chosen]
    return float((v[2:] - 2 * v[1:-1] + v[:-2])[still].norm(dim=-1).mean() * 1e3)


def _psnr(clip: Any, track: Any, vertices: Any, head: Any) -> float:
    """dB of the visible skin on frames that gave no albedo."""
    import cv2
    import numpy as np
    import torch

    from ggtalker_core.head.uv import uv_layout

    layout = uv_layout(PAGE)
    wanted = [head.regions.names.index(n) for n in ("face", "nose", "brows", "lips")]
    use = torch.isin(layout.region, torch.tensor(wanted))
    corners, weights = head.faces[layout.triangle[use]], layout.barycentric[use]
    k = track.intrinsics_px
    colors: list[Any] = []
    shown: list[Any] = []
    for i, frame in enumerate(clip.frames()):
        three = vertices[i][corners]  # [N, 3, 3]
        place = (three * weights[..., None]).sum(1)
        normal = torch.nn.functional.normalize(torch.linalg.cross(three[:, 1] - three[:, 0], three[:, 2] - three[:, 0]))
        facing = -(normal * torch.nn.functional.normalize(place)).sum(1)
        flat = (place @ k.T)[:, :2] / place[:, 2:]
        x, y = (flat[:, c].numpy().astype(np.float32)[None] - 0.5 for c in range(2))
        colors.append(cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0].astype(np.float32))
        shown.append((facing > 0.4).numpy())
    color, seen = np.stack(colors) / 255, np.stack(shown)
    of_albedo = np.arange(len(color)) % EVERY == 0
    count = seen[of_albedo].sum(0)
    albedo = (color[of_albedo] * seen[of_albedo][..., None]).sum(0) / np.maximum(count, 1)[:, None]
    scores: list[float] = []
    for i in np.flatnonzero(~of_albedo):
        ok = seen[i] & (count > 0)
        scores.append(-10 * float(np.log10(((color[i] - albedo)[ok] ** 2).mean())))
    return float(np.mean(scores))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    print(json.dumps(measure(Path(sys.argv[1]), *(float(s) for s in sys.argv[2:]))))
