"""Self-reenactment: fit on the first 10/11 of a clip, draw the rest from its tracked motion, compare.

The fit is handed a clip that ends before the first test frame. The test frames are read by the tracker (landmarks
only: shape, focal length and everything else that is shared come from the fit), by the mask, and by the comparison.
A second score is of the same avatar with the test frames' motion refined against their own pictures: what re-enactment
may do, but it looks at the test frames, so both stand side by side.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..adapt.geometry import NeckLine
from ..adapt.matte import keep_person
from ..adapt.refine import refine_track
from ..body.inpainter import BodyInpainter, load_inpainter, repair
from ..body.parts import chin_height_m
from ..body.plate import fill, median_plate, person_free
from ..errors import NoFaceError
from ..gaussians.avatar_renderer import AvatarRenderer
from ..gaussians.drive import HeadPose
from ..progress import Progress, SubProgress, silent
from ..types import ConsentRecord, RgbaFrame
from ..video.cache import FrameCache
from .config import EvaluateConfig
from .masks import HeadMask, head_mask, nearest_frame, paste
from .result import Evaluation
from .scores import Scores
from .sheet import Row
from .split import split
from .steadiness import View, color_grain, open_share, seen_from
from .tools import Tools, bundled_tools
from .usage import Stopwatch, peak_gpu_memory_mb, peak_memory_mb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..adapt import AdaptConfig
    from ..types import Avatar, ReferenceClip, Track

    Image = NDArray[np.uint8]  # [H, W, 3]

_TRACKED, _ADAPTED = 0.3, 0.8  # shares of the progress bar


@dataclass(frozen=True)
class Fitted:
    """What was made from the first part alone."""

    clip: ReferenceClip
    track: Track
    avatar: Avatar


def fit(
    clip: ReferenceClip,
    config: AdaptConfig,
    *,
    tools: Tools | None = None,
    device: str = "cpu",
    progress: Progress = silent,
    watch: Stopwatch | None = None,
) -> Fitted:
    """Track and adapt the fit part. `clip` must already be cut: nothing here knows of a test part."""
    from ..adapt import adapt_avatar

    watch, tools = watch or Stopwatch(), tools or bundled_tools(device)
    share = _TRACKED / _ADAPTED
    with watch.stage("track"):
        track = tools.track(clip, SubProgress(progress, 0.0, share, "Tracking: "))
    with watch.stage("adapt"):
        avatar = adapt_avatar(
            clip, track, config, consent=_consent(), progress=SubProgress(progress, share, 1.0, "Adapting: "),
            device=device, matte_of=tools.matte,
        )  # fmt: skip
    return Fitted(clip, track, avatar)


def _consent() -> ConsentRecord:
    """The avatar of an evaluation is thrown away; its record says so."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return ConsentRecord("licensed_dataset", "Measurement only: the avatar is not kept and no video is made.", today)


