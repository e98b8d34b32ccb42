"""Training of the Body Inpainter on the fitted frames: renderings pasted into them must become the frames again.

The renderings are moved by a few pixels and the hole is dilated at random, because at work neither the tracking nor
the new head's outline is exact; and so that the old chin, which the hole must hide, is never learned from its rim.
Holes of the matte alone cost a decibel inside the head of one clip; renderings without their rim painted a grey halo
round long hair.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..body.inpainter import BodyInpainter, load_inpainter, stacked
from ..body.masks import softened
from ..body.plate import fill, person_free
from ..gaussians.drive import HeadPose
from .config import InpainterStage
from .memory import Frugal
from .optimise import StepReport
from .pace import paced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..types import Track
    from .frames import FrameStore
    from .optimise import Fitter

_DECAY = 0.05
_ASK_AT = 0.25  # of the stage
_GRADIENT = 0.5  # weight of differences between neighbours: sharpness
_REFERENCE_PX = 512


@dataclass(frozen=True)
class _Sample:
    """One pasted frame in float [0, 1]."""

    coarse: NDArray[np.float32]  # [H, W, 3]
    original: NDArray[np.float32]  # [H, W, 3]
    soft: NDArray[np.float32]  # [H, W] how much of the head's picture is taken


class InpainterFit:
    """The network and what it learns from."""

    def __init__(
        self, fitter: Fitter, clip_side_px: int, plate: NDArray[np.uint8] | None, stage: InpainterStage,
        start: Mapping[str, Tensor] | None,
    ):  # fmt: skip
        """`plate` [H, W, 3] is the clip's still background; `start` are weights to go on with."""
        self.fitter, self.stage, self._clip_side = fitter, stage, clip_side_px
        self._plate = plate
        self._last = (torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))  # frame and mended rendering
        self.frugal = Frugal("the Body Inpainter's training")
        self._random = np.random.default_rng(fitter.config.seed + 1)
        torch.manual_seed(fitter.config.seed)
        network = BodyInpainter() if start is None else load_inpainter(start)
        network = network.to(fitter.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.train().requires_grad_(True)

    def run(self, report: Callable[[StepReport], None], worth: Callable[[], bool] = lambda: True) -> None:
        """All steps; `report` is called after each and may raise to stop.

        After a quarter of them `worth` is asked once whether to go on.
        """
        stage = self.stage
        optimizer = torch.optim.Adam(self.network.parameters(), lr=stage.rate)
        before = 0.0
        asked = False
        for step, share in paced(stage.steps, stage.minutes):
            if share >= _ASK_AT and not asked:
                asked = True
                if not worth():
                    return
            optimizer.param_groups[0]["lr"] = stage.rate * _DECAY**share
            error = self.frugal.do(functools.partial(self._step, optimizer))
            of, over = (0, share) if stage.minutes > 0 else (stage.steps, (step + 1) / stage.steps)
            report(StepReport(stage.name, step + 1, of, error, 0.0, (over - before) * stage.work))
            before = over

    def _step(self, optimizer: torch.optim.Adam, shrink: int) -> float:
        """One random square of one frame."""
        loss = self._loss(self._cut(self._sample(int(self._random.integers(self.fitter.store.count))), shrink))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def picture(self) -> NDArray[np.uint8]:
        """The last square of a frame beside its pasted rendering as the network mended it, [side, 2 side, 3]."""
        pair = torch.cat([value[0].permute(1, 2, 0).cpu() for value in self._last], dim=1)
        return (pair.clamp(0, 1) * 255).round().to(torch.uint8).numpy()

    def weights(self) -> dict[str, Tensor]:
        """What the avatar keeps."""
        return {name: value.detach().cpu().contiguous().clone() for name, value in self.network.state_dict().items()}

    @torch.no_grad()
    def gain_db(self, store: FrameStore | None, track: Track) -> float | None:
        """What the network brings on frames that were kept out of everything, in decibels inside the hole."""
        if store is None or store.count == 0:
            return None
        found = self.fitter.parameters.write_back(track, self.fitter.store.indices)
        before, after = [], []
        for k, i in enumerate(store.indices):
            radius = sum(self.stage.grow_px) / 2 * self._scale()
            sample = self._pasted(store, k, HeadPose.of_track(found, i, i + 1), (0.0, 0.0), radius, both=True)
            made, _ = self._mended(sample)
            mended = made[0].permute(1, 2, 0).cpu().numpy()
            inside = sample.soft > 0.05
            for errors, picture in ((before, sample.coarse), (after, mended)):
                errors.append(float(((picture.clip(0, 1) - sample.original) ** 2).mean(-1)[inside].mean()))
        return float(10 * np.log10(max(float(np.mean(before)), 1e-10) / max(float(np.mean(after)), 1e-10)))

    @torch.no_grad()
    def _sample(self, k: int) -> _Sample:
        """Kept frame k with its rendering pasted in, a little beside its place, through a hole of random width."""
        x, y = self._random.normal(0, self.stage.shift_px * self._scale(), 2)
        radius = float(self._random.uniform(*self.stage.grow_px)) * self._scale()
        both = bool(self._random.random() < 0.5)
        return self._pasted(self.fitter.store, k, self.fitter.parameters.pose(k), (float(x), float(y)), radius, both)

    def _pasted(
        self, store: FrameStore, k: int, pose: HeadPose, shift_px: tuple[float, float], radius_px: float, both: bool
    ) -> _Sample:
        """Frame k of `store` with the head in `pose` pasted in; `both`: the hole holds the rendering, too."""
        rendered = self.fitter.render(pose, k, 1, torch.zeros(3), store=store)
        rgba = torch.cat([rendered.rgb[0], rendered.alpha[0]], dim=-1).clamp(0, 1).cpu().numpy()
        rgba = _moved(rgba, shift_px)
        original = store.images[k].astype(np.float32) / 255
        behind = self._background(store, k).astype(np.float32) / 255
        hole = np.maximum(store.mattes[k], (rgba[..., 3] * 255).astype(np.uint8)) if both else store.mattes[k]
        soft = np.asarray(softened(hole, radius_px) * (store.weights[k].astype(np.float32) / 255), dtype=np.float32)
        head = rgba[..., :3] + (1 - rgba[..., 3:]) * behind
        return _Sample(soft[..., None] * head + (1 - soft[..., None]) * original, original, soft)

    def _scale(self) -> float:
        """Pixels of the kept frames for one pixel of a picture of 512."""
        plan = self.fitter.store.plan
        return plan.out_width / plan.width_px * self._clip_side / _REFERENCE_PX

    def _background(self, store: FrameStore, k: int) -> NDArray[np.uint8]:
        """What lies behind the head in frame k of `store`, [h, w, 3]."""
        if self._plate is None:
            return fill(store.images[k], person_free(store.mattes[k]))
        return store.background(k, self._plate)

    def _cut(self, sample: _Sample, shrink: int) -> _Sample:
        """A random square of it that holds some of the mask, 1/`shrink` as large as the stage says."""
        height, width = sample.soft.shape
        side_y, side_x = (min(self.stage.crop_px // shrink, side) for side in (height, width))
        rows, cols = np.nonzero(sample.soft > 0.05)
        if len(rows) == 0:
            rows, cols = np.array([height // 2]), np.array([width // 2])
        place = int(self._random.integers(len(rows)))
        y = int(np.clip(rows[place] - self._random.integers(side_y), 0, height - side_y))
        x = int(np.clip(cols[place] - self._random.integers(side_x), 0, width - side_x))
        box = (slice(y, y + side_y), slice(x, x + side_x))
        return _Sample(sample.coarse[box], sample.original[box], sample.soft[box])

    def _mended(self, sample: _Sample) -> tuple[Tensor, Tensor]:
        """The pasted picture as the network mends it [1, 3, H, W], and the hole [1, 1, H, W]."""
        device = self.fitter.device
        coarse, original = (
            torch.from_numpy(np.ascontiguousarray(value)).to(device).permute(2, 0, 1)[None]
            for value in (sample.coarse, sample.original)
        )
        soft = torch.from_numpy(np.ascontiguousarray(sample.soft)).to(device)[None, None]
        hole = (soft > 0).float()
        return coarse + soft * self.network(stacked(coarse, original, hole)), hole

    def _loss(self, sample: _Sample) -> Tensor:
        """Mean error inside the hole, of values and of differences between neighbours."""
        made, hole = self._mended(sample)
        original = torch.from_numpy(np.ascontiguousarray(sample.original)).to(made.device).permute(2, 0, 1)[None]
        self._last = (original, made.detach())
        error = made - original
        area = hole.mean().clamp_min(1e-3)
        across = (error[..., 1:] - error[..., :-1]).abs().mean()
        down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        return ((error.abs() * hole).mean() + _GRADIENT * (across + down)) / area


def _moved(rgba: NDArray[np.float32], shift_px: tuple[float, float]) -> NDArray[np.float32]:
    """The picture [H, W, 4] moved by (x, y), empty where nothing moves in."""
    import cv2

    matrix = np.array([[1, 0, shift_px[0]], [0, 1, shift_px[1]]], np.float32)
    return np.asarray(cv2.warpAffine(rgba, matrix, (rgba.shape[1], rgba.shape[0])), dtype=np.float32)
