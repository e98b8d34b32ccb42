"""What single frames do not show: flicker; how solid and how speckled a head is from where no frame saw it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..gaussians.avatar_renderer import AvatarRenderer
    from ..gaussians.drive import HeadPose

_STILL_SHARE = 1 / 3  # of the triples of frames: those that move least
_RIM_PX = 3.0  # of a silhouette at 512 px: its soft edge is no hole
_SOLID = 0.9
_GRAIN_PX = 3.0  # at 512 px: standard deviation of the blur that grain is told from
_RIND_PX = 12.0  # at 512 px: so far from the outline the background plays no part
_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class View:
    """The head from where no frame saw it."""

    yaw_deg: float
    open_share: float  # of the silhouette's pixels, see `open_share`
    color_grain_ratio: float  # `color_grain` over that of the frame itself
    rgb: NDArray[np.float32]  # [H, W, 3] premultiplied
    alpha: NDArray[np.float32]  # [H, W]


@dataclass
class Flicker:
    """Second differences over time inside the head, ours against the original's, where the head stands stillest."""

    triples: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])
    _last: list[tuple[int, NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]] = field(
        default_factory=list  # type: ignore[arg-type]
    )

    def add(
        self,
        index: int,
        original: NDArray[np.uint8],  # [H, W, 3]
        made: NDArray[np.uint8],  # [H, W, 3]
        head: NDArray[np.bool_],  # [H, W]
        landmarks: NDArray[np.float32],  # [478, 2]
    ) -> None:
        """The next frame; only runs of three neighbours count."""
        if self._last and self._last[-1][0] != index - 1:
            self._last.clear()
        self._last.append((index, original.astype(np.float32), made.astype(np.float32), head, landmarks))
        if len(self._last) < 3:
            return
        a, b, c = self._last
        inside = a[3] & b[3] & c[3]
        if inside.any():
            moved = float(np.abs(a[4] - 2 * b[4] + c[4]).mean())
            true, ours = (float(np.abs(a[k] - 2 * b[k] + c[k]).mean(-1)[inside].mean()) for k in (1, 2))
            self.triples.append((moved, ours, true))
        del self._last[0]

    def ratio(self) -> float | None:
        """Mean second difference of ours over that of the original in the stillest stretches; None without any."""
        if not self.triples:
            return None
        still = sorted(self.triples)[: max(1, math.ceil(len(self.triples) * _STILL_SHARE))]
        ours, true = (float(np.mean([t[k] for t in still])) for k in (1, 2))
        return ours / true if true > 1e-6 else None


def open_share(alpha: NDArray[np.float32]) -> float:
    """Share of a silhouette's pixels, its rim left out, that are not solid (coverage below 0.9), in [0, 1].

    `alpha` [H, W] is the coverage; the silhouette is the largest outline of what is more than half covered, filled.
    """
    import cv2

    solid = (alpha > 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return 1.0
    filled = cv2.drawContours(np.zeros_like(solid), [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    inside = _deep(filled, _RIM_PX)
    return float((alpha[inside] < _SOLID).mean()) if inside.any() else 1.0


def color_grain(rgb: NDArray[np.floating], inside: NDArray[np.bool_]) -> float:
    """How speckled the colours are, in levels of 255: mean of what a small blur takes out of them.

    Colours without their brightness, so that hair and pores do not count; `rgb` [H, W, 3] in [0, 1], of which the
    pixels deep `inside` [H, W] count; 0 where there are none.
    """
    import cv2

    deep = _deep(inside, _RIND_PX)
    values = np.asarray(rgb, np.float32) * 255
    hue = values - (values @ np.array(_GREY, np.float32))[..., None]
    rest = hue - cv2.GaussianBlur(hue, (0, 0), _GRAIN_PX * max(inside.shape) / 512)
    return float(np.abs(rest)[deep].mean()) if deep.any() else 0.0


def _deep(inside: NDArray[Any], rim_px: float) -> NDArray[np.bool_]:
    """What lies further inside than `rim_px` (at 512 px), [H, W]; the picture's border counts as an outline."""
    import cv2

    padded = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5))[1:-1, 1:-1]
    return depth > rim_px * max(inside.shape) / 512


def seen_from(
    renderer: AvatarRenderer, pose: HeadPose, yaw_deg: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One pose from a camera that went round the head: premultiplied colour [H, W, 3] and coverage [H, W]."""
    import dataclasses

    import torch

    camera = renderer.camera()
    centre = renderer.vertices(pose)[0].mean(0).cpu()
    angle = math.radians(yaw_deg)
    turn = torch.eye(4)
    turn[0, 0], turn[0, 2], turn[2, 0], turn[2, 2] = math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    rendered, box = renderer.render_pose(pose, dataclasses.replace(camera, viewmat=turn[None]))
    rgb = np.zeros((camera.height, camera.width, 3), np.float32)
    alpha = np.zeros((camera.height, camera.width), np.float32)
    place = (slice(box.y0, box.y1), slice(box.x0, box.x1))
    rgb[place] = rendered.rgb[0].clamp(0, 1).cpu().numpy()
    alpha[place] = rendered.alpha[0, ..., 0].cpu().numpy()
    return rgb, alpha
