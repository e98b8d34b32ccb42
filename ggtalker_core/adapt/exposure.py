"""Relative exposure of the frames: a phone that brightens and dims must not paint that into the skin.

The same places of the face are looked at in all frames: log colour(frame, place) = log skin(place) + log gain(frame),
solved by alternating medians, so that glints, teeth and hands count little. Turning the head towards a lamp changes the
light too (by 3 to 5 % in studio clips). The prior is that the exposure stood still: where the pose explains all but a
little (studio clips: .011 to .018 of log gain are left) nothing is done at all. Else the frames that are kept for the
fit are divided by their gain; the body loop keeps its own light, and its gains, by which a head that is set back into
it is multiplied. An exposure is a factor on linear light and, through the gamma curve, another one on sRGB values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..gaussians.rigging import make_rig, surface_points, triangle_frames
from .geometry import frame_vertices, project
from .matting import Fringe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import Track
    from .frames import FrameStore

_UV = 64  # places: texels of a small page
_REGIONS = ("face", "nose", "lids")
_FACING = 0.5  # cosine of the angle to the line of sight, at least
_DARK, _BRIGHT = 0.06, 0.96  # values beyond are clipped and tell of no gain
_ROUNDS = 4
_FEWEST, _FEWEST_FRAMES = 60, 12  # places that a frame must show; frames
_STILL = 0.035  # of log gain, half the way from the 5th to the 95th percentile: below it the exposure stood still
_SHADING, _RIDGE = 0.03, 0.02  # standard deviation of what the pose may explain; against chance
_TINT = 0.5  # share of a change of colour that is believed; of brightness all
_SIGMA_S = 0.06  # exposures change smoothly
_LIMIT = 0.7  # of log gain


def exposure_of(head: HeadModel, track: Track, store: FrameStore) -> Tensor | None:
    """Log gains of all frames of the clip, [T, 3], their median over the kept frames 0; None where it stood still."""
    measured = measured_gains(head, track, store)  # [K, 3]
    known = torch.isfinite(measured).all(1)
    if int(known.sum()) < _FEWEST_FRAMES:
        return None
    at = torch.tensor(store.indices)[known]
    gains = measured[known]
    level = gains.mean(1) - _shading(gains.mean(1), track, at)
    if float(level.quantile(0.95) - level.quantile(0.05)) / 2 < _STILL:
        return None
    tint = gains - gains.mean(1, keepdim=True)
    gains = (gains - (1 - _TINT) * tint).clamp(-_LIMIT, _LIMIT)
    every = np.stack([np.interp(np.arange(track.count), at.numpy(), column) for column in gains.T.numpy()], 1)
    return torch.from_numpy(_smoothed(every, _SIGMA_S * float(track.fps)).astype(np.float32))


def _shading(level: Tensor, track: Track, at: Tensor) -> Tensor:
    """What of the mean log gains [K] the head's pose explains (ridge regression), no larger than shading is."""
    from ..head.pose import axis_angle_to_matrix

    turn = axis_angle_to_matrix(track.rotation_rad[at])
    pose = torch.cat([turn[:, [0, 1, 0], [2, 2, 1]], track.translation_m[at], track.jaw_rad[at, :1]], 1).double()
    pose = pose - pose.mean(0)
    pose = pose / pose.std(0).clamp_min(1e-6)
    wanted = level.double() - level.double().mean()
    system = pose.T @ pose + _RIDGE * len(at) * torch.eye(pose.shape[1], dtype=torch.float64)
    told = pose @ torch.linalg.solve(system, pose.T @ wanted)
    return (told * (_SHADING / told.std().clamp_min(1e-9)).clamp(max=1.0)).float()


@torch.no_grad()
def measured_gains(head: HeadModel, track: Track, store: FrameStore) -> Tensor:
    """Log gains of the kept frames, [K, 3], without any prior; NaN for a frame that shows too little."""
    seen = _log_colors(head, track, store)  # [K, M, 3]
    gains = seen.new_zeros(store.count, 3)
    for _ in range(_ROUNDS):
        skin = (seen - gains[:, None]).nanmedian(dim=0).values
        gains = (seen - skin).nanmedian(dim=1).values
        gains = gains - gains.nanmedian(dim=0).values
    few = torch.isfinite(seen).all(-1).sum(1) < _FEWEST
    gains[few] = torch.nan
    return gains


def evened(store: FrameStore, log_gain: Tensor) -> FrameStore:
    """The kept frames as if all had been taken with the median exposure; `log_gain` [T, 3]. Changed in place."""
    fringes: list[Fringe] = []
    for k, i in enumerate(store.indices):
        table = _tables(-log_gain[i])
        store.images[k] = _mapped(store.images[k], table)
        if store.fringes:
            fringes.append(replace(store.fringes[k], color=_mapped(store.fringes[k].color, table)))
    return replace(store, fringes=tuple(fringes))


def _log_colors(head: HeadModel, track: Track, store: FrameStore) -> Tensor:
    """Log colours of places on the face in the kept frames, [K, M, 3]; NaN where a place is not seen well."""
    import cv2

    from ..head import uv_layout

    layout = uv_layout(_UV, None if track.head_model == "default" else head)
    names = head.regions.names
    wanted = torch.isin(layout.region, torch.tensor([names.index(n) for n in _REGIONS if n in names]))
    rest = head.rest()
    rest["shape"] = track.shape[None]
    rig = make_rig(layout, head.faces, head.vertices(**rest)[0])
    out = torch.full((store.count, int(wanted.sum()), 3), torch.nan)
    for k, i in enumerate(store.indices):
        vertices = frame_vertices(head, track, [i])
        points = surface_points(rig, vertices)[0, wanted]
        normals = triangle_frames(vertices, rig.used)[0, rig.texel_triangle[wanted]][:, :, 1]
        facing = -(normals * torch.nn.functional.normalize(points, dim=-1)).sum(-1)
        intrinsics, width, height = store.camera(k)
        grid = project(points, intrinsics) / torch.tensor([width, height]) * 2 - 1
        image = cv2.blur(store.images[k], (3, 3)).astype(np.float32)
        trust = np.minimum(store.mattes[k], store.weights[k]).astype(np.float32)[..., None]
        picture = torch.from_numpy(np.concatenate([image, trust], -1)).permute(2, 0, 1)[None] / 255
        seen = torch.nn.functional.grid_sample(picture, grid[None, None], align_corners=False)[0, :, 0].T
        color = seen[:, :3]
        good = (facing > _FACING) & (seen[:, 3] > 0.9) & (color.amin(1) > _DARK) & (color.amax(1) < _BRIGHT)
        out[k, good] = color[good].log()
    return out


def _smoothed(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """A Gaussian mean over time, [T, 3]; the ends are held."""
    reach = max(1, round(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    columns = [np.convolve(column, taps / taps.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, 1)


def _tables(log_gain: Tensor) -> NDArray[np.uint8]:
    """What becomes of each of the 256 values in each channel, [256, 3]."""
    values = np.arange(256, dtype=np.float32)[:, None] * np.exp(log_gain.numpy())[None]
    return np.clip(values.round(), 0, 255).astype(np.uint8)


def _mapped(color: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours [..., 3] through the tables [256, 3]."""
    return np.stack([table[color[..., c], c] for c in range(3)], -1)
