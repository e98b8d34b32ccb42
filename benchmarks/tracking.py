"""Tracking on real clips: error on landmarks left out of the fit, lips, lids, smoothness, focal length, cost; what the
photometric mode gains (tracking_photo.py); and accuracy on drawn clips whose truth is known (tracking_truth.py).

python benchmarks/run.py tracking          all of it; clips are found under GGTALKER_MEDIA or ../shared/media
python benchmarks/tracking.py one CLIP     one clip, as JSON (each clip is measured in a process of its own)
python benchmarks/tracking.py only NAME... measures these anew (stems of clips, photo:STEM, scenes of drawn clips,
                                           long_clip) and puts their rows into benchmarks/results/tracking.json
python benchmarks/tracking.py long COUNT   peak memory of a clip of so many frames, as JSON
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MEDIA = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media")) / "video"
CLIPS = (
    "latentsync_man_crop512.mp4",
    "congress_woman_A_512.mp4",
    "congress_woman_B_512.mp4",
    "azure_zh_woman_crop512.mp4",
    "latentsync_man_portrait_1080x1920_hevc.mp4",
)
CLOSED = 0.015  # of the inter-ocular distance: lips nearer than this are closed in the picture
# measure -> (unit, target, comparison)
ROWS: dict[str, tuple[str, float | None, str]] = {
    "held_out_error": ("% of inter-ocular distance, median", 1.8, "<="),
    "held_out_error_mean": ("% of inter-ocular distance, mean", None, ""),
    "lip_error": ("% of inter-ocular distance, mean", None, ""),
    "lip_gap_correlation": ("", 0.96, ">="),
    "lip_gap_error": ("mm, mean", 1.0, "<="),
    "closed_lips_gap": ("mm between the lips where they are closed, median", 1.6, "<="),
    "lid_gap_correlation": ("", None, ""),
    "jitter": ("% of inter-ocular distance, median second difference of the nose bridge", None, ""),
    "jitter_of_landmarks": ("the same of the detected landmarks", None, ""),
    "focal_over_side": ("times the longer side", None, ""),
    "frames_with_face": ("share", None, ""),
    "cpu_per_frame": ("CPU s", None, ""),
    "wall": ("s", None, ""),
    "frames_per_second": ("detection and fit by the clock, two cores", 25.0, ">="),
    "peak_memory": ("MB", 1500.0, "<="),
}


PHOTO_CLIPS = CLIPS[:2]
PHOTO_ROWS: dict[str, tuple[str, float | None, str]] = {
    "skin_psnr_fast": ("dB, skin on frames not used for the albedo", None, ""),
    "skin_psnr_full": ("dB, skin on frames not used for the albedo", None, ""),
    "skin_psnr_gain": ("dB, full over fast", 1.5, ">="),
    "jitter_unsmoothed": ("mm, mean second difference of head vertices in still frames", None, ""),
    "jitter_fast_ratio": ("times unsmoothed", None, ""),
    "jitter_full_ratio": ("times unsmoothed", 0.3, "<="),
    "lip_amplitude_fast": ("times unsmoothed", 0.97, ">="),
    "lip_amplitude_full": ("times unsmoothed", 0.97, ">="),
    "fit_cpu_per_frame_fast": ("CPU s, landmarks given", None, ""),
    "fit_cpu_per_frame_full": ("CPU s, landmarks given", None, ""),
    "frames_per_second_full": ("detection and mode full by the clock, one thread", 3.0, ">="),
}
TRUTH_SCENES = ("near_lens", "portrait_lens", "long_lens")
TRUTH_ROWS: dict[str, tuple[str, float | None, str]] = {
    "vertices_face": ("mm RMS after rigid alignment", 2.5, "<="),
    "vertices_face_scaled": ("mm RMS after alignment and one size for the clip", None, ""),
    "vertices_head": ("mm RMS after rigid alignment, with ears and scalp", None, ""),
    "jaw": ("degrees, mean", 1.5, "<="),
    "rotation": ("degrees, mean", 1.0, "<="),
    "rotation_without_mean": ("degrees, mean, without one turn for the clip", None, ""),
    "focal": ("%", 8.0, "<="),
    "lip_gap_correlation": ("distance of the lips, with depth", None, ""),
    "lip_opening_correlation": ("height of the opening", 0.97, ">="),
    "lip_gap_error": ("mm, mean", None, ""),
    "blink_recall": ("share", 0.95, ">="),
}


def rows(only: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """One row per clip and measure; clips that are missing say so. `only`: these names."""
    here = Path(__file__).resolve().parent
    drawn = Path(os.environ.get("GGTALKER_DRAWN", Path(tempfile.gettempdir()) / "ggtalker_drawn"))

    def wanted(name: str) -> bool:
        return not only or name in only

    out: dict[str, dict[str, Any]] = {}
    for name in CLIPS:
        if wanted(Path(name).stem):
            out |= _real([__file__, "one"], MEDIA / name, ROWS)
    for name in PHOTO_CLIPS:
        if wanted("photo:" + Path(name).stem):
            out |= _real([str(here / "tracking_photo.py")], MEDIA / name, PHOTO_ROWS)
    for name in TRUTH_SCENES:
        if wanted(name):
            values, note = _called([str(here / "tracking_truth.py"), name, str(drawn)])
            out |= truth_rows(name, values, note)
    if wanted("long_clip"):
        short, note = _called([__file__, "long", "500"])
        long, _ = _called([__file__, "long", "15000"])
        both = {"memory_20_s": short["peak_memory"], "memory_10_min": long["peak_memory"]} if short and long else {}
        ratio = {"memory_ratio": both["memory_10_min"] / both["memory_20_s"]} if both else {}
        out |= table("long_clip", both | ratio, LONG_ROWS, note)
    return out


LONG_ROWS: dict[str, tuple[str, float | None, str]] = {
    "memory_20_s": ("MB, 500 frames", None, ""),
    "memory_10_min": ("MB, 15,000 frames", None, ""),
    "memory_ratio": ("times that of 20 s, mode fast", 1.1, "<="),
}


def long_clip(count: int) -> dict[str, float]:
    """Peak memory of tracking `count` frames, detection and all: the sample clip to and fro."""
    import torch

    from ggtalker_core.tracking import TrackConfig, track_clip
    from ggtalker_core.video import open_clip

    torch.set_num_threads(1)
    path = ROOT / "ggtalker_core" / "assets" / "sample" / "sample_clip.mp4"
    clip = open_clip(path, end_s=2.0, max_side_px=256)
    source = _Looped(tuple(clip.frames()), count)
    # One crop per frame and no flow: what is stored of a frame is the same, and it takes half the time.
    track_clip(dataclasses.replace(clip, source=source), dataclasses.replace(TrackConfig(), views=1, flow=0.0))
    return {"peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


@dataclasses.dataclass(frozen=True)
class _Looped:
    """A few frames [H, W, 3] to and fro, a little brighter and darker each time."""

    pictures: tuple[Any, ...]
    count: int

    @property
    def size_px(self) -> tuple[int, int]:
        height, width = self.pictures[0].shape[:2]
        return width, height

    def frames(self, start: int = 0, stop: int | None = None) -> Any:
        import numpy as np

        few = len(self.pictures)
        for i in range(start, self.count if stop is None else stop):
            k = i % (2 * few - 2)
            picture = self.pictures[k if k < few else 2 * few - 2 - k]
            yield np.clip(picture * np.float32(1 + 0.04 * math.sin(i / 97)), 0, 255).astype(np.uint8)


def put(found: dict[str, dict[str, Any]]) -> None:
    """Replace rows in the stored results."""
    path = ROOT / "benchmarks" / "results" / "tracking.json"
    report = json.loads(path.read_text())
    report["rows"] |= found
    path.write_text(json.dumps(report, indent=1) + "\n")


def truth_rows(scene: str, values: dict[str, float], note: str = "") -> dict[str, dict[str, Any]]:
    """The rows of one drawn scene: detected landmarks (fast, full) and true ones with 1 % noise (oracle)."""
    out: dict[str, dict[str, Any]] = {}
    for kind in ("fast", "full", "oracle"):
        own = {key.split("/")[1]: value for key, value in values.items() if key.startswith(kind + "/")}
        out |= table(f"truth_{scene}/{kind}", own, TRUTH_ROWS, note)
    return out


def _real(command: list[str], clip: Path, measures: dict[str, tuple[str, float | None, str]]) -> dict[str, Any]:
    if not clip.is_file():
        return table(clip.stem, {}, measures, f"no clip {clip.name}: set GGTALKER_MEDIA")
    values, note = _called([*command, str(clip)])
    return table(clip.stem, values, measures, note)


def _called(command: list[str]) -> tuple[dict[str, float], str]:
    """What a measurement in a process of its own prints, or why there is nothing."""
    run = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return json.loads(run.stdout.splitlines()[-1]), ""
    return {}, run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "failed"


def table(
    prefix: str, values: dict[str, float], measures: dict[str, tuple[str, float | None, str]], note: str = ""
) -> dict[str, dict[str, Any]]:
    """Rows with their targets."""
    out: dict[str, dict[str, Any]] = {}
    for measure, (unit, target, comparison) in measures.items():
        value = values.get(measure)
        out[f"{prefix}/{measure}"] = {
            "value": value,
            "unit": unit,
            "target": None if target is None else f"{comparison} {target:g}",
            "ok": _ok(value, target, comparison),
            **({"note": note} if note else {}),
        }
    return out


def _ok(value: float | None, target: float | None, comparison: str) -> bool | None:
    if value is None or target is None:
        return None
    return value <= target if comparison == "<=" else value >= target


def one(path: Path) -> dict[str, float]:
    """Every measure of one clip."""
    import torch

    from ggtalker_core.head import load_head
    from ggtalker_core.head.measure import lid_gap_m, lip_gap_m
    from ggtalker_core.head.pose import transform
    from ggtalker_core.tracking import TrackConfig, face_finder, track_clip
    from ggtalker_core.tracking.fit import Landmarks, fit_landmarks
    from ggtalker_core.tracking.topology import LID_PAIRS_LEFT, LID_PAIRS_RIGHT, LIPS
    from ggtalker_core.video import open_clip

    clip = open_clip(path)
    wall, cpu = time.perf_counter(), time.process_time()
    config = TrackConfig()
    found = face_finder(config).detect_landmarks(clip.frames())
    track = track_clip(clip, config, landmarks=found)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    head, valid = load_head(), track.valid
    seen = track.landmarks_px
    joined = _joined(track.count, track.cuts)
    landmarks = Landmarks(seen, valid, joined, track.size_px, mesh_rotation=found.mesh_rotation)
    iod = landmarks.iod_px()
    left_out = fit_landmarks(head, landmarks, config, used=torch.arange(0, 468, 2))
    held = left_out.error_px[valid][:, 1::2] / iod * 100
    vertices = head.vertices(track.shape, track.expression, track.jaw_rad, track.neck_rad, track.eyes_rad)
    posed = transform(head.landmarks.points(vertices), track.rotation_rad, track.translation_m)
    flat = posed @ track.intrinsics_px.T
    flat = flat[..., :2] / flat[..., 2:]
    mm = track.translation_m[:, 2] / track.intrinsics_px[0, 0] * 1e3  # of one pixel at the face
    gap, seen_gap = ((p[:, 13] - p[:, 14]).norm(dim=-1)[valid] for p in (flat, seen))
    closed = seen_gap < CLOSED * iod
    lips = lip_gap_m(vertices, head)[valid] * 1e3
    lids = torch.tensor(LID_PAIRS_LEFT + LID_PAIRS_RIGHT)
    seen_lids = (seen[:, lids[:, 0]] - seen[:, lids[:, 1]]).norm(dim=-1).mean(1)[valid]
    bridge = [168, 6, 197, 195]
    jitter, jitter_seen = (_bend(p[:, bridge].mean(1)) / iod * 100 for p in (flat, seen))
    lip_error = (flat - seen)[valid][:, list(LIPS)].norm(dim=-1).mean() / iod * 100
    return {
        "held_out_error": float(held.median()),
        "held_out_error_mean": float(held.mean()),
        "lip_error": float(lip_error),
        "lip_gap_correlation": _correlation(gap, seen_gap),
        "lip_gap_error": float(((gap - seen_gap).abs() * mm[valid]).mean()),
        **({"closed_lips_gap": float(lips[closed].median())} if int(closed.sum()) > 4 else {}),
        "lid_gap_correlation": _correlation(lid_gap_m(vertices, head).mean(1)[valid], seen_lids),
        "jitter": jitter,
        "jitter_of_landmarks": jitter_seen,
        "focal_over_side": float(track.intrinsics_px[0, 0]) / max(track.size_px),
        "frames_with_face": float(valid.float().mean()),
        "cpu_per_frame": cpu / track.count,
        "wall": wall,
        "frames_per_second": track.count / wall,
        "peak_memory": peak,
    }


def _bend(points: Any) -> float:
    """Median second difference in time of points [T, 2]."""
    return float((points[2:] - 2 * points[1:-1] + points[:-2]).norm(dim=-1).median())


def _joined(count: int, cuts: tuple[int, ...]) -> Any:
    """Which neighbours belong together."""
    import torch

    joined = torch.ones(count - 1, dtype=torch.bool)
    joined[[cut - 1 for cut in cuts]] = False
    return joined


def _correlation(a: Any, b: Any) -> float:
    import torch

    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if len(sys.argv) >= 3 and sys.argv[1] == "only":
        put(rows(tuple(sys.argv[2:])))
    elif len(sys.argv) == 3 and sys.argv[1] == "long":
        print(json.dumps(long_clip(int(sys.argv[2]))))
    elif len(sys.argv) == 3 and sys.argv[1] == "one":
        print(json.dumps(one(Path(sys.argv[2]))))
    else:
        raise SystemExit(__doc__)
