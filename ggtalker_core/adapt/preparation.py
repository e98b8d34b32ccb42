"""One pass over the clip: kept frames, body loop, background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..body.parts import chin_height_m
from ..body.plate import median_plate
from ..progress import SubProgress, patiently
from ..types import BodyLoop
from .body_loop import encode_jpeg, find_loop
from .config import AdaptConfig
from .exposure import evened, exposure_of
from .frames import BYTES_PER_PIXEL, FrameCollector, FrameStore, choose_frames
from .geometry import NeckLine, above_neck, frame_vertices, plan_crops, project
from .hair import LONGEST_M
from .heldout import KeptOut
from .loop_store import LoopStore
from .matte import MatteOf, head_matte
from .style import mouth_opening

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ..head import HeadModel
    from ..progress import Progress
    from ..types import ReferenceClip, Track

_LOOKS, _ROOM_M = 6, 0.012
_STREAMED = 0.6  # share of the progress
_PLATE_FRAMES = 24
_PLATE_STILL = 0.35  # share of the picture that must be seen standing still for the plate to be worth keeping


@dataclass(frozen=True)
class Prepared:
    """What the fit and the avatar need of the clip."""

    store: FrameStore
    loop: range
    frames_jpeg: tuple[bytes, ...]
    mattes_png: tuple[bytes, ...]
    plate_jpeg: bytes | None
    chin_m: float
    held_out: FrameStore | None = None  # frames that the fit does not see
    log_gain: Tensor | None = None  # [T, 3] exposure of every frame of the clip; None where it stood still

    def body(self, track: Track) -> BodyLoop:
        """The body loop with the head motion of `track` (all frames of the clip)."""
        part = track.slice(self.loop.start, self.loop.stop)
        log_gain = None if self.log_gain is None else self.log_gain[self.loop.start : self.loop.stop].clone()
        return BodyLoop(self.frames_jpeg, self.mattes_png, self.plate_jpeg, part, track.fps, log_gain)


def hair_room_m(
    clip: ReferenceClip, track: Track, loop: range, head: HeadModel, neck: NeckLine, matte_of: MatteOf
) -> tuple[float, float]:
    """How far the hair stands out beside and above the skull, by a look at a few frames, in metres."""
    across = above = 0.0
    for i in np.unique(np.linspace(loop.start, loop.stop - 1, _LOOKS).round().astype(int)).tolist():
        image = next(iter(clip.frames(i, i + 1)))
        points = track.landmarks_px[i].numpy()
        matte = head_matte(matte_of(image, points), points)
        shown = (matte > 127) & (above_neck(neck.pixels(track, i), *matte.shape) > 0.5)
        if not shown.any():
            continue
        vertices = frame_vertices(head, track, [i])
        pixels = project(vertices, track.intrinsics_px)[0].numpy()
        metre_px = float(track.intrinsics_px[0, 0] / vertices[..., 2].mean())
        columns, rows = np.flatnonzero(shown.any(0)), np.flatnonzero(shown.any(1))
        beside = max(pixels[:, 0].min() - columns[0], columns[-1] - pixels[:, 0].max())
        across = max(across, float(beside) / metre_px)
        above = max(above, float(pixels[:, 1].min() - rows[0]) / metre_px)
    return min(max(across + _ROOM_M, 0.02), LONGEST_M + _ROOM_M), min(max(above + _ROOM_M, 0.02), LONGEST_M + _ROOM_M)


def prepare(
    clip: ReferenceClip, track: Track, usable: list[bool], head: HeadModel, config: AdaptConfig, matte_of: MatteOf,
    progress: Progress,
) -> Prepared:  # fmt: skip
    """Stream the clip once and keep what is needed, within the memory budget."""
    chin_m = chin_height_m(head, track.shape)
    neck = NeckLine.under(chin_m)
    landmarks = track.landmarks_px.numpy()
    loop = find_loop(clip, track, usable, max(1, round(config.loop_s * float(track.fps))))
    room_m = patiently(lambda: hair_room_m(clip, track, loop, head, neck, matte_of), progress, "looking at the hair")
    plan = plan_crops(head, track, config.max_box_px, chin_m, room_m)
    budget = max(
        config.min_frames, config.memory_mb * 1_000_000 // (plan.out_width * plan.out_height * BYTES_PER_PIXEL)
    )
    good = [i for i, ok in enumerate(usable) if ok]
    apart = KeptOut.of(good, config.held_out)
    good = [i for i in good if i not in apart.unseen]
    chosen = choose_frames(good, loop, mouth_opening(landmarks), int(budget))
    collector = FrameCollector(chosen, plan, track.intrinsics_px)
    kept_out = FrameCollector(apart.scored, plan, track.intrinsics_px)
    plate_at = set(np.linspace(loop.start, loop.stop - 1, min(_PLATE_FRAMES, len(loop))).round().astype(int).tolist())
    fps = float(track.fps)
    pictures = LoopStore(len(loop), config.jpeg_quality, config.loop_mb * 1e6, round(config.loop_least_s * fps))
    plate_frames: list[NDArray[np.uint8]] = []
    plate_mattes: list[NDArray[np.uint8]] = []
    last = max(chosen[-1], loop.stop - 1, *apart.scored)
    streaming, cutting = SubProgress(progress, 0.0, _STREAMED), SubProgress(progress, _STREAMED, 1.0)
    for i, image in enumerate(clip.frames(0, last + 1)):
        streaming(i, last + 1, f"preparing frame {i + 1}")
        into = next((part for part in (collector, kept_out) if i in part), None)
        if into is None and i not in loop:
            continue
        matte = matte_of(image, landmarks[i])
        if into is not None:
            into.add(i, image, matte, landmarks[i], neck.pixels(track, i))
        if i in loop:
            pictures.add(image, matte)
        if i in plate_at:
            plate_frames.append(image)
            plate_mattes.append(matte)
    plate, still = median_plate(plate_frames, plate_mattes)
    known = plate if still > _PLATE_STILL else None
    store, unseen = collector.store(), kept_out.store()
    if config.refine_mattes:
        store = store.refined(
            known, max(track.size_px), lambda done, total: cutting(done, total, f"the outline in frame {done + 1}")
        )
    log_gain = None
    if config.even_exposure:
        log_gain = patiently(lambda: exposure_of(head, track, store), SubProgress(progress, 1.0, 1.0), "the light")
    if log_gain is not None:
        store, unseen = evened(store, log_gain), evened(unseen, log_gain)
    return Prepared(
        store, range(loop.start, loop.start + len(pictures.jpegs)), tuple(pictures.jpegs), tuple(pictures.pngs),
        None if known is None else encode_jpeg(known, config.jpeg_quality), chin_m,
        unseen if unseen.count else None, log_gain,
    )  # fmt: skip
