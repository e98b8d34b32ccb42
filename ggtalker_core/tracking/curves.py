"""A track as curves over time: landmark error, jaw, blink, yaw. As numbers, and as a picture to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..head.pose import axis_angle_to_matrix
from ..types import Track
from .topology import OUTER_EYE_LEFT, OUTER_EYE_RIGHT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..head import HeadModel

_PAPER, _GRID, _INK, _LOST = (24, 24, 28), (52, 52, 60), (150, 150, 160), (70, 34, 34)
_COLORS = ((255, 110, 110), (240, 170, 70), (90, 190, 255), (130, 220, 130))
_CHUNK = 256  # frames whose lids are posed at once


@dataclass(frozen=True)
class TrackCurves:
    """One value per frame each."""

    error: Tensor  # [T] mean landmark error, percent of the inter-ocular distance; NaN without a face
    jaw: Tensor  # [T] degrees the jaw is open
    blink: Tensor  # [T] 0 open .. 1 closed, mean of both eyes
    yaw: Tensor  # [T] degrees, positive towards the person's left
    valid: Tensor  # [T] bool
    fps: float

    def rows(self) -> tuple[tuple[str, str, Tensor], ...]:
        """(name, unit, values) in the order in which they are drawn."""
        return (
            ("landmark error", "%", self.error), ("jaw", "deg", self.jaw), ("blink", "", self.blink),
            ("yaw", "deg", self.yaw),
        )  # fmt: skip


def curves_of(track: Track, head: HeadModel | None = None) -> TrackCurves:
    """The curves of a track; `head` defaults to the one it was made with."""
    import torch

    from ..head import load_head

    head = head or load_head(track.head_model)
    eyes = (track.landmarks_px[:, OUTER_EYE_LEFT] - track.landmarks_px[:, OUTER_EYE_RIGHT]).norm(dim=-1)
    iod = eyes[track.valid].median() if bool(track.valid.any()) else eyes.new_tensor(1.0)
    turn = axis_angle_to_matrix(track.rotation_rad)
    gap = torch.cat([_lid_gap(track.slice(i, i + _CHUNK), head) for i in range(0, track.count, _CHUNK)])
    usual = gap.quantile(0.8).clamp(min=1e-4)
    return TrackCurves(
        error=torch.where(track.valid, track.error_px / iod * 100, torch.nan),
        jaw=track.jaw_rad[:, 0].rad2deg(),
        blink=(1 - gap / usual).clamp(0, 1),
        yaw=torch.atan2(turn[:, 0, 2], turn[:, 0, 0]).rad2deg(),
        valid=track.valid,
        fps=float(track.fps),
    )


def _lid_gap(part: Track, head: HeadModel) -> Tensor:
    """Mean height [T] of the upper over the lower lids above the pupils, metres."""
    import torch

    pairs = head.lid_pairs[:, 2:4].reshape(-1, 2)  # over the pupils
    ids, place = pairs.unique(return_inverse=True)
    few = head.subset(ids)
    still = torch.zeros_like(part.neck_rad)
    posed = few.vertices(part.shape, part.expression, part.jaw_rad, still, part.eyes_rad)
    height = posed[..., 1]
    return (height[:, place[:, 0]] - height[:, place[:, 1]]).mean(1).clamp(min=0)


def curves_picture(curves: TrackCurves, size_px: tuple[int, int] = (960, 420)) -> NDArray[np.uint8]:
    """The curves under each other, [height, width, 3]; frames without a face are marked dark red."""
    import cv2
    import numpy as np

    width, height = size_px
    page = np.full((height, width, 3), _PAPER, np.uint8)
    rows = curves.rows()
    count, each = len(curves.valid), (height - 18) // len(rows)
    across = np.arange(count) / max(count - 1, 1) * (width - 1)
    for i in np.flatnonzero(~curves.valid.numpy()):
        half = (width - 1) / max(count - 1, 1) / 2
        cv2.rectangle(page, (int(across[i] - half), 0), (int(across[i] + half), height - 18), _LOST, -1)
    seconds = count / curves.fps
    for second in range(0, int(seconds) + 1, max(1, int(seconds / 12))):
        x = int(second / max(seconds, 1e-6) * (width - 1))
        cv2.line(page, (x, 0), (x, height - 18), _GRID, 1)
        cv2.putText(page, f"{second} s", (x + 3, height - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.36, _INK, 1, cv2.LINE_AA)
    for k, ((name, unit, values), color) in enumerate(zip(rows, _COLORS)):
        bottom = (k + 1) * each - 6
        _draw(page, values.double().numpy(), across, (bottom - each + 24, bottom), f"{name} {unit}".strip(), color)
    return page


def _draw(
    page: NDArray[np.uint8], values: NDArray[np.float64], across: NDArray[np.float64], span: tuple[int, int], name: str,
    color: tuple[int, int, int],
) -> None:  # fmt: skip
    """One curve between the rows `span`, with its name, least and greatest value."""
    import cv2
    import numpy as np

    top, bottom = span
    known = np.isfinite(values)
    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 1.0)
    up = bottom - (values - low) / max(high - low, 1e-6) * (bottom - top)
    runs = np.split(np.arange(len(values)), np.flatnonzero(np.diff(known.astype(int))) + 1)
    for run in runs:
        if len(run) and known[run[0]]:
            points = np.stack([across[run], up[run]], 1).round().astype(np.int32)
            cv2.polylines(page, [points[:, None]], False, color, 1, cv2.LINE_AA)
    text = f"{name}   {low:.1f} .. {high:.1f}"
    cv2.putText(page, text, (8, top - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, 1, cv2.LINE_AA)
    cv2.line(page, (0, bottom + 5), (page.shape[1], bottom + 5), _GRID, 1)
