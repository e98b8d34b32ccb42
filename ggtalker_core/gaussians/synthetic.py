"""A person who never was: the default head with painted colours, for tests, benchmarks and first looks.

Everything is made from the head's regions and a seed, so a clip of this person has a known track and a known map:
what an adaptation finds can be compared with what was put in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..types import (
    Avatar,
    AvatarInfo,
    BodyLoop,
    ClipReport,
    ConsentRecord,
    ReferenceClip,
    SpeakingStyle,
    Track,
)
from .avatar_renderer import AvatarRenderer
from .texels import Texels, initial_texels, write_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel, UVLayout

_PAINT = {
    "face": (0.80, 0.62, 0.54), "lips": (0.70, 0.35, 0.36), "lids": (0.72, 0.54, 0.47), "brows": (0.30, 0.20, 0.15),
    "nose": (0.82, 0.63, 0.55), "ears": (0.76, 0.56, 0.49), "scalp": (0.22, 0.15, 0.11), "neck": (0.74, 0.57, 0.50),
    "cavity": (0.25, 0.08, 0.08), "socket": (0.40, 0.25, 0.22), "eyes": (0.90, 0.90, 0.88),
    "teeth_upper": (0.88, 0.86, 0.80), "teeth_lower": (0.84, 0.82, 0.76), "tongue": (0.62, 0.32, 0.31),
}  # fmt: skip
_DISTANCE_M = 0.75
CONSENT = ConsentRecord("synthetic_person", "This person was drawn by a program.", "2026-01-01")


def painted_texels(layout: UVLayout, head: HeadModel, seed: int = 0, mottle: float = 0.03) -> Texels:
    """Opaque texels in the colours of their regions, with smooth blotches that make every place recognisable."""
    rng = torch.Generator().manual_seed(seed)
    color = torch.tensor([_PAINT[name] for name in head.regions.names])[layout.region]
    points = layout.points(head.template_m[None], head.faces)[0]
    waves = torch.randn(3, 12, generator=rng) * 60.0  # per metre
    phase = torch.rand(12, generator=rng) * 2 * math.pi
    blotch = torch.sin(points @ waves + phase) @ (torch.randn(12, 3, generator=rng) * mottle / 2)
    iris = _iris(points, head)
    color = torch.where(iris[:, None], torch.tensor([0.18, 0.22, 0.30]), color)
    texels = initial_texels(layout, (color + blotch).clamp(0.02, 0.98))
    return replace(texels, opacity_logit=torch.full_like(texels.opacity_logit, 3.0))


def synthetic_track(frames: int, size_px: tuple[int, int], fps: Fraction = Fraction(25), sway: float = 1.0) -> Track:
    """A head that sways, talks and blinks a little, seen from three quarters of a metre."""
    from ..head import load_head

    head = load_head()
    t = torch.arange(frames, dtype=torch.float32) / float(fps)
    expression, jaw = torch.zeros(frames, 50), torch.zeros(frames, 3)
    if head.arkit is not None:
        weights = torch.zeros(frames, 52)
        weights[:, head.arkit.index("jawOpen")] = 0.5 * torch.sin(2 * math.pi * 2.0 * t).clamp_min(0)
        weights[:, head.arkit.index("mouthPucker")] = 0.4 * torch.sin(2 * math.pi * 0.9 * t).clamp_min(0)
        for side in ("Left", "Right"):
            weights[:, head.arkit.index("eyeBlink" + side)] = (torch.sin(2 * math.pi * 0.4 * t) - 0.9).clamp_min(0) * 9
        expression, jaw = head.arkit.from_weights(weights)
    rotation = torch.zeros(frames, 3)
    rotation[:, 0] = math.pi
    # Near pi about x, a turn by `a` about the head's own y adds -a / 2 * pi about z (first order).
    rotation[:, 2] = -sway * 0.25 * torch.sin(2 * math.pi * 0.3 * t)
    translation = torch.zeros(frames, 3)
    translation[:, 0] = 0.01 * sway * torch.sin(2 * math.pi * 0.25 * t)
    translation[:, 1], translation[:, 2] = 0.03, _DISTANCE_M
    width, height = size_px
    focal = 2.2 * max(size_px)
    intrinsics = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    track = Track(
        head_model="default", shape=torch.zeros(10), expression=expression, jaw_rad=jaw,
        neck_rad=torch.zeros(frames, 3), eyes_rad=torch.zeros(frames, 6), rotation_rad=rotation,
        translation_m=translation, intrinsics_px=intrinsics, size_px=size_px, fps=fps,
        valid=torch.ones(frames, dtype=torch.bool), error_px=torch.full((frames,), 0.5),
        landmarks_px=torch.zeros(frames, 478, 2), clip_sha256="", report="made up",
    )  # fmt: skip
    return replace(track, landmarks_px=_landmarks(head, track))


def synthetic_avatar(
    uv_size: int = 32, frames: int = 6, size_px: tuple[int, int] = (64, 64), seed: int = 0, texels: Texels | None = None
) -> Avatar:
    """An avatar of the painted head with a body loop of `frames` frames."""
    from ..head import load_head, uv_layout

    head, layout = load_head(), uv_layout(uv_size)
    track = synthetic_track(frames, size_px)
    gaussian_map = write_map(texels or painted_texels(layout, head, seed), layout)
    blank = _encoded(np.zeros((size_px[1], size_px[0], 3), np.uint8), ".jpg")
    hidden = _encoded(np.zeros((size_px[1], size_px[0]), np.uint8), ".png")
    avatar = Avatar(
        head_model="default", shape=track.shape, offset_m=torch.zeros(head.n_vertices, 3), gaussian_map=gaussian_map,
        color_mlp=None, style=SpeakingStyle(torch.zeros(50), torch.zeros(3)),
        body=BodyLoop((blank,) * frames, (hidden,) * frames, None, track, track.fps),
        intrinsics_px=track.intrinsics_px, size_px=size_px, thumbnail=np.zeros((16, 16, 3), np.uint8),
        info=AvatarInfo(
            name="synthetic", created="2026-01-01T00:00:00+00:00", pack_version="0", clip_sha256="0" * 64,
            preset="tiny", stages_done=("painted",), watermark_id="0123456789abcdef", consent=CONSENT,
        ),
    )  # fmt: skip
    pictures = list(picture_frames(avatar, track))
    body = BodyLoop(
        tuple(_encoded(image, ".jpg") for image, _ in pictures),
        tuple(_encoded(matte, ".png") for _, matte in pictures), _encoded(backdrop(size_px), ".jpg"), track, track.fps,
    )  # fmt: skip
    return replace(avatar, body=body, thumbnail=pictures[0][0].copy())


def synthetic_clip(avatar: Avatar, track: Track | None = None) -> tuple[ReferenceClip, list[NDArray[np.uint8]]]:
    """A clip of the avatar in front of a backdrop, and its true mattes."""
    motion = track or avatar.body.track
    pictures = list(picture_frames(avatar, motion))
    clip = ReferenceClip(
        path=None, name="synthetic", source=_Pictures([image for image, _ in pictures]), fps=motion.fps, start_s=0.0,
        duration_s=Fraction(motion.count) / motion.fps, audio=None, report=ClipReport("good", ()), sha256="",
        consent=CONSENT,
    )  # fmt: skip
    return clip, [matte for _, matte in pictures]


def picture_frames(avatar: Avatar, track: Track) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Frame and matte of the avatar in the poses of `track`, over the backdrop."""
    behind = backdrop(avatar.size_px).astype(np.float32)
    for frame in AvatarRenderer(avatar).frames(track.to_motion()):
        if frame.alpha is None:
            continue
        cover = frame.alpha.astype(np.float32)[..., None] / 255
        yield (frame.rgb + (1 - cover) * behind).round().clip(0, 255).astype(np.uint8), frame.alpha


