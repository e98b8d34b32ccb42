"""Where the head is in the frames: projection, neck line, boxes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..gaussians.drive import HeadPose, posed_vertices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import HairSway, Track

_T = TypeVar("_T")
HAIR_ROOM_M = 0.035  # hair may stand this far off the skull, unless a look at the clip says otherwise
# Below the chin, in head axes: full weight down to the first, none below the second, no Gaussians below the third.
NECK_FULL_M, NECK_NONE_M, NECK_CUT_M = 0.004, 0.022, 0.030
_NECK_HALF_WIDTH_M, _NECK_DEPTH_M = 0.08, 0.03


def fresh(value: _T) -> _T:
    """A copy of a dataclass with cloned tensors, nested ones too: the host may have made them in inference mode."""
    changes: dict[str, object] = {}
    for item in dataclasses.fields(value):  # type: ignore[arg-type]
        inner = getattr(value, item.name)
        if isinstance(inner, Tensor):
            changes[item.name] = inner.detach().clone()
        elif dataclasses.is_dataclass(inner) and not isinstance(inner, type):
            changes[item.name] = fresh(inner)
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]


def project(points: Tensor, intrinsics_px: Tensor) -> Tensor:
    """Camera space [..., 3] to pixels [..., 2]."""
    pixels = points @ intrinsics_px.T
    return pixels[..., :2] / pixels[..., 2:].clamp_min(1e-6)


def frame_vertices(
    head: HeadModel, track: Track, frames: list[int], offset_m: Tensor | None = None, sway: HairSway | None = None
) -> Tensor:  # fmt: skip
    """The tracked head in camera space for some frames, [K, V, 3]."""
    index = torch.tensor(frames, dtype=torch.long)
    pose = HeadPose(
        track.expression[index], track.jaw_rad[index], track.neck_rad[index], track.eyes_rad[index],
        track.rotation_rad[index], track.translation_m[index],
    )  # fmt: skip
    return posed_vertices(head, track.shape, offset_m, pose, sway)


@dataclass(frozen=True)
class NeckLine:
    """Two head-fixed horizontal bars under the chin; between them the head's answer for the picture fades out."""

    bars_m: Tensor  # [2, 2, 3] (full, none) x (the person's right, left), head axes

    @staticmethod
    def under(chin_m: float) -> NeckLine:
        """The bars under a chin of this height."""
        rows = [
            [[side * _NECK_HALF_WIDTH_M, chin_m - drop, _NECK_DEPTH_M] for side in (-1.0, 1.0)]
            for drop in (NECK_FULL_M, NECK_NONE_M)
        ]
        return NeckLine(torch.tensor(rows))

    def pixels(self, track: Track, frame: int) -> NDArray[np.float32]:
        """The bars in the picture of one frame, [2, 2, 2]."""
        from ..head.pose import transform

        points = transform(
            self.bars_m.reshape(1, 4, 3), track.rotation_rad[frame : frame + 1], track.translation_m[frame : frame + 1]
        )
        return project(points, track.intrinsics_px)[0].reshape(2, 2, 2).numpy()


