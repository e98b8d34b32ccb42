"""One face seen several times by the mesh, each time cut out a little differently, and the mean of what it says.

Much of the mesh's trembling comes from where the pixels of its crop happen to fall: the mean over other scales, rolls
and the mirror image loses that part, and what differs between the two sides of a face by the network's habit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from .crops import Square, cut_out, to_frame
from .topology import MESH_PX

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class View:
    """How one crop differs from the usual one."""

    scale: float = 1.0
    roll_rad: float = 0.0
    mirrored: bool = False

    def square(self, usual: Square) -> Square:
        """The square to cut out."""
        return Square(usual.x_px, usual.y_px, usual.side_px * self.scale, usual.roll_rad + self.roll_rad)

    def cut(self, frame: NDArray[np.uint8], usual: Square) -> NDArray[np.uint8]:
        """The crop [MESH_PX, MESH_PX, 3]."""
        import numpy as np

        crop = cut_out(frame, self.square(usual), MESH_PX)
        return np.ascontiguousarray(crop[:, ::-1]) if self.mirrored else crop

    def placed(self, points: NDArray[np.floating], usual: Square) -> NDArray[np.float64]:
        """The mesh's points [478, 2 or 3] of this crop back in the frame [478, 2], in the usual order."""
        import numpy as np

        if self.mirrored:
            points = points[mirror_order()][:, :2] * np.array([-1.0, 1.0]) + np.array([MESH_PX, 0.0])
        return to_frame(points, self.square(usual), MESH_PX)

    def depth(self, points: NDArray[np.floating], usual: Square) -> NDArray[np.float64]:
        """How deep the mesh's points [478, 3] of this crop lie, [478] in pixels of the frame, in the usual order."""
        import numpy as np

        depth = points[mirror_order(), 2] if self.mirrored else points[:, 2]
        return np.asarray(depth, np.float64) * (self.square(usual).side_px / MESH_PX)


USUAL = (View(),)
VIEWS: dict[int, tuple[View, ...]] = {
    1: USUAL,
    2: (View(1.1), View(0.92, mirrored=True)),
    4: (View(0.85), View(1.1, mirrored=True), View(1.0, -0.1), View(1.0, 0.1, mirrored=True)),
}


@lru_cache(maxsize=1)
def mirror_order() -> NDArray[np.int64]:
    """For each of the 478 landmarks the one on the other side of the face (itself on the mid-line)."""
    import numpy as np

    from ..head import load_head

    head = load_head("default")  # its landmarks lie symmetrically
    points = head.landmarks.points(head.template_m[None])[0].double().numpy()
    other = points * np.array([-1.0, 1.0, 1.0])
    return np.linalg.norm(other[:, None] - points[None], axis=-1).argmin(1)