def self_reenactment(
    clip: ReferenceClip,
    config: AdaptConfig,
    evaluate: EvaluateConfig | None = None,
    *,
    device: str = "cpu",
    progress: Progress = silent,
    tools: Tools | None = None,
) -> Evaluation:
    """Measure an adaptation on held-out frames.

    Args:
        clip: the whole clip.
        config: the preset under test.
        evaluate: the protocol's numbers.
        device: of tracking, fit and rendering.
        progress: may raise to cancel.
        tools: replaces tracker, matte and detector (tests with known answers).

    Raises:
        NoFaceError: no face in the test part.
        GGTalkerError: of the stage that could not do its work.
    """
    evaluate, tools = evaluate or EvaluateConfig(), tools or bundled_tools(device)
    watch = Stopwatch()
    fit_clip, test_clip = split(clip, evaluate)
    part = SubProgress(progress, 0.0, _ADAPTED)
    fitted = fit(fit_clip, config, tools=tools, device=device, progress=part, watch=watch)
    with watch.stage("track"):
        part = SubProgress(progress, _ADAPTED, 0.85, "Test frames: ")
        test_track = tools.track_held_out(test_clip, fitted.track, part)
    if not bool(test_track.valid.any()):
        raise NoFaceError(f"No face was found in the last part of '{clip.name}', which is the test.")
    refined = None
    if evaluate.refine:
        with watch.stage("refine"):
            refined = refine_track(
                fitted.avatar, test_clip, test_track, evaluate.refinement, matte_of=tools.matte, backend=config.backend,
                device=device, progress=SubProgress(progress, 0.85, 0.93, "Test frames: "),
            )  # fmt: skip
    renderer = AvatarRenderer(fitted.avatar, backend=config.backend, device=device)
    weights = fitted.avatar.inpainter if evaluate.inpaint else None
    inpainter = None if weights is None else load_inpainter(weights)
    bench = _Bench(fitted, test_clip, test_track, refined, renderer, tools, evaluate, watch, inpainter)
    ours, again, nearest, rows, scored = bench.run(SubProgress(progress, 0.93, 1.0, "Comparing: "))
    return Evaluation(
        clip=clip.name, preset=config.preset, device=device, frames_fit=fit_clip.count, frames_test=test_clip.count,
        frames_scored=len(scored), size_px=clip.size_px, seconds=dict(watch.wall_s), cpu_seconds=dict(watch.cpu_s),
        peak_memory_mb=peak_memory_mb(), peak_gpu_memory_mb=peak_gpu_memory_mb(device), ours=ours,
        refined=again if refined else None, nearest=nearest, rows=tuple(rows),
        frames=tuple(fit_clip.count + i for i in scored), clip_sha256=clip.sha256, views=bench.views(scored),
    )  # fmt: skip


