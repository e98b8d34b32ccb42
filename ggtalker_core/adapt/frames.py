"""The frames that are kept for the fit: only the head's box, as bytes, within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..body.shoulders import without_shoulders
from .config import Weights
from .geometry import CropPlan, above_neck
from .matte import head_matte
from .matting import Fringe, refined_matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTES_PER_PIXEL = 5  # image 3, matte 1, weight 1
# Points of the 478-landmark mesh.
LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375,
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324,
)  # fmt: skip
LIDS = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382),
)
INNER_LIPS = (13, 14)
_MESH = 468  # the rest is iris


@dataclass(frozen=True)
class Target:
    """What one step compares with."""

    image: Tensor  # [H, W, 3] in [0, 1]
    matte: Tensor  # [H, W]
    weight: Tensor  # [H, W]
    emphasis: Tensor  # [H, W]


@dataclass(frozen=True)
class FrameStore:
    """K frames of the clip, cut to the head's box."""

    indices: tuple[int, ...]  # the frames' places in the clip, ascending
    images: NDArray[np.uint8]  # [K, h, w, 3]
    mattes: NDArray[np.uint8]  # [K, h, w] without shoulders
    weights: NDArray[np.uint8]  # [K, h, w] above the neck line
    landmarks: NDArray[np.float32]  # [K, 478, 2] in pixels of the crop
    plan: CropPlan
    intrinsics_px: Tensor  # [3, 3] of the clip
    fringes: tuple[Fringe, ...] = ()  # K, the person's own colours along the outline; or none

    @property
    def count(self) -> int:
        """Number of frames kept."""
        return len(self.indices)

    def camera(self, k: int, divisor: int = 1) -> tuple[Tensor, int, int]:
        """Intrinsics [3, 3], width and height of the k-th crop shrunk by `divisor`."""
        width, height = self.plan.out_width // divisor, self.plan.out_height // divisor
        return self.plan.intrinsics(self.intrinsics_px, self.indices[k], divisor), width, height

    def unmixed(self, k: int) -> NDArray[np.uint8]:
        """The k-th frame [h, w, 3] with the person's own colours along the outline."""
        if not self.fringes:
            return self.images[k]
        image = self.images[k].copy()
        image.reshape(-1, 3)[self.fringes[k].place] = self.fringes[k].color
        return image

    def background(self, k: int, plate: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What `plate`, a picture as large as the clip's, shows in the k-th box, [h, w, 3]."""
        import cv2

        plan = self.plan
        x, y = (int(v) for v in plan.origin_px[self.indices[k]])
        part = plate[y : y + plan.height_px, x : x + plan.width_px]
        return np.asarray(cv2.resize(part, (plan.out_width, plan.out_height)), dtype=np.uint8)

    def refined(
        self, plate: NDArray[np.uint8] | None, clip_side_px: int, each: Callable[[int, int], None] | None = None
    ) -> FrameStore:
        """The same frames with mattes whose edges the colours tell; `each` (done, total) may raise to stop."""
        scale = self.plan.out_width / self.plan.width_px * clip_side_px / 512
        fringes: list[Fringe] = []
        for k in range(self.count):
            if each is not None:
                each(k, self.count)
            behind = None if plate is None else self.background(k, plate)
            matte, fringe = refined_matte(self.images[k], self.mattes[k], behind, scale)
            # Where a shoulder was cut off, the colours say that the person goes on.
            self.mattes[k] = without_shoulders(matte, self.landmarks[k])
            fringes.append(fringe)
        return replace(self, fringes=tuple(fringes))

    def target(self, k: int, divisor: int, weights: Weights) -> Target:
        """The k-th frame at 1/`divisor` of its size."""
        import cv2

        height, width = self.plan.out_height // divisor, self.plan.out_width // divisor

        def shrunk(value: NDArray[np.uint8]) -> Tensor:
            if divisor > 1:
                value = np.asarray(cv2.resize(value, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
            return torch.from_numpy(value.astype(np.float32) / 255)

        emphasis = emphasis_map(self.landmarks[k] / divisor, height, width, weights)
        return Target(
            shrunk(self.unmixed(k)), shrunk(self.mattes[k]), shrunk(self.weights[k]), torch.from_numpy(emphasis)
        )


def emphasis_map(points: NDArray[np.float32], height: int, width: int, weights: Weights) -> NDArray[np.float32]:
    """1, more at mouth and lids, with soft borders; points [478, 2] in pixels. [H, W]."""
    import cv2

    out = np.ones((height, width), np.float32)
    for group in LIDS:
        _raise_box(out, points[list(group)], 0.25, weights.lids)
    _raise_box(out, points[list(LIPS)], 0.2, weights.mouth)
    sigma = max(1.0, 0.03 * float(np.ptp(points[:_MESH, 0])))
    return np.asarray(cv2.GaussianBlur(out, (0, 0), sigma), dtype=np.float32)


def _raise_box(out: NDArray[np.float32], points: NDArray[np.float32], margin: float, value: float) -> None:
    low, high = points.min(0), points.max(0)
    room = float((high - low).max()) * margin
    (x0, y0), (x1, y1) = np.maximum(low - room, 0).astype(int), np.maximum(high + room + 1, 0).astype(int)
    out[y0:y1, x0:x1] = value


class FrameCollector:
    """Takes full frames one by one and keeps what the fit needs of those that were chosen."""

    def __init__(self, chosen: Sequence[int], plan: CropPlan, intrinsics_px: Tensor, device: str = "cpu"):
        """Make room for the frames `chosen` (ascending places in the clip)."""
        shape = (len(chosen), plan.out_height, plan.out_width)
        self._place = {frame: k for k, frame in enumerate(chosen)}
        self._plan, self._intrinsics = plan, intrinsics_px
        self._images = np.zeros((*shape, 3), np.uint8)
        self._mattes = np.zeros(shape, np.uint8)
        self._weights = np.zeros(shape, np.uint8)
        self._landmarks = np.zeros((len(chosen), 478, 2), np.float32)

    def __contains__(self, frame: int) -> bool:
        """Whether this frame was chosen."""
        return frame in self._place

    def add(
        self,
        frame: int,
        image: NDArray[np.uint8],  # [H, W, 3]
        matte: NDArray[np.uint8],  # [H, W]
        landmarks_px: NDArray[np.float32],  # [478, 2]
        neck_px: NDArray[np.float32],  # [2, 2, 2] bars of the neck line
    ) -> None:
        """Keep the head's box of one frame."""
        import cv2

        k, plan = self._place[frame], self._plan
        x0, y0 = (int(v) for v in plan.origin_px[frame])
        rows, cols = slice(y0, y0 + plan.height_px), slice(x0, x0 + plan.width_px)
        part, cover = np.ascontiguousarray(image[rows, cols]), np.ascontiguousarray(matte[rows, cols])
        origin = np.array([x0, y0], np.float32)
        points = landmarks_px - origin
        cover = head_matte(cover, points)
        above = head_weight(points, neck_px - origin, plan.height_px, plan.width_px)
        size = (plan.out_width, plan.out_height)
        for store, value in ((self._images, part), (self._mattes, cover), (self._weights, above)):
            shrink = size != (plan.width_px, plan.height_px)
            store[k] = cv2.resize(value, size, interpolation=cv2.INTER_AREA) if shrink else value
        scale = np.array([plan.out_width / plan.width_px, plan.out_height / plan.height_px], np.float32)
        self._landmarks[k] = points * scale

    def store(self) -> FrameStore:
        """What was kept."""
        return FrameStore(
            tuple(sorted(self._place)), self._images, self._mattes, self._weights, self._landmarks, self._plan,
            self._intrinsics,
        )  # fmt: skip


def head_weight(
    points: NDArray[np.float32], neck_px: NDArray[np.float32], height: int, width: int
) -> NDArray[np.uint8]:
    """255 above the neck line or inside the oval of the face (an open jaw may reach below the line), [H, W]."""
    import cv2

    above = above_neck(neck_px, height, width)
    oval = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(oval, cv2.convexHull(points[:_MESH].astype(np.int32)), 255)
    grown = max(3, round(0.02 * float(np.ptp(points[:_MESH, 0]))))
    oval = cv2.dilate(oval, np.ones((2 * grown + 1, 2 * grown + 1), np.uint8))
    soft = cv2.GaussianBlur(oval, (0, 0), max(1.0, grown / 2)).astype(np.float32)
    return np.maximum(soft, above * 255).round().astype(np.uint8)


def choose_frames(
    usable: Sequence[int], loop: range, opening: NDArray[np.float32], budget: int
) -> list[int]:  # fmt: skip
    """Which usable frames to keep: those of the body loop, the widest and the most closed mouths, the rest evenly.

    `opening` [T] orders the mouths; `budget` is how many frames fit into the memory.
    """
    if len(usable) <= budget:
        return list(usable)
    own = [i for i in usable if i in loop]
    if len(own) >= budget:
        own = own[:: -(-len(own) // max(budget * 3 // 4, 1))]
    chosen = set(own)
    ranked = sorted(usable, key=lambda i: float(opening[i]))
    few = max(1, budget // 20)
    chosen.update(i for i in (*ranked[:few], *ranked[-few:]) if len(chosen) < budget)
    rest = [i for i in usable if i not in chosen]
    room = budget - len(chosen)
    if room > 0 and rest:
        chosen.update(rest[k] for k in np.linspace(0, len(rest) - 1, min(room, len(rest))).round().astype(int))
    return sorted(chosen)