def backdrop(size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """A plain wall, lighter at the top, [H, W, 3]."""
    width, height = size_px
    shade = np.linspace(190, 120, height, dtype=np.float32)[:, None, None]
    wall = np.broadcast_to(shade * np.array([0.85, 0.95, 1.0], np.float32), (height, width, 3))
    return wall.round().astype(np.uint8)


@dataclass(frozen=True)
class _Pictures:
    """Frames held in memory (tests are short)."""

    pictures: list[NDArray[np.uint8]]

    @property
    def count(self) -> int:
        return len(self.pictures)

    @property
    def size_px(self) -> tuple[int, int]:
        height, width = self.pictures[0].shape[:2]
        return width, height

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        yield from self.pictures[start:stop]


def _iris(points: Tensor, head: HeadModel) -> Tensor:
    """Texels within 6 mm of an iris landmark, [N] bool."""
    centres = head.landmarks.points(head.template_m[None])[0, [468, 473]]
    return torch.cdist(points, centres).amin(1) < 0.006


def _landmarks(head: HeadModel, track: Track) -> Tensor:
    """The true landmarks in the picture, [T, 478, 2]."""
    from ..head.pose import transform

    local = head.vertices(track.shape, track.expression, track.jaw_rad, track.neck_rad, track.eyes_rad)
    points = transform(head.landmarks.points(local), track.rotation_rad, track.translation_m) @ track.intrinsics_px.T
    return points[..., :2] / points[..., 2:]


def _encoded(image: NDArray[np.uint8], kind: str) -> bytes:
    import cv2

    picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if kind == ".jpg" else []
    return cv2.imencode(kind, picture, options)[1].tobytes()
