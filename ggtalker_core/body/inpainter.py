"""The Body Inpainter: a small U-Net that repairs what a pasted head leaves wrong (paper, section 3.4: I_vid =
I(I_res, (1 - Dilate(Mask)) x I_ori), four levels down and four up).

It sees the plain composite and the picture around the head with a hole in it, and adds a correction inside the hole.
The last layer starts at zero: untrained, it changes nothing. It works on one person and is trained with the avatar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import IncompatibleFileError

LEVELS = 4
_MULTIPLE = 2**LEVELS
_REACH_PX = 48  # context around the hole, at 512 px


@dataclass(frozen=True)
class InpainterConfig:
    """Size of the network."""

    widths: tuple[int, int, int, int, int] = (16, 32, 48, 64, 64)


class BodyInpainter(nn.Module):
    """[B, 6, H, W] (composite, holed original; both 0..1) -> correction [B, 3, H, W]."""

    def __init__(self, config: InpainterConfig | None = None):
        """Random weights, except for the last layer, which is zero."""
        super().__init__()
        widths = (config or InpainterConfig()).widths
        self.enter = _block(6, widths[0])
        self.down = nn.ModuleList(_block(a, b, stride=2) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(_block(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1]))
        self.leave = nn.Conv2d(widths[0], 3, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, pictures: Tensor) -> Tensor:
        """The correction; any height and width."""
        height, width = pictures.shape[-2:]
        pad = (0, -width % _MULTIPLE, 0, -height % _MULTIPLE)
        x = self.enter(nn.functional.pad(pictures - 0.5, pad, mode="replicate"))
        skips: list[Tensor] = []
        for step in self.down:
            skips.append(x)
            x = step(x)
        for step, skip in zip(self.up, reversed(skips)):
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = step(torch.cat([x, skip], dim=1))
        return self.leave(x)[..., :height, :width]


def _block(rows: int, cols: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(rows, cols, 3, stride=stride, padding=1), nn.LeakyReLU(0.1),
        nn.Conv2d(cols, cols, 3, padding=1), nn.LeakyReLU(0.1),
    )  # fmt: skip


def stacked(coarse: Tensor, original: Tensor, hole: Tensor) -> Tensor:
    """The network's input [B, 6, H, W] from composite, original [B, 3, H, W] and hole [B, 1, H, W] (1 inside)."""
    return torch.cat([coarse, original * (1 - hole)], dim=1)


def load_inpainter(weights: Mapping[str, Tensor]) -> BodyInpainter:
    """A network with the weights of an avatar file, ready to run.

    Raises IncompatibleFileError for weights of another network.
    """
    try:
        widths = [int(weights["enter.0.weight"].shape[0])]
        widths += [int(weights[f"down.{k}.0.weight"].shape[0]) for k in range(LEVELS)]
        network = BodyInpainter(InpainterConfig((widths[0], widths[1], widths[2], widths[3], widths[4])))
        # Copies: the host may have made the avatar's tensors in inference mode.
        network.load_state_dict({name: value.clone() for name, value in weights.items()})
    except (KeyError, RuntimeError) as error:
        raise IncompatibleFileError(
            "The avatar's Body Inpainter does not fit this version of the pack. Adapt the avatar again."
        ) from error
    return network.eval().requires_grad_(False)


@torch.no_grad()
def repair(
    network: BodyInpainter,
    coarse: NDArray[np.uint8],  # [H, W, 3] the plain composite
    original: NDArray[np.uint8],  # [H, W, 3] what is seen around the hole: the clip's frame, or the composite itself
    hole: NDArray[np.float32],  # [H, W] 1 where the original must not be seen
    weight: NDArray[np.float32],  # [H, W] how much of the correction is taken
) -> NDArray[np.uint8]:
    """The composite with the network's correction; untouched where the weight is 0."""
    rows, cols = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if len(rows) == 0:
        return coarse
    reach = round(_REACH_PX * max(hole.shape) / 512)
    box = tuple(
        slice(max(int(side[0]) - reach, 0), min(int(side[-1]) + 1 + reach, size))
        for side, size in zip((rows, cols), hole.shape)
    )
    device = network.leave.weight.device
    made, seen = (_planes(image[box], device) for image in (coarse, original))
    inside = torch.from_numpy((hole[box] > 0).astype(np.float32))[None, None].to(device)
    added = network(stacked(made, seen, inside))[0].permute(1, 2, 0).cpu().numpy()
    out = coarse.copy()
    changed = coarse[box].astype(np.float32) + 255 * added * weight[box][..., None]
    out[box] = np.clip(changed, 0, 255).round().astype(np.uint8)
    return out


def _planes(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """[H, W, 3] bytes to [1, 3, H, W] in [0, 1]."""
    value = torch.from_numpy(np.ascontiguousarray(image)).to(device).float() / 255
    return value.permute(2, 0, 1)[None]
