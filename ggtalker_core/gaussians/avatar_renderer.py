"""Avatar and motion become frames: skinning, binding, rasterising inside the head's box, in small chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..types import AudioTrack, Avatar, Camera, Gaussians, MotionTrack, Rendered, RgbaFrame, TalkingVideo
from .color_mlp import check_color_mlp, color_residual, condition_of, fold
from .config import RenderConfig
from .drive import HeadPose, posed_vertices, resolve_pose
from .rigging import bind_texels, make_rig
from .texels import read_map

if TYPE_CHECKING:
    from ..head import HeadModel


_LEAST_OPACITY = 1.0 / 255.0  # below it the rasteriser draws nothing
_EXTENT = 3.33  # standard deviations that the rasteriser draws at most


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: x0 <= x < x1, y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def size(self) -> tuple[int, int]:
        """Width, height."""
        return self.x1 - self.x0, self.y1 - self.y0


class AvatarRenderer:
    """Draws one avatar. Holds the posed-independent parts; a frame costs skinning, binding and rasterising."""

    def __init__(
        self,
        avatar: Avatar,
        head: HeadModel | None = None,
        *,
        backend: str = "auto",
        device: torch.device | str = "cpu",
        config: RenderConfig | None = None,
    ):
        """Prepare `avatar` for `backend` on `device`; `head` is loaded by the avatar's name when not given.

        Raises IncompatibleFileError or InvalidInputError when the avatar was made for another head.
        """
        from ..head import load_head
        from ..head.uv import uv_layout

        self.avatar = avatar
        self.config = config or RenderConfig()
        self.backend = backend
        self.device = torch.device(device)
        self.head = (head or load_head(avatar.head_model)).to(self.device)
        if int(self.head.template_m.shape[0]) != int(avatar.offset_m.shape[0]):
            raise InvalidInputError(
                f"The avatar was made for a head of {int(avatar.offset_m.shape[0])} vertices; the head "
                f"'{self.head.name}' has {int(self.head.template_m.shape[0])}."
            )
        layout = uv_layout(avatar.uv_size, None if avatar.head_model == "default" else self.head)
        # Tensors may have been made under the host's inference mode; only copies may meet autograd elsewhere.
        self.texels = read_map(avatar.gaussian_map.to(self.device), layout)
        self.shape, self.offset_m = avatar.shape.to(self.device), avatar.offset_m.to(self.device)
        self.sway = None if avatar.hair_sway is None else avatar.hair_sway.to(self.device)
        self.mlp = None if avatar.color_mlp is None else {k: v.to(self.device) for k, v in avatar.color_mlp.items()}
        if self.mlp is not None:
            check_color_mlp(self.mlp, int(self.texels.offset_m.shape[0]))
            with torch.no_grad():
                self.folded = fold(self.mlp)
        rest = rest_vertices(self.head, self.shape, self.offset_m)
        self.rig = make_rig(layout, self.head.faces.cpu(), rest.cpu()).to(self.device)

    def pose(self, motion: MotionTrack, start: int, stop: int) -> HeadPose:
        """The head's pose in the frames start..stop of `motion`."""
        return resolve_pose(self.avatar, motion, start, stop, self.head.arkit)

    @torch.no_grad()
    def vertices(self, pose: HeadPose) -> Tensor:
        """The head's vertices in camera space [B, V, 3]."""
        return posed_vertices(self.head, self.shape, self.offset_m, pose.to(self.device), self.sway)

    @torch.no_grad()
    def gaussians(self, pose: HeadPose, vertices: Tensor | None = None) -> Gaussians:
        """The posed Gaussians of B frames, in the avatar's camera space."""
        bound = bind_texels(self.texels, self.rig, self.vertices(pose) if vertices is None else vertices)
        colors = bound.colors
        if self.mlp is not None:
            condition = condition_of(pose.expression, pose.jaw_rad, pose.rotation_rad).to(self.device)
            colors = colors + color_residual(self.mlp, condition, self.folded)
        return dataclasses.replace(bound, colors=colors.clamp(0, 1))

    def camera(self, size_px: tuple[int, int] | None = None) -> Camera:
        """The avatar's own camera, scaled to `size_px`."""
        return scaled_camera(self.avatar.intrinsics_px, self.avatar.size_px, size_px or self.avatar.size_px)

    @torch.no_grad()
    def render_pose(
        self, pose: HeadPose, camera: Camera | None = None, background: Tensor | None = None
    ) -> tuple[Rendered, Box]:
        """Render B frames inside the box that holds the head in all of them; also returns that box.

        `camera` has one row or B rows, its world is the avatar's camera space.
        """
        from ..render import render

        view = camera or self.camera()
        gaussians = self.gaussians(pose)
        shown = gaussians.opacities[0] > _LEAST_OPACITY
        reach = _EXTENT * gaussians.scales[:, shown].amax(dim=-1)
        box = head_box(gaussians.means[:, shown], view, self.config.box_margin_px, reach)
        rendered = render(
            gaussians, cropped(view, box), background,
            backend=self.backend, eps2d=self.config.eps2d, antialiased=self.config.antialiased,
        )  # fmt: skip
        return rendered, box

    def frames(
        self, motion: MotionTrack, start: int = 0, stop: int | None = None, camera: Camera | None = None
    ) -> Iterator[RgbaFrame]:
        """The frames start..stop, full size, premultiplied over black, made in chunks as they are pulled."""
        view = camera or self.camera()
        end = motion.count if stop is None else min(stop, motion.count)
        for a in range(start, end, self.config.chunk):
            b = min(a + self.config.chunk, end)
            part = view if view.viewmat.shape[0] == 1 else _camera_rows(view, a, b)
            rendered, box = self.render_pose(self.pose(motion, a, b), part)
            rgba = torch.cat([rendered.rgb, rendered.alpha], dim=-1)
            data = (rgba.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
            for image in data:
                yield _placed(image, box, view.width, view.height)

    def render(
        self, motion: MotionTrack, start: int, stop: int, camera: Camera | None = None
    ) -> list[RgbaFrame]:  # fmt: skip
        """The frames start..stop as a list (for previews; pull `frames` for anything long)."""
        return list(self.frames(motion, start, stop, camera))

    def video(
        self, motion: MotionTrack, *, camera: Camera | None = None, audio: AudioTrack | None = None
    ) -> TalkingVideo:
        """A lazy video of the head alone; `camera` with one row, or one row per frame."""
        view = camera or self.camera()
        rows = int(view.viewmat.shape[0])
        if rows not in (1, motion.count):
            raise InvalidInputError(f"The camera path has {rows} frames, the motion {motion.count}.")
        return TalkingVideo(
            source=_Source(self, motion, view), count=motion.count, size_px=(view.width, view.height), fps=motion.fps,
            audio=audio or motion.audio, avatar=self.avatar, motion=motion,
        )  # fmt: skip


@dataclass(frozen=True)
class _Source:
    """Frames that are rendered when somebody asks."""

    renderer: AvatarRenderer
    motion: MotionTrack
    camera: Camera

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        return self.renderer.frames(self.motion, start, stop, self.camera)


def rest_vertices(head: HeadModel, shape: Tensor, offset_m: Tensor | None) -> Tensor:
    """The person's neutral head in head axes, [V, 3]."""
    zero = torch.zeros(1, 3, device=shape.device)
    expression, eyes = torch.zeros(1, 50, device=shape.device), torch.zeros(1, 6, device=shape.device)
    return head.vertices(shape, expression, zero, zero, eyes, offset_m=offset_m)[0]


def scaled_camera(intrinsics_px: Tensor, from_px: tuple[int, int], to_px: tuple[int, int]) -> Camera:
    """A camera [1] at the origin whose picture of `from_px` is stretched to `to_px`."""
    scale = torch.tensor([to_px[0] / from_px[0], to_px[1] / from_px[1], 1.0])
    return Camera(torch.eye(4)[None], (intrinsics_px.cpu() * scale[:, None])[None], to_px[0], to_px[1])


def cropped(camera: Camera, box: Box) -> Camera:
    """The camera whose picture is the part `box` of this one's."""
    intrinsics = camera.intrinsics_px.clone()
    intrinsics[:, 0, 2] -= box.x0
    intrinsics[:, 1, 2] -= box.y0
    return dataclasses.replace(camera, intrinsics_px=intrinsics, width=box.size[0], height=box.size[1])


def head_box(points: Tensor, camera: Camera, margin_px: int, reach_m: Tensor | None = None) -> Box:
    """The pixels that the points [B, P, 3] can touch in any frame, inside the picture.

    `reach_m` [B, P] is how far each point is seen around its centre; the margin comes on top.
    """
    view, intrinsics = camera.viewmat.to(points), camera.intrinsics_px.to(points)
    seen = points @ view[:, :3, :3].transpose(1, 2) + view[:, None, :3, 3]
    pixels = seen @ intrinsics.transpose(1, 2)
    depth = pixels[..., 2:].clamp_min(camera.near_m)
    focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=-1)[:, None]  # [B, 1, 2]
    room = 0.0 if reach_m is None else reach_m[..., None] * focal / depth
    low = (pixels[..., :2] / depth - room).flatten(0, 1)
    high = (pixels[..., :2] / depth + room).flatten(0, 1)
    if len(low) == 0:
        return Box(0, 0, 1, 1)
    x0, y0 = (int(v) for v in (low.amin(0) - margin_px).clamp(-1e6, 1e6).floor())
    x1, y1 = (int(v) for v in (high.amax(0) + margin_px).clamp(-1e6, 1e6).ceil())
    x0, y0 = min(max(x0, 0), camera.width - 1), min(max(y0, 0), camera.height - 1)
    return Box(x0, y0, max(min(x1, camera.width), x0 + 1), max(min(y1, camera.height), y0 + 1))


def _camera_rows(camera: Camera, a: int, b: int) -> Camera:
    rows = camera.intrinsics_px
    intrinsics = rows if rows.shape[0] == 1 else rows[a:b]
    return dataclasses.replace(camera, viewmat=camera.viewmat[a:b], intrinsics_px=intrinsics)


def _placed(image: object, box: Box, width: int, height: int) -> RgbaFrame:
    import numpy as np

    full = np.zeros((height, width, 4), dtype=np.uint8)
    full[box.y0 : box.y1, box.x0 : box.x1] = image  # type: ignore[call-overload]
    return RgbaFrame(rgb=np.ascontiguousarray(full[..., :3]), alpha=np.ascontiguousarray(full[..., 3]))