def above_neck(bars_px: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """1 above the first bar, 0 below the second, linear between; [H, W]. Bars [2, 2, 2] in the picture's pixels.

    Beyond the ends of the first bar the border rises at 45 degrees, to the bar and to the picture's own level: beside
    a head are shoulders, which do not tilt with it.
    """
    x = np.arange(width, dtype=np.float32) + 0.5
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    lines: list[NDArray[np.float32]] = []
    for a, b in bars_px:
        run = b[0] - a[0]
        slope = (b[1] - a[1]) / run if abs(run) > 1e-3 else 0.0
        lines.append((a[1] + slope * (x - a[0])).astype(np.float32))
    full, none = lines
    fade = np.clip((none - y) / np.maximum(none - full, 1.0), 0, 1)
    ends = bars_px[0]
    run = ends[1] - ends[0]
    level = np.array([np.copysign(max(float(np.hypot(*run)), 1e-3), run[0]), 0.0])
    for along in (run, level):
        fade = np.minimum(fade, _between_shoulders(ends, along, x, y))
    return fade.astype(np.float32)


def _between_shoulders(
    ends_px: NDArray[np.float32], run: NDArray[np.floating], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """1 above the lines that leave the ends [2, 2] outwards, 45 degrees up from `run` [2]; softly 0 below; [H, W]."""
    length = max(float(np.hypot(*run)), 1e-3)
    along = run / length
    down = np.array([-along[1], along[0]])
    ramp = max(0.05 * length, 1.0)
    out: list[NDArray[np.float32]] = []
    for (px, py), side in zip(ends_px, (-1.0, 1.0)):
        outward = (x - px) * (side * along[0]) + (y - py) * (side * along[1])
        below = (x - px) * down[0] + (y - py) * down[1]
        distance = -(outward + below) / np.sqrt(2.0)  # to the line, positive on the side of the head
        out.append(np.clip(distance / ramp + 1, 0, 1).astype(np.float32))
    return np.minimum(out[0], out[1])


@dataclass(frozen=True)
class CropPlan:
    """One size for all frames, one place per frame, in pixels of the clip; and the size it is shrunk to."""

    origin_px: NDArray[np.int64]  # [T, 2] x, y
    width_px: int
    height_px: int
    out_width: int
    out_height: int

    def intrinsics(self, intrinsics_px: Tensor, frame: int, divisor: int = 1) -> Tensor:
        """The camera of the crop of one frame, shrunk by `divisor`, [3, 3]."""
        k = intrinsics_px.clone()
        k[0, 2] -= float(self.origin_px[frame, 0])
        k[1, 2] -= float(self.origin_px[frame, 1])
        k[0] *= (self.out_width // divisor) / self.width_px
        k[1] *= (self.out_height // divisor) / self.height_px
        return k


def plan_crops(
    head: HeadModel, track: Track, max_side_px: int, chin_m: float, room_m: tuple[float, float] | None = None
) -> CropPlan:
    """Boxes that hold head, hair and the upper neck in every frame; `room_m` is the hair's beside and above it."""
    across, above = room_m or (HAIR_ROOM_M, HAIR_ROOM_M)
    rest = head.rest()
    rest["shape"] = track.shape[None]
    keep = (head.vertices(**rest)[0, :, 1] > chin_m - NECK_CUT_M).nonzero().flatten()[::3]
    part = head.subset(keep)
    low, high = [], []
    for start in range(0, track.count, 64):
        frames = list(range(start, min(start + 64, track.count)))
        points = frame_vertices(part, track, frames)
        pixels = project(points, track.intrinsics_px)
        per_metre = float(track.intrinsics_px[0, 0]) / points[..., 2].mean(1, keepdim=True)
        low.append(pixels.amin(1) - per_metre * torch.tensor([across, above]))
        high.append(pixels.amax(1) + per_metre * torch.tensor([across, 0.0]))
    width, height = track.size_px
    corner, far = torch.cat(low).numpy(), torch.cat(high).numpy()
    limit = np.array([width, height])
    corner, far = np.clip(corner, 0, limit), np.clip(far, 0, limit)
    # The largest box, but one frame that was tracked wildly must not blow it up.
    size = np.percentile(far - corner, 99, axis=0)
    w, h = (int(min(-(-int(np.ceil(s)) // 8) * 8, n)) for s, n in zip(size, limit))
    origin = np.round((corner + far) / 2 - np.array([w, h]) / 2).astype(np.int64)
    origin = np.clip(origin, 0, limit - np.array([w, h]))
    scale = min(1.0, max_side_px / max(w, h))
    even = [max(8, round(side * scale / 8) * 8) if scale < 1 else side for side in (w, h)]
    return CropPlan(origin, w, h, even[0], even[1])
