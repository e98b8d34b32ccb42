"""The outcome of an evaluation: numbers under the agreed names, a text, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .scores import Scores
from .sheet import Curve, Row, chart, close_ups, contact_sheet
from .steadiness import View

_SHOWN = (
    ("full_psnr_db", "full frame PSNR", "dB"),
    ("head_psnr_db", "head PSNR", "dB"),
    ("mouth_psnr_db", "mouth PSNR", "dB"),
    ("edge_psnr_db", "edge PSNR", "dB"),
    ("head_ssim", "head SSIM", ""),
    ("mouth_lmd_px", "mouth landmark distance", "px"),
    ("lip_gap_correlation", "lip gap correlation", ""),
    ("seam_error_ratio", "seam error / head error", ""),
    ("flicker_ratio", "flicker / original's", ""),
)
_PROTOCOL = (
    "first int(n*10/11) frames fit, the rest test; test frames tracked from landmarks only; head pasted through the "
    "original frame's head mask, for all; ours_refined: the test frames' motion also fitted to their pictures, the map "
    "held still"
)


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and where."""

    clip: str
    preset: str
    device: str
    frames_fit: int
    frames_test: int
    frames_scored: int
    size_px: tuple[int, int]
    seconds: dict[str, float]
    cpu_seconds: dict[str, float]
    peak_memory_mb: float | None
    peak_gpu_memory_mb: float | None
    ours: Scores
    refined: Scores | None  # ours, with the motion of the test frames refined against their pictures
    nearest: Scores
    rows: tuple[Row, ...]
    frames: tuple[int, ...]  # of the whole clip, that were scored
    clip_sha256: str
    views: tuple[View, ...] = ()

    def report(self) -> dict[str, Any]:
        """Ready for JSON. Distances in pixels of a picture of 512 px; means over the scored frames."""
        return {
            "clip": self.clip, "preset": self.preset, "device": self.device, "frames_fit": self.frames_fit,
            "frames_test": self.frames_test, "frames_scored": self.frames_scored, "size_px": list(self.size_px),
            "seconds": _rounded(self.seconds), "cpu_seconds": _rounded(self.cpu_seconds),
            "peak_memory_mb": self.peak_memory_mb, "peak_gpu_memory_mb": self.peak_gpu_memory_mb,
            "ours": self.ours.summary(), "ours_refined": self.refined.summary() if self.refined else None,
            "nearest_frame": self.nearest.summary(), "clip_sha256": self.clip_sha256, "protocol": _PROTOCOL,
            "open_share": {f"{view.yaw_deg:+.0f} deg": round(view.open_share, 5) for view in self.views},
            "color_grain_ratio": {f"{v.yaw_deg:+.0f} deg": round(v.color_grain_ratio, 4) for v in self.views},
        }  # fmt: skip

    def text(self) -> str:
        """A table for a person."""
        columns = [("ours", self.ours), ("nearest frame", self.nearest)]
        if self.refined is not None:
            columns.insert(1, ("refined", self.refined))
        values = [scores.summary() for _, scores in columns]
        lines = [
            f"{self.clip}, {self.preset}, {self.device}: {self.frames_fit} frames fitted, {self.frames_scored} of "
            f"{self.frames_test} held-out frames scored",
            f"{'':28s}" + "".join(f"{name:>16s}" for name, _ in columns),
        ]
        for key, name, unit in _SHOWN:
            label = f"{name} [{unit}]" if unit else name
            lines.append(f"{label:28s}" + "".join(f"{_number(value[key]):>16s}" for value in values))
        times = ", ".join(f"{name} {value:.0f} s" for name, value in self.seconds.items())
        memory = "not measured" if self.peak_memory_mb is None else f"{self.peak_memory_mb:.0f} MB"
        lines.append(f"{times}; peak memory {memory}")
        return "\n".join(lines)

    def save_pictures(self, folder: Path, stem: str) -> list[Path]:
        """Write contact sheet, close-ups, plots and views from the side as PNG; returns their paths."""
        import numpy as np
        from PIL import Image

        title = f"{self.clip} - {self.preset} - held-out frames"
        plots = [
            chart("head PSNR", "dB", self._curves("head_psnr_db")),
            chart("mouth PSNR", "dB", self._curves("mouth_psnr_db")),
            chart("mouth landmark distance", "px at 512", self._curves("mouth_lmd_px")),
            chart("lip gap", "px at 512", self._gap_curves()),
        ]
        pictures = {
            f"{stem}.sheet.png": contact_sheet(self.rows, title),
            f"{stem}.closeups.png": close_ups(self.rows, title),
            f"{stem}.plots.png": np.concatenate(plots, axis=0),
        }
        if self.views:
            ground = np.array([0.3, 0.55, 0.4], np.float32)
            shown = [view.rgb + (1 - view.alpha[..., None]) * ground for view in self.views]
            pictures[f"{stem}.views.png"] = (np.concatenate(shown, axis=1).clip(0, 1) * 255).astype(np.uint8)
        for name, image in pictures.items():
            Image.fromarray(image).save(folder / name)
        return [folder / name for name in pictures]

    def _curves(self, key: str) -> list[Curve]:
        return [Curve("ours", getattr(self.ours, key)), Curve("nearest frame", getattr(self.nearest, key))]

    def _gap_curves(self) -> list[Curve]:
        return [
            Curve("ours", [made for _, made in self.ours.gaps]),
            Curve("nearest frame", [made for _, made in self.nearest.gaps]),
            Curve("original", [true for true, _ in self.ours.gaps]),
        ]


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
