"""The fit: one frame per step, the map by Adam, the visited frame's parameters by their own Adam."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..body.parts import CHIN
from ..gaussians.color_mlp import color_residual, condition_of, new_color_mlp
from ..gaussians.drive import HeadPose, posed_vertices
from ..gaussians.rigging import Rig, bind_texels, triangle_frames
from ..gaussians.texels import Texels
from ..tracking.topology import LIP_OUTER
from ..types import Camera, Rendered
from .config import AdaptConfig, Stage
from .frame_parameters import FrameParameters
from .frames import FrameStore
from .geometry import project
from .hair_shape import HairShape
from .limits import Limits
from .losses import MapPrior, picture_loss
from .memory import Frugal
from .pace import paced
from .prior_compiled import prior_loss
from .sampling import visiting_order
from .solid import fleck_loss, hole_loss, painted, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import Gaussians, HairSway

_DECAY = 0.1  # learning rate at the end of a stage, as a share of its start
_MLP = ("features", "w1", "b1", "wc", "w2", "b2", "w3", "b3")


@dataclass(frozen=True)
class StepReport:
    """One step of the fit."""

    stage: str
    step: int  # of the stage, from 1
    of: int  # steps of the stage; 0: it ends by the clock
    l1: float
    dssim: float
    work: float  # what was done since the last report, in the unit of Stage.work

    @property
    def words(self) -> str:
        """What a user sees."""
        steps = f"step {self.step} of {self.of}" if self.of else f"step {self.step}"
        return f"{self.stage}: {steps}, error {self.l1:.4f}"


class Fitter:
    """Everything that changes during an adaptation."""

    def __init__(
        self,
        head: HeadModel,
        shape: Tensor,  # [S]
        offset_m: Tensor,  # [V, 3]
        rig: Rig,  # of the drawn texels
        texels: Texels,
        prior: MapPrior,
        store: FrameStore,
        parameters: FrameParameters,
        config: AdaptConfig,
        device: torch.device,
        sway: HairSway | None = None,
    ):
        """Start a fit of `texels` to the frames of `store`."""
        self.config, self.store, self.parameters, self.device = config, store, parameters, device
        self.head, self.rig = head.to(device), rig.to(device)
        self.shape, self.offset_m = shape.to(device), offset_m.to(device)
        self.sway = None if sway is None else sway.to(device)
        self.hair = HairShape(self.head, device) if config.hair_shape else None
        self.texels = texels.to(device).parameters()
        self.prior = MapPrior(*(getattr(prior, f.name).to(device) for f in dataclasses.fields(prior)))
        self._known = prior_loss(self.prior, config.weights)
        self.mlp: dict[str, Tensor] | None = None
        self._random = np.random.default_rng(config.seed)
        self._order: list[int] = []
        self._steps = 0
        self.frugal = Frugal("the fit")
        self.visits = np.ones(store.count)  # of each frame for one of the mean frame
        self.limits = Limits(self.prior, config.gaussians.scale_most_m, config.uv_size)

    @property
    def present_offset_m(self) -> Tensor:
        """The offset of every vertex [V, 3] as it stands; differentiable where it is learned."""
        return self.offset_m if self.hair is None else self.offset_m + self.hair.offset_m()

    def run(
        self, report: Callable[[StepReport], None], after_stage: Callable[[Stage], None] = lambda stage: None
    ) -> None:  # fmt: skip
        """All stages; `report` is called after every step, and may raise to stop, `after_stage` after every stage."""
        for stage in self.config.stages:
            if stage.fit_colors and self.mlp is None:
                self._add_mlp()
            groups = self._groups(stage)
            optimizer = torch.optim.Adam(groups, eps=1e-15, fused=True)
            before = 0.0
            for step, share in paced(stage.steps, stage.minutes):
                decay = stage.rate * _DECAY**share
                for group in optimizer.param_groups:
                    group["lr"] = group["base"] * decay
                l1, dssim = self.frugal.do(functools.partial(self._step, stage, optimizer, decay))
                of, over = (0, share) if stage.minutes > 0 else (stage.steps, (step + 1) / stage.steps)
                report(StepReport(stage.name, step + 1, of, l1, dssim, (over - before) * stage.work))
                before = over
            after_stage(stage)

    @torch.no_grad()
    def picture(self, k: int, background: float = 0.5) -> NDArray[np.uint8]:
        """Kept frame k beside its present rendering, [h, 2 w, 3]."""
        rendered = self.render(self.parameters.pose(k), k, 1, torch.full((3,), background))
        right = (rendered.rgb[0].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return np.concatenate([self.store.images[k], right], axis=1)

    def render(
        self, pose: HeadPose, k: int, divisor: int, background: Tensor, store: FrameStore | None = None
    ) -> Rendered:
        """The present head in `pose`, seen by the camera of kept frame k (of `store`)."""
        moved = pose.to(self.device)
        vertices = posed_vertices(self.head, self.shape, self.present_offset_m, moved, self.sway)
        gaussians = bind_texels(self.texels, self.rig, vertices, self.config.gaussians)
        if self.mlp is not None:
            condition = condition_of(moved.expression, moved.jaw_rad, moved.rotation_rad).detach()
            gaussians = dataclasses.replace(gaussians, colors=gaussians.colors + color_residual(self.mlp, condition))
        return self._drawn(gaussians, (store or self.store).camera(k, divisor), background.to(self.device))

    def _drawn(self, gaussians: Gaussians, camera: tuple[Tensor, int, int], background: Tensor) -> Rendered:
        from ..render import render

        intrinsics, width, height = camera
        view = Camera(torch.eye(4)[None], intrinsics[None], width, height)
        return render(
            gaussians, view, background, backend=self.config.backend, antialiased=self.config.antialiased
        )  # fmt: skip

    def _holes(self, k: int, divisor: int) -> Tensor:
        """What the head lacks of cover when kept frame k is looked at from somewhere else; carries gradients."""
        weights, camera = self.config.weights, self.store.camera(k, divisor)
        with torch.no_grad():
            pose = self.parameters.pose(k).to(self.device)
            posed = posed_vertices(self.head, self.shape, self.present_offset_m, pose, self.sway)
            vertices = turned(posed, self._random)
            normals = triangle_frames(vertices, self.rig.used)[0, self.rig.texel_triangle, :, 1]
            lips = self.head.landmarks.points(vertices)[:, list(LIP_OUTER)]
        gaussians = painted(bind_texels(self.texels, self.rig, vertices, self.config.gaussians), normals, self.prior)
        seen = self._drawn(gaussians, camera, torch.zeros(3, device=self.device))
        rows = int(self.store.landmarks[k, CHIN, 1]) // divisor
        flecks = fleck_loss(seen.rgb[0], project(lips, camera[0].to(lips))[0], rows)
        return weights.solid * hole_loss(seen.alpha[0, ..., 0], rows) + weights.fleck * flecks

    def _step(self, stage: Stage, optimizer: torch.optim.Adam, decay: float, shrink: int = 1) -> tuple[float, float]:
        divisor = stage.divisor * shrink
        if not self._order:
            self._order = visiting_order(self.visits, self._random)
            if stage.fit_parameters:
                self.parameters.recentre()
        k = self._order.pop()
        target = self.store.target(k, divisor, self.config.weights)
        background = torch.from_numpy(self._random.random(3, dtype=np.float32))
        leaves = self.parameters.leaves(k) if stage.fit_parameters else None
        optimizer.zero_grad()
        rendered = self.render(self.parameters.pose(k, leaves), k, divisor, background)
        weights = self.config.weights
        image, matte, weight, emphasis = (
            value.to(self.device) for value in (target.image, target.matte, target.weight, target.emphasis)
        )
        loss = picture_loss(
            rendered.rgb[0], rendered.alpha[0, ..., 0], image, matte, weight, emphasis,
            background.to(self.device), weights,
        )  # fmt: skip
        total = loss.total + self._known(self.texels)
        if leaves is not None:
            total = total + weights.expression * leaves["expression"].square().sum()
        total.backward()
        self._steps += 1
        if weights.solid > 0 and self._steps % weights.solid_every == 0:
            self._holes(k, 2 * shrink).backward()
        optimizer.step()
        self.limits.hold(self.texels)
        if leaves is not None:
            self.parameters.step(k, leaves, decay)
        return float(loss.l1), float(loss.dssim)

    def _groups(self, stage: Stage) -> list[dict[str, object]]:
        rates, texels = self.config.rates, self.texels
        pairs: list[tuple[list[Tensor], float]] = [
            ([texels.offset_m], rates.offset), ([texels.log_scale], rates.log_scale),
            ([texels.quaternion], rates.quaternion), ([texels.opacity_logit], rates.opacity),
            ([texels.color], rates.color),
        ]  # fmt: skip
        if self.hair is not None:
            pairs.append(([self.hair.amounts_m], rates.hair))
        if stage.fit_colors and self.mlp is not None:
            pairs.append(([self.mlp["features"]], rates.mlp_features))
            pairs.append(([self.mlp[name] for name in _MLP if name != "features"], rates.mlp))
        return [{"params": params, "lr": rate, "base": rate} for params, rate in pairs]

    def go_on_with(self, mlp: dict[str, Tensor]) -> None:
        """Start from a colour network [drawn texels] that was fitted before."""
        self.mlp = {name: value.clone().to(self.device).requires_grad_(name in _MLP) for name, value in mlp.items()}

    def _add_mlp(self) -> None:
        values = self.parameters.values
        condition = condition_of(values["expression"], values["jaw_rad"], values["rotation_rad"])
        self.go_on_with(new_color_mlp(int(self.texels.offset_m.shape[0]), condition, seed=self.config.seed))
