"""A track made to agree with a finished avatar: every frame's pose and expression by the picture, the map held still.

This is the photometric half of tracking with the best template there is, the person's own avatar. It serves
re-enactment (a track of another clip of the same person) and measurement; it looks at the frames it is given.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..body.parts import chin_height_m
from ..gaussians.avatar_renderer import AvatarRenderer
from ..gaussians.color_mlp import color_residual, condition_of
from ..gaussians.drive import HeadPose, posed_vertices, same_branch
from ..gaussians.rigging import bind_texels
from ..progress import Progress, silent
from ..types import Camera, Rendered
from .body_loop import decode_jpeg
from .config import RefineConfig
from .frame_parameters import FrameParameters
from .frames import FrameCollector, FrameStore
from .geometry import CropPlan, NeckLine, fresh, plan_crops
from .losses import picture_loss
from .matte import MatteOf

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import Avatar, ReferenceClip, Track


def refine_track(
    avatar: Avatar,
    clip: ReferenceClip,
    track: Track,
    config: RefineConfig | None = None,
    *,
    matte_of: MatteOf,
    backend: str = "auto",
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> Track:
    """Refine pose, jaw, gaze and expression of every valid frame against the rendered avatar.

    Args:
        avatar: of the person in the clip.
        clip: the frames that `track` was made of.
        track: tracked with the avatar's head model, shape and camera.
        config: steps and rates.
        matte_of: the person's matte (image, landmarks [478, 2]) -> [H, W] uint8.
        backend: of the renderer.
        device: of the work.
        progress: called per frame; may raise to cancel.

    Returns the track with changed motion; frames without a face are left as they are.
    """
    with torch.inference_mode(False), torch.enable_grad():
        refiner = _Refiner(avatar, track, config or RefineConfig(), backend, device)
        for i, image in enumerate(clip.frames(0, track.count)):
            progress(i, track.count, f"refining frame {i + 1} of {track.count}")
            if bool(track.valid[i]):
                refiner.frame(i, image, matte_of(image, refiner.track.landmarks_px[i].numpy()))
            else:
                refiner.forget()
    return dataclasses.replace(refiner.track, **refiner.parameters.values)


class _Refiner:
    """The corrections found so far, and the way to the next."""

    def __init__(
        self, avatar: Avatar, track: Track, config: RefineConfig, backend: str, device: torch.device | str
    ):  # fmt: skip
        from ..head import load_head

        own = fresh(track)
        self.track: Track = dataclasses.replace(own, rotation_rad=same_branch(own.rotation_rad))
        self.config = config
        head: HeadModel = fresh(load_head(avatar.head_model))
        self.renderer = AvatarRenderer(_own(avatar), head, backend=backend, device=device)
        chin_m = chin_height_m(head, self.track.shape)
        self.neck = NeckLine.under(chin_m)
        self.plan: CropPlan = plan_crops(head, self.track, config.max_box_px, chin_m)
        self.parameters = FrameParameters(self.track, tuple(range(self.track.count)), config.rates)
        plate = avatar.body.plate_jpeg
        self._plate = None if plate is None or avatar.size_px != self.track.size_px else decode_jpeg(plate)
        self._last: dict[str, Tensor] | None = None
        self._random = np.random.default_rng(0)

    def forget(self) -> None:
        """The next frame does not follow the last one."""
        self._last = None

    def frame(self, i: int, image: NDArray[np.uint8], matte: NDArray[np.uint8]) -> None:
        """Refine frame i [H, W, 3] with its matte [H, W]."""
        config, parameters = self.config, self.parameters
        steps = config.first_steps if self._last is None else config.steps
        for name, change in (self._last or {}).items():
            parameters.values[name][i] += config.carry * change
        store = self._store(i, image, matte)
        for step in range(steps):
            self._step(i, store, config.decay ** (step / max(steps - 1, 1)))
        self._last = {name: value[i] - parameters.tracked[name][i] for name, value in parameters.values.items()}

    def _store(self, i: int, image: NDArray[np.uint8], matte: NDArray[np.uint8]) -> FrameStore:
        collector = FrameCollector([i], self.plan, self.track.intrinsics_px)
        collector.add(i, image, matte, self.track.landmarks_px[i].numpy(), self.neck.pixels(self.track, i))
        return collector.store().refined(self._plate, max(self.track.size_px))

    def _step(self, i: int, store: FrameStore, rate: float) -> None:
        device, weights = self.renderer.device, self.config.weights
        target = store.target(0, 1, weights)
        image, matte, weight, emphasis = (
            value.to(device) for value in (target.image, target.matte, target.weight, target.emphasis)
        )
        background = torch.from_numpy(self._random.random(3, dtype=np.float32)).to(device)
        leaves = self.parameters.leaves(i)
        shown = self._render(self.parameters.pose(i, leaves), store, background)
        loss = picture_loss(
            shown.rgb[0], shown.alpha[0, ..., 0], image, matte, weight, emphasis, background, weights
        ).total
        loss = loss + weights.expression * leaves["expression"].square().sum().to(loss.device)
        loss.backward()
        self.parameters.step(i, leaves, rate)

    def _render(self, pose: HeadPose, store: FrameStore, background: Tensor) -> Rendered:
        """The avatar in `pose`, with gradients towards it."""
        from ..render import render

        on, config = self.renderer, self.renderer.config
        moved = pose.to(on.device)
        gaussians = bind_texels(on.texels, on.rig, posed_vertices(on.head, on.shape, on.offset_m, moved, on.sway))
        if on.mlp is not None:
            condition = condition_of(moved.expression, moved.jaw_rad, moved.rotation_rad).detach()
            gaussians = dataclasses.replace(gaussians, colors=gaussians.colors + color_residual(on.mlp, condition))
        intrinsics, width, height = store.camera(0)
        camera = Camera(torch.eye(4)[None], intrinsics[None], width, height)
        return render(
            gaussians, camera, background, backend=on.backend, eps2d=config.eps2d, antialiased=config.antialiased
        )


def _own(avatar: Avatar) -> Avatar:
    """The avatar with copies of what is drawn: the host may have made its tensors in inference mode."""
    mlp = None if avatar.color_mlp is None else {name: value.clone() for name, value in avatar.color_mlp.items()}
    return dataclasses.replace(
        avatar, shape=avatar.shape.clone(), offset_m=avatar.offset_m.clone(), color_mlp=mlp,
        gaussian_map=avatar.gaussian_map.clone(),
        hair_sway=None if avatar.hair_sway is None else fresh(avatar.hair_sway),
    )  # fmt: skip
