"""Between the drawn texels of a fit and the whole page of an avatar."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import IncompatibleFileError
from ..gaussians.rigging import Rig, triangle_areas
from ..gaussians.texels import Texels, initial_texels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel, UVLayout
    from ..types import Avatar, Track
    from .config import AdaptConfig
    from .frames import FrameStore
    from .optimise import Fitter

_HIDDEN_LOGIT = -12.0  # of texels that are not drawn


def check_resume(resume: Avatar | None, track: Track, config: AdaptConfig) -> None:
    """Raise IncompatibleFileError unless an adaptation of `track` can go on with the avatar."""
    if resume is None:
        return
    if resume.head_model != track.head_model or resume.uv_size != config.uv_size:
        raise IncompatibleFileError(
            f"The avatar to go on with has head '{resume.head_model}' and {resume.uv_size} texels a side; this "
            f"adaptation has head '{track.head_model}' and {config.uv_size}. Choose the same preset, or start anew."
        )


def resumed_track(track: Track, avatar: Avatar) -> Track:
    """The track with what an earlier run of the same clip found for the frames of its body loop."""
    loop = avatar.body.track
    if loop.count > track.count or loop.size_px != track.size_px or loop.clip_sha256 != track.clip_sha256:
        return track
    same = torch.nonzero((track.landmarks_px == loop.landmarks_px[:1]).flatten(1).all(1)).flatten().tolist()
    for start in same:
        rows = slice(start, start + loop.count)
        if start + loop.count <= track.count and torch.equal(track.landmarks_px[rows], loop.landmarks_px):
            changes: dict[str, Tensor] = {}
            for name in ("expression", "jaw_rad", "eyes_rad", "rotation_rad", "translation_m"):
                changes[name] = getattr(track, name).clone()
                changes[name][rows] = getattr(loop, name)
            return dataclasses.replace(track, **changes)
    return track


def growth(head: HeadModel, rig: Rig, layout: UVLayout) -> Tensor:
    """How much further apart the texels lie on this person than on the template, [N]: hair stretches triangles."""
    template = triangle_areas(head.template_m, rig.used).clamp_min(1e-12)
    return (rig.rest_area_m2 / template).sqrt().clamp(0.7, 5.0)[rig.texel_triangle]


def rig_rows(rig: Rig, keep: Tensor) -> Rig:
    """The rig of some of the texels."""
    return dataclasses.replace(
        rig, corners=rig.corners[keep], barycentric=rig.barycentric[keep], texel_triangle=rig.texel_triangle[keep]
    )


def texel_rows(texels: Texels, keep: Tensor) -> Texels:
    """Some of the texels."""
    return Texels(*(getattr(texels, item.name)[keep] for item in dataclasses.fields(texels)))


def scattered(texels: Texels, drawn: Tensor, layout: UVLayout) -> Texels:
    """All texels again; those that are not drawn have the start values and no opacity."""
    out = initial_texels(layout)
    out.opacity_logit.fill_(_HIDDEN_LOGIT)
    for item in dataclasses.fields(Texels):
        getattr(out, item.name)[drawn] = getattr(texels, item.name)
    return out


def spread_features(mlp: dict[str, Tensor], drawn: Tensor) -> dict[str, Tensor]:
    """The colour network with a row of features for every texel."""
    features = torch.zeros(int(drawn.shape[0]), int(mlp["features"].shape[1]))
    features[drawn] = mlp["features"]
    return mlp | {"features": features}


def fit_psnr_db(fitter: Fitter, frames: int = 6) -> float:
    """PSNR inside the head of some of the fitted frames (not held out), in decibels."""
    errors: list[float] = []
    for k in np.unique(np.linspace(0, fitter.store.count - 1, frames).round().astype(int)):
        both = fitter.picture(int(k)).astype(np.float32) / 255
        image, shown = np.split(both, 2, axis=1)
        mask = (fitter.store.mattes[k] > 127) & (fitter.store.weights[k] > 127)
        errors.append(float(((image - shown) ** 2).mean(-1)[mask].mean()))
    return float(-10 * np.log10(max(float(np.mean(errors)), 1e-10)))


def thumbnail(store: FrameStore, side: int = 256) -> NDArray[np.uint8]:
    """A picture of the head from the middle of the kept frames, at most `side` pixels."""
    import cv2

    image = store.images[store.count // 2]
    scale = min(1.0, side / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
