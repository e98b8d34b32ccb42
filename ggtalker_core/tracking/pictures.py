"""Small pictures of the face, cut out of the frames in scale with it, and what they show at given points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

SIDE = 144  # pixels
_MARGIN = 1.25  # times the extent of the face


@dataclass(frozen=True)
class Pictures:
    """T face pictures with their gradients."""

    stack: Tensor  # [T, 9, S, S]: colour in [0, 1], its derivative by x, by y (per pixel of the picture)
    origin_px: Tensor  # [T, 2] upper left corner, from the principal point
    scale: Tensor  # [T] pixels of the picture per pixel of the frame

    def look(self, flat_px: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Colour [T, N, 3], its derivative [T, N, 3, 2] per pixel of the frame, inside or not [T, N].

        flat_px: [T, N, 2] from the principal point.
        """
        import torch

        side = self.stack.shape[-1]
        place = (flat_px - self.origin_px[:, None]) * self.scale[:, None, None]
        grid = place / side * 2 - 1
        found = torch.nn.functional.grid_sample(
            self.stack, grid[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
        )[..., 0]  # [T, 9, N]
        inside = ((place > 1) & (place < side - 1)).all(-1)
        slope = found[:, 3:].unflatten(1, (2, 3)) * self.scale[:, None, None, None]  # [T, 2, 3, N]
        return found[:, :3].mT, slope.permute(0, 3, 2, 1), inside

    def part(self, start: int, stop: int) -> Pictures:
        """The frames start..stop."""
        return Pictures(self.stack[start:stop], self.origin_px[start:stop], self.scale[start:stop])


def box_of(flat_px: Tensor) -> Tensor:
    """Upper left corner and side [3] of the square round landmarks [N, 2]."""
    import torch

    low, high = flat_px.amin(0), flat_px.amax(0)
    side = (high - low).max() * _MARGIN
    corner = (low + high) / 2 - side / 2
    return torch.cat([corner, side[None]])


def cut_picture(frame: NDArray[np.uint8], box: Tensor, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """The square `box` [3] (from the principal point) of a frame [H, W, 3] as [SIDE, SIDE, 3], slightly blurred."""
    import cv2
    import numpy as np

    x, y, side = (float(v) for v in box)
    x, y = x + size_px[0] / 2, y + size_px[1] / 2
    factor = SIDE / side
    if factor < 0.75:  # shrink by area first, so that fine detail does not alias
        x0, y0 = max(0, int(x) - 2), max(0, int(y) - 2)
        x1, y1 = min(frame.shape[1], int(x + side) + 3), min(frame.shape[0], int(y + side) + 3)
        if x1 > x0 and y1 > y0:
            new = (max(1, round((x1 - x0) * factor)), max(1, round((y1 - y0) * factor)))
            across, down = new[0] / (x1 - x0), new[1] / (y1 - y0)
            frame = np.asarray(cv2.resize(frame[y0:y1, x0:x1], new, interpolation=cv2.INTER_AREA), np.uint8)
            matrix = np.array([[factor / across, 0, (x0 - x) * factor], [0, factor / down, (y0 - y) * factor]])
        else:
            matrix = np.array([[factor, 0, -x * factor], [0, factor, -y * factor]])
    else:
        matrix = np.array([[factor, 0, -x * factor], [0, factor, -y * factor]])
    # From pixel centres at +0.5 to OpenCV's at 0 and back.
    matrix[:, 2] += 0.5 * (matrix[:, 0] + matrix[:, 1]) - 0.5
    out = cv2.warpAffine(frame, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.GaussianBlur(out, (0, 0), 0.8), dtype=np.uint8)


def pictures(cuts: list[NDArray[np.uint8]], boxes: Tensor, device: str = "cpu") -> Pictures:
    """Stack cut pictures [T][S, S, 3] with their gradients; boxes [T, 3]."""
    import numpy as np
    import torch

    color = torch.from_numpy(np.stack(cuts)).to(device).permute(0, 3, 1, 2).float() / 255
    padded = torch.nn.functional.pad(color, (1, 1, 1, 1), mode="replicate")
    by_x = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    by_y = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    boxes = boxes.to(color)
    return Pictures(torch.cat([color, by_x, by_y], 1), boxes[:, :2], color.shape[-1] / boxes[:, 2])
