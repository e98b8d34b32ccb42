"""Sets a rendered head back into the avatar's body loop, frame by frame, when somebody pulls."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidInputError, UnreadableFileError
from ..types import Avatar, MotionTrack, RgbaFrame, TalkingVideo
from .config import BodyConfig
from .masks import above_line, feathered, grown, outline, softened
from .parts import chin_height_m, collar_vertices, moved_by_speech
from .plate import fill, person_free
from .set_back import set_back
from .shoulders import cut_away, head_alone, head_sides, without_shoulders

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ..head import HeadModel

_FACE = ("face", "lips", "lids", "brows", "nose")
_LINE_HALF_WIDTH_M, _LINE_DROP_M, _LINE_DEPTH_M = 0.08, 0.012, 0.03
_FACE_DEPTH_M = 0.09
_HEAD_M = 0.23
_COLLAR = 0.05  # of the head's height: how far hair and a neck may stand out from where the fit has them
_REPAIR = 0.02  # of the head's height: what the Body Inpainter's hole reaches beyond the head
_STILL_RAD, _STILL_M = 0.01, 0.002  # a motion this near to the loop's own pose keeps that pose


@dataclass(frozen=True)
class _BodyFrame:
    """One decoded frame of the loop at the size of the output."""

    image: NDArray[np.uint8]  # [H, W, 3]
    matte: NDArray[np.uint8]  # [H, W]
    plate: NDArray[np.uint8]  # [H, W, 3]


class Compositor:
    """Holds what all frames share: outlines of the face, the plate, a few decoded body frames."""

    def __init__(
        self, avatar: Avatar, size_px: tuple[int, int] | None = None, fps: Fraction | None = None,
        head: HeadModel | None = None, config: BodyConfig | None = None,
    ):  # fmt: skip
        """Prepare for frames of `size_px` (the avatar's own by default) at `fps` (the loop's)."""
        from ..head import load_head

        self.avatar, self.config = avatar, config or BodyConfig()
        self.size_px = size_px or avatar.size_px
        self.fps = fps or avatar.body.fps
        whole = head or load_head(avatar.head_model)
        face = whole.regions.vertices(*_FACE)
        self._face = whole.subset(face.nonzero().flatten())
        self._mouth = whole.subset((face & moved_by_speech(whole)).nonzero().flatten())
        self._chin_m = chin_height_m(whole, avatar.shape)
        collar = collar_vertices(whole, avatar.shape, self._chin_m)
        self._neck, self._neck_offset_m = whole.subset(collar), avatar.offset_m[collar]
        self._decoded: OrderedDict[int, _BodyFrame] = OrderedDict()
        self._inpainter = None
        if avatar.inpainter is not None and self.config.inpainter:
            from .inpainter import load_inpainter

            self._inpainter = load_inpainter(avatar.inpainter)
        plate = avatar.body.plate_jpeg
        self._plate = None if plate is None else self._sized(_decode(plate, "the background plate"))

    def frame(self, index: int, rendered: RgbaFrame, motion: MotionTrack | None = None) -> RgbaFrame:
        """Output frame `index`: `rendered` (premultiplied over black) set back into the body.

        `motion` tells where the new face is; without it the face is taken to be where the body loop has it, with the
        mouth as far open as in the loop.
        """
        if rendered.alpha is None:
            return rendered
        width, height = self.size_px
        if rendered.rgb.shape[:2] != (height, width):
            raise InvalidInputError(
                f"A rendered frame is {rendered.rgb.shape[1]}x{rendered.rgb.shape[0]}, expected {width}x{height}."
            )
        loop = self.avatar.body.frame_at(index, self.fps)
        body = self._body(loop)
        region = self._region(loop, index, motion)
        mask, unit_px = self._mask(region, loop, index, body, rendered.alpha, motion)
        rgb = set_back(
            body.image, body.plate, self._exposed(rendered.rgb, loop), rendered.alpha, mask,
            match_px=self.config.match * unit_px, match_limit=self.config.match_limit,
        )  # fmt: skip
        if region == "head" and self._inpainter is not None:  # it was trained with holes of whole heads
            from .inpainter import repair

            weight = self._new_head(loop, rendered.alpha, unit_px)
            # Around the new head the composite is the original: where the old head was it shows the plate already.
            rgb = repair(self._inpainter, rgb, rgb, (weight > 0).astype(np.float32), weight)
        return RgbaFrame(rgb)

    def _exposed(self, rgb: NDArray[np.uint8], loop: int) -> NDArray[np.uint8]:
        """The head in the light of frame `loop`: without it an auto-exposure would show as a step at the seam."""
        log_gain = self.avatar.body.log_gain
        if log_gain is None:
            return rgb
        gain = np.exp(log_gain[loop].numpy()).astype(np.float32)
        return np.clip((rgb * gain).round(), 0, 255).astype(np.uint8)

    def _mask(
        self, region: str, loop: int, index: int, body: _BodyFrame, alpha: NDArray[np.uint8],
        motion: MotionTrack | None,
    ) -> tuple[NDArray[np.float32], float]:  # fmt: skip
        """Where the head replaces the frame [H, W], and the height of the face in pixels."""
        width, height = self.size_px
        part = self._mouth if region == "mouth" else self._face
        old = self._outline_points(part, loop, None, 0)
        new = old if motion is None else self._outline_points(part, loop, motion, index)
        unit = self._head_height_px(loop)
        face = np.maximum(outline(old, height, width), outline(new, height, width))
        face = grown(face, self.config.grow * 2 * unit)
        if region == "head":
            line = self._bar(loop, self._chin_m - _LINE_DROP_M)
            above = above_line(line, height, width, 0.02 * unit)
            own, now = self._heads(loop, index, body.matte, alpha, motion, (old, new))
            shoulders = cut_away(body.matte, own) & (now < 100)
            head = np.maximum(own, now).astype(np.float32) * above
            # The soft edge lies outside the old head: what shines through it is background on both sides.
            reach = (self.config.grow + self.config.feather) * unit
            wide = grown((head > 100).astype(np.uint8) * 255, reach)
            face = np.maximum(face, np.where((above > 0.5) & ~shoulders, wide, np.uint8(0)))
        soft = feathered(face, self.config.feather * unit)
        if region == "mouth":
            top, bottom = (self._bar(loop, y, depth_m=_FACE_DEPTH_M) for y in self.config.mouth_top_m)
            middle = ((top + bottom) / 2).astype(np.float32)
            ramp = float(np.abs(top - bottom)[:, 1].mean())
            t = 1 - above_line(middle, height, width, ramp)
            soft = (soft * t * t * (3 - 2 * t)).astype(np.float32)
        return soft, unit

    def _heads(
        self, loop: int, index: int, matte: NDArray[np.uint8], alpha: NDArray[np.uint8], motion: MotionTrack | None,
        faces_px: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:  # fmt: skip
        """The body's own head and the new one [H, W], both without collar and shoulders."""
        landmarks, reach = self._landmarks(loop), _COLLAR * self._head_height_px(loop)
        necks = (self._outline_points(self._neck, loop, m, index, self._neck_offset_m) for m in (None, motion))
        sides = head_sides(matte, landmarks)
        covers = (without_shoulders(matte, landmarks, sides), alpha)
        own, now = (head_alone(cover, sides, (neck, face), reach) for cover, neck, face in zip(covers, necks, faces_px))
        return own, now

    def _new_head(self, loop: int, alpha: NDArray[np.uint8], unit_px: float) -> NDArray[np.float32]:
        """Where the Body Inpainter may work: the rendered head above the neck, as in its training; soft, [H, W]."""
        line = self._bar(loop, self._chin_m - _LINE_DROP_M)
        above = above_line(line, alpha.shape[0], alpha.shape[1], 0.02 * unit_px)
        return np.asarray(softened(alpha, _REPAIR * unit_px) * above, dtype=np.float32)

    def _region(self, loop: int, index: int, motion: MotionTrack | None) -> str:
        """What has to be replaced in this frame."""
        if self.config.region != "auto":
            return self.config.region
        if self._moved(loop, index, motion):
            return "head"
        upper = motion is None or motion.covers_upper_face or motion.eyes_rad is not None or motion.eyelids is not None
        return "face" if upper else "mouth"

    def _moved(self, loop: int, index: int, motion: MotionTrack | None) -> bool:
        """Whether the motion brings a head pose that is not the loop's."""
        from ..head.pose import axis_angle_to_matrix

        if motion is None or (motion.rotation_rad is None and motion.translation_m is None):
            return False
        track = self.avatar.body.track
        turned = shifted = 0.0
        if motion.rotation_rad is not None:
            now, own = (axis_angle_to_matrix(r) for r in (motion.rotation_rad[index], track.rotation_rad[loop]))
            turned = float((now - own).norm()) / 2**0.5  # of the matrices: axis-angles wrap at pi
        if motion.translation_m is not None:
            shifted = float((motion.translation_m[index] - track.translation_m[loop]).norm())
        return turned > _STILL_RAD or shifted > _STILL_M

    def _head_height_px(self, loop: int) -> float:
        """The height of the head in the picture, by its distance."""
        distance = float(self.avatar.body.track.translation_m[loop, 2])
        scale = self.size_px[1] / self.avatar.size_px[1]
        return max(8.0, _HEAD_M * float(self.avatar.intrinsics_px[1, 1]) * scale / max(distance, 1e-3))

    def _outline_points(
        self, part: HeadModel, loop: int, motion: MotionTrack | None, index: int, offset_m: Tensor | None = None
    ) -> NDArray[np.float32]:
        """Vertices of `part` in the picture, [P, 2]: where the loop has them, or where the motion puts them; moved by
        `offset_m` [P, 3] in head axes."""
        from ..head.pose import transform

        track = self.avatar.body.track
        at = slice(loop, loop + 1)
        expression, jaw = track.expression[at], track.jaw_rad[at]
        rotation, translation = track.rotation_rad[at], track.translation_m[at]
        if motion is not None:
            now = slice(index, index + 1)
            expression, jaw = motion.expression[now], motion.jaw_rad[now]
            rotation = rotation if motion.rotation_rad is None else motion.rotation_rad[now]
            translation = translation if motion.translation_m is None else motion.translation_m[now]
        points = part.vertices(self.avatar.shape, expression, jaw, track.neck_rad[at], track.eyes_rad[at])
        points = points if offset_m is None else points + offset_m
        return self._project(transform(points, rotation, translation)[0])

    def _landmarks(self, loop: int) -> NDArray[np.float32]:
        """What was detected in a frame of the loop, [478, 2] in pixels of the output."""
        scale = np.array(self.size_px, np.float32) / np.array(self.avatar.size_px, np.float32)
        return (self.avatar.body.track.landmarks_px[loop].numpy() * scale).astype(np.float32)

    def _bar(self, loop: int, y_m: float, depth_m: float = _LINE_DEPTH_M) -> NDArray[np.float32]:
        """Two points of a level line that is fixed to the head, in the picture, [2, 2]."""
        import torch

        from ..head.pose import transform

        points = torch.tensor([[[s * _LINE_HALF_WIDTH_M, y_m, depth_m] for s in (-1.0, 1.0)]])
        track = self.avatar.body.track
        at = slice(loop, loop + 1)
        return self._project(transform(points, track.rotation_rad[at], track.translation_m[at])[0])

    def _project(self, points: Tensor) -> NDArray[np.float32]:
        """Camera space [P, 3] to pixels of the output [P, 2]."""
        pixels = points @ self.avatar.intrinsics_px.T
        flat = (pixels[:, :2] / pixels[:, 2:].clamp_min(1e-6)).numpy()
        scale = np.array(self.size_px, np.float32) / np.array(self.avatar.size_px, np.float32)
        return (flat * scale).astype(np.float32)

    def _body(self, loop: int) -> _BodyFrame:
        """A frame of the loop, decoded at most once while it is near."""
        if loop in self._decoded:
            self._decoded.move_to_end(loop)
            return self._decoded[loop]
        image = self._sized(_decode(self.avatar.body.frames_jpeg[loop], f"body frame {loop}"))
        matte = self._sized(_decode(self.avatar.body.mattes_png[loop], f"body matte {loop}", grey=True))
        plate = self._plate if self._plate is not None else fill(image, person_free(matte))
        frame = _BodyFrame(image, matte, plate)
        self._decoded[loop] = frame
        while len(self._decoded) > max(1, self.config.cached_frames):
            self._decoded.popitem(last=False)
        return frame

    def _sized(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        import cv2

        height, width = image.shape[:2]
        if (width, height) == self.size_px:
            return image
        if max(width, height) > 4 * max(self.avatar.size_px):
            raise UnreadableFileError(f"A picture in the avatar is {width}x{height}, far larger than its clip.")
        smaller = width >= self.size_px[0]
        return np.asarray(
            cv2.resize(image, self.size_px, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC),
            dtype=np.uint8,
        )


@dataclass(frozen=True)
class _Source:
    """The composite of a lazy video, made when somebody asks."""

    compositor: Compositor
    rendered: TalkingVideo

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        for i, frame in enumerate(self.rendered.frames(start, stop), start):
            yield self.compositor.frame(i, frame, self.rendered.motion)


def inpaint(avatar: Avatar, rendered: TalkingVideo, config: BodyConfig | None = None) -> TalkingVideo:
    """Set the rendered head of a lazy video back into the avatar's body loop; nothing is computed yet.

    Raises InvalidInputError for an avatar without a body loop.
    """
    if avatar.body.count == 0:
        raise InvalidInputError(f"The avatar '{avatar.info.name}' carries no body loop to set the head into.")
    compositor = Compositor(avatar, rendered.size_px, rendered.fps, config=config)
    return dataclasses.replace(rendered, source=_Source(compositor, rendered))


def inpaint_frames(
    avatar: Avatar,
    frames: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]],  # ([H, W, 3] premultiplied, [H, W] coverage)
    *,
    start: int = 0,
    fps: Fraction | None = None,
    motion: MotionTrack | None = None,
    config: BodyConfig | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """The same for plain pictures with masks (from other nodes), one at a time; `start` is the first one's place."""
    compositor: Compositor | None = None
    for i, (rgb, alpha) in enumerate(frames, start):
        if compositor is None:
            compositor = Compositor(avatar, (rgb.shape[1], rgb.shape[0]), fps, config=config)
        yield compositor.frame(i, RgbaFrame(rgb, alpha), motion).rgb


def _decode(data: bytes, what: str, grey: bool = False) -> NDArray[np.uint8]:
    """An encoded image as sRGB [H, W, 3] or grey [H, W]. Raises UnreadableFileError."""
    import cv2

    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    if image is None:
        raise UnreadableFileError(f"{what} in the avatar file cannot be decoded; adapt the avatar again.")
    return np.asarray(image if grey else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