@dataclass(frozen=True)
class _Bench:
    """The comparison of test frames, one at a time."""

    fitted: Fitted
    clip: ReferenceClip
    track: Track
    refined: Track | None  # the same frames, also fitted to their pictures
    renderer: AvatarRenderer
    tools: Tools
    config: EvaluateConfig
    watch: Stopwatch
    inpainter: BodyInpainter | None = None

    def run(self, progress: Progress) -> tuple[Scores, Scores, Scores, list[Row], list[int]]:
        """Scores of ours, of ours refined and of the nearest frame; rows for the sheet; the frames that were scored."""
        chosen = [i for i in range(0, self.clip.count, self.config.test_step) if bool(self.track.valid[i])]
        neighbours = self._neighbours(chosen)
        pictures = FrameCache(self.fitted.clip.count, self.clip.size_px)
        for j, image in _picked(self.fitted.clip, sorted(set(neighbours.values()))):
            pictures.put(j, RgbaFrame(image))
        plate = self._plate()
        scale = self.config.reference_px / max(self.clip.size_px)
        ours, again, nearest, rows = Scores(scale), Scores(scale), Scores(scale), list[Row]()
        shown = set(np.unique(np.linspace(0, len(chosen) - 1, self.config.sheet_rows).round().astype(int)).tolist())
        for k, (i, original) in enumerate(_picked(self.clip, chosen)):
            progress(k, len(chosen), f"test frame {k + 1} of {len(chosen)}")
            mask, matte = self._mask(i, original)
            behind = plate if plate is not None else fill(original, person_free(matte))
            made = self._made(self.track, i, original, mask, behind)
            other = paste(original, pictures.get(neighbours[i]).rgb, mask)
            error = ours.add(original, made, mask)
            nearest.add(original, other, mask)
            points = self.track.landmarks_px[i].numpy()
            ours.flicker.add(i, original, made, mask.head, points)
            nearest.flicker.add(i, original, other, mask.head, points)
            truth = self.tools.landmarks(original)
            ours.add_landmarks(truth, self.tools.landmarks(made))
            nearest.add_landmarks(truth, self.tools.landmarks(other))
            if self.refined is not None:
                better = self._made(self.refined, i, original, mask, behind)
                again.add(original, better, mask)
                again.flicker.add(i, original, better, mask.head, points)
                again.add_landmarks(truth, self.tools.landmarks(better))
            if k in shown:
                rows.append(Row(self.fitted.clip.count + i, original, made, other, error, mask))
        return ours, again, nearest, rows, chosen

    def views(self, chosen: list[int]) -> tuple[View, ...]:
        """The head of a test frame from both sides, as no frame saw it."""
        i = chosen[len(chosen) // 2]
        pose = HeadPose.of_track(self.track, i, i + 1)
        ((_, original),) = _picked(self.clip, [i])
        own = max(color_grain(original / 255, self._mask(i, original)[0].head), 1e-6)
        yaw = self.config.novel_yaw_deg
        made = ((a, *seen_from(self.renderer, pose, a)) for a in (-yaw, yaw))
        return tuple(
            View(a, open_share(alpha), color_grain(rgb, alpha > 0.5) / own, rgb, alpha) for a, rgb, alpha in made
        )

    def _neighbours(self, chosen: list[int]) -> dict[int, int]:
        """For each test frame the frame of the fit part that looks most like it."""
        track = self.fitted.track
        usable = track.valid.nonzero().flatten().tolist()
        known = track.landmarks_px[usable].numpy()
        return {i: usable[nearest_frame(self.track.landmarks_px[i].numpy(), known)] for i in chosen}

    def _plate(self) -> Image | None:
        """The background of the fit part, where it stands still."""
        valid = self.fitted.track.valid.nonzero().flatten().numpy()
        count = min(self.config.plate_frames, len(valid))
        index = np.unique(valid[np.linspace(0, len(valid) - 1, count).round().astype(int)]).tolist()
        points = self.fitted.track.landmarks_px
        frames = [image for _, image in _picked(self.fitted.clip, index)]
        mattes = [self.tools.matte(image, points[i].numpy()) for i, image in zip(index, frames)]
        plate, still = median_plate(frames, mattes)
        return plate if still > self.config.plate_still else None

    @cached_property
    def _neck(self) -> NeckLine:
        """Below it a picture is not the head's."""
        return NeckLine.under(chin_height_m(self.renderer.head.to("cpu"), self.fitted.track.shape))

    def _mask(self, i: int, image: Image) -> tuple[HeadMask, NDArray[np.uint8]]:
        """The head of a test frame, and the person's matte there."""
        from ..adapt.frames import head_weight

        points = self.track.landmarks_px[i].numpy()
        centre = points.mean(0)
        matte = keep_person(self.tools.matte(image, points), (int(centre[0]), int(centre[1])))
        above = head_weight(points, self._neck.pixels(self.track, i), image.shape[0], image.shape[1])
        return head_mask(matte, above, points, self.config), matte

    def _made(self, track: Track, i: int, original: Image, mask: HeadMask, behind: Image) -> Image:
        """Test frame i with our head in it, repaired by the avatar's Body Inpainter where it has one."""
        drawn, alpha = self._draw(track, i)
        made = paste(original, drawn, mask, behind, alpha)
        if self.inpainter is None:
            return made
        with self.watch.stage("inpaint"):
            return repair(self.inpainter, made, original, (mask.paste > 0).astype(np.float32), mask.paste)

    def _draw(self, track: Track, i: int) -> tuple[Image, NDArray[np.uint8]]:
        """Our head in a test frame: premultiplied over black, and its coverage."""
        with self.watch.stage("render"):
            rendered, box = self.renderer.render_pose(HeadPose.of_track(track, i, i + 1))
            width, height = self.clip.size_px
            rgb, alpha = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
            rows, columns = slice(box.y0, box.y1), slice(box.x0, box.x1)
            rgb[rows, columns] = _bytes(rendered.rgb[0].cpu().numpy())
            alpha[rows, columns] = _bytes(rendered.alpha[0, ..., 0].cpu().numpy())
        return rgb, alpha


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)


def _picked(clip: ReferenceClip, index: list[int]) -> Iterator[tuple[int, Image]]:
    """(place, picture) of some frames in ascending order, in one pass."""
    if not index:
        return
    wanted = set(index)
    for i, image in enumerate(clip.frames(index[0], index[-1] + 1), index[0]):
        if i in wanted:
            yield i, image
