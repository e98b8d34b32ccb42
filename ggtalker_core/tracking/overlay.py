"""The fitted head drawn over its frame, to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from ..head.pose import transform
from ..types import Track

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..head import HeadModel

_MESH, _LOST_MESH, _SEEN, _IRIS = (90, 220, 255), (255, 120, 90), (60, 255, 60), (255, 230, 40)
_EDGE_REGIONS = ("face", "lips", "lids", "brows", "nose", "ears", "scalp")


def draw_overlay(
    track: Track, index: int, frame: NDArray[np.uint8], head: HeadModel | None = None, *, landmarks: bool = True
) -> NDArray[np.uint8]:
    """Frame `index` [H, W, 3] with the fitted mesh (red-orange where it is interpolated), landmarks and irises.

    The frame may be larger or smaller than the tracked size. Raises InvalidInputError for an index out of range.
    """
    import cv2
    import numpy as np

    from ..head import load_head

    if not 0 <= index < track.count:
        raise InvalidInputError(f"The track has frames 0 to {track.count - 1}, frame {index} was asked for.")
    head = head or load_head()
    height, width = frame.shape[:2]
    scale = np.array([width / track.size_px[0], height / track.size_px[1]])
    flat, depth = _projected(track, index, head)
    out = np.ascontiguousarray(frame).copy()
    fine = 4  # quarter pixels
    points = np.rint(flat * scale * fine).astype(int)
    colour = _MESH if bool(track.valid[index]) else _LOST_MESH
    layer = out.copy()
    front = _front_edges(head, flat, depth)
    for a, b in front.tolist():
        cv2.line(layer, points[a].tolist(), points[b].tolist(), colour, 1, cv2.LINE_AA, 2)
    out = cv2.addWeighted(layer, 0.45, out, 0.55, 0)
    if landmarks and bool(track.valid[index]):
        seen = np.rint(track.landmarks_px[index].numpy() * scale * fine).astype(int)
        radius = max(2, round(min(height, width) / 512 * 4))
        for k, point in enumerate(seen.tolist()):
            cv2.circle(out, point, radius, _IRIS if k >= 468 else _SEEN, -1, cv2.LINE_AA, 2)
    return np.asarray(out, dtype=np.uint8)


def _projected(track: Track, index: int, head: HeadModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vertices [V, 2] in pixels of the tracked size, and their depth [V]."""
    import numpy as np

    part = slice(index, index + 1)
    vertices = head.vertices(
        track.shape, track.expression[part], track.jaw_rad[part], track.neck_rad[part], track.eyes_rad[part],
        track.offset_m,
    )  # fmt: skip
    seen = transform(vertices, track.rotation_rad[part], track.translation_m[part])[0].double()
    flat = seen @ track.intrinsics_px.double().T
    return np.asarray(flat[:, :2] / flat[:, 2:]), np.asarray(seen[:, 2])


def _front_edges(head: HeadModel, flat: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.int64]:
    """Edges [E, 2] of skin and eye triangles that face the camera and lie in front of the head's middle."""
    import numpy as np

    triangles = head.faces[head.regions.faces(*_EDGE_REGIONS)].numpy()
    a, b, c = (flat[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    shown = triangles[(area < 0) & (depth[triangles].mean(1) < np.median(depth) + 0.08)]
    edges = np.sort(np.concatenate([shown[:, [0, 1]], shown[:, [1, 2]], shown[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0)
