"""Between ComfyUI's values (IMAGE, MASK, AUDIO, FACE_LANDMARKS) and the core's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..ggtalker_core.errors import InvalidInputError, LimitExceededError
from ..ggtalker_core.files import Limits
from ..ggtalker_core.progress import Progress
from ..ggtalker_core.types import N_LANDMARKS, AudioTrack, FrameSource, RgbaFrame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_NTSC = tuple(Fraction(base * 1000, 1001) for base in (24, 30, 48, 60, 120))


def to_fps(value: float) -> Fraction:
    """A frame rate from a widget: 23.976, 29.97 and the like become their exact NTSC fractions."""
    for rate in _NTSC:
        if abs(float(rate) - value) < 2e-3:
            return rate
    return Fraction(value).limit_denominator(1000)


def to_audio_track(audio: Mapping[str, Any]) -> AudioTrack:
    """The one clip of an AUDIO value, as an ordinary tensor of its own."""
    waveform: Tensor = audio["waveform"]
    if waveform.ndim != 3 or waveform.shape[0] != 1:
        raise InvalidInputError(
            f"AUDIO must hold one clip, got a batch of shape {list(waveform.shape)}. Split the batch and speak each "
            f"alone."
        )
    own = waveform[0].detach().float().cpu().clone()
    if not own.numel():
        raise InvalidInputError("AUDIO is empty: it holds no sample. Check the trim of the node that it comes from.")
    if not bool(own.isfinite().all()):
        raise InvalidInputError("AUDIO holds values that are not finite numbers. Check the node that it comes from.")
    return AudioTrack(own, int(audio["sample_rate"]))


def to_voice(audio: Mapping[str, Any]) -> AudioTrack:
    """As `to_audio_track`, and no longer than the core takes from a file. Raises LimitExceededError."""
    seconds, most = audio["waveform"].shape[-1] / audio["sample_rate"], Limits.max_audio_seconds
    if seconds > most:
        raise LimitExceededError(
            f"The voice is {seconds:.0f} s long; the limit is {most:g} s. Cut it into parts and speak each alone."
        )
    return to_audio_track(audio)


def to_audio(track: AudioTrack | None, *, silence_s: float = 0.0) -> dict[str, Any]:
    """An AUDIO value; without a sound track, that many seconds of silence."""
    import torch

    if track is None:
        rate = 16000
        return {"waveform": torch.zeros(1, 1, max(1, round(silence_s * rate))), "sample_rate": rate}
    return {"waveform": track.waveform.unsqueeze(0), "sample_rate": track.sample_rate}


def to_image(frames: Iterable[NDArray[np.uint8]]) -> Tensor:
    """An IMAGE [B, H, W, 3] in [0, 1] from uint8 frames of one size, on ComfyUI's intermediate device."""
    given = list(frames)
    image = _blank(len(given), given[0].shape)
    for row, frame in zip(image, given):
        _fill(row, frame)
    return image


def to_images_and_mask(
    frames: Iterable[RgbaFrame], count: int, size_px: tuple[int, int], progress: Progress
) -> tuple[Tensor, Tensor]:
    """The IMAGE [B, H, W, 3] and the MASK [B, H, W] of `count` frames, filled as they come.

    Colours are not multiplied by alpha, and 0 where nothing is seen; the mask is 1 where opaque.
    """
    width, height = size_px
    images, masks = _blank(count, (height, width, 3)), _blank(count, (height, width))
    for done, (frame, image, mask) in enumerate(zip(frames, images, masks), 1):
        _fill(image, frame.rgb)
        if frame.alpha is None:
            mask.fill_(1.0)
        else:
            _fill(mask, frame.alpha)
            seen = mask.unsqueeze(-1)
            image.div_(seen.clamp_min(1e-3)).clamp_(0, 1).mul_(seen > 0)
        progress(done, count, "Making frames")
    return images, masks


def _blank(count: int, shape: tuple[int, ...]) -> Tensor:
    """Room for `count` frames where ComfyUI keeps what travels between nodes."""
    import comfy.model_management as management
    import torch

    return torch.empty((count, *shape), device=management.intermediate_device(), dtype=management.intermediate_dtype())


def _fill(row: Tensor, frame: NDArray[np.uint8]) -> None:
    """Put bytes into a row as numbers from 0 to 1."""
    import torch

    row.copy_(torch.from_numpy(frame).float() / 255.0)


def on_node(report: str, image: Tensor | None = None) -> dict[str, Any]:
    """What is shown on the node after a run: a text (web/js/report.js), and pictures by ComfyUI's own means."""
    from comfy_api.latest import ui

    shown = {} if image is None else ui.PreviewImage(image).as_dict()
    return {**shown, "ggtalker_report": [report]}


def to_bytes(image: Tensor) -> NDArray[np.uint8]:
    """A uint8 array of an IMAGE or MASK (or one frame of it): rounded, clamped, black where it is no number."""
    values = image.detach().float().cpu().nan_to_num()
    return (values * 255.0 + 0.5).clamp(0, 255).byte().numpy()


@dataclass(frozen=True)
class ImageFrames:
    """An IMAGE (and MASK) as a source of frames: what other nodes made, on its way back into a video."""

    images: Tensor  # [B, H, W, 3 or 4]
    mask: Tensor | None  # [B or 1, H, W]

    @property
    def count(self) -> int:
        """Number of frames."""
        return int(self.images.shape[0])

    @property
    def size_px(self) -> tuple[int, int]:
        """Width, height."""
        return int(self.images.shape[2]), int(self.images.shape[1])

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        """The frames start..stop; colours are multiplied by the mask, as RgbaFrame wants them."""
        import numpy as np

        for i in range(start, self.count if stop is None else min(stop, self.count)):
            rgb = to_bytes(self.images[i, ..., :3])
            alpha = self._alpha(i)
            if alpha is not None:
                rgb = (rgb.astype(np.uint16) * alpha[..., None] // 255).astype(np.uint8)
            yield RgbaFrame(rgb, alpha)

    def _alpha(self, i: int) -> NDArray[np.uint8] | None:
        if self.mask is not None:
            return to_bytes(self.mask[min(i, int(self.mask.shape[0]) - 1)])
        return to_bytes(self.images[i, ..., 3]) if self.images.shape[-1] == 4 else None


@dataclass(frozen=True)
class MaskedFrames:
    """Frames of a clip with everything outside a mask painted grey: the face search sees one person only."""

    source: FrameSource
    mask: Tensor  # [B, H, W]; the last mask serves all later frames

    @property
    def count(self) -> int:
        """Number of frames."""
        return self.source.count

    @property
    def size_px(self) -> tuple[int, int]:
        """Width, height."""
        return self.source.size_px

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """The frames start..stop."""
        import numpy as np

        for i, frame in enumerate(self.source.frames(start, stop), start):
            inside = self._inside(i)[..., None]
            yield np.where(inside, frame, np.uint8(127))

    def _inside(self, i: int) -> NDArray[np.bool_]:
        import torch

        width, height = self.size_px
        mask = self.mask[min(i, int(self.mask.shape[0]) - 1)].detach().float().cpu()
        resized = torch.nn.functional.interpolate(mask[None, None], (height, width), mode="nearest")[0, 0]
        return (resized > 0.5).numpy()


def to_landmarks(value: Mapping[str, Any], count: int, size_px: tuple[int, int]) -> Tensor:
    """[T, 478, 2] pixels of the clip from ComfyUI's FACE_LANDMARKS (largest face of each frame; NaN where none is).

    Raises InvalidInputError when the number of frames or of points is not the clip's.
    """
    import numpy as np
    import torch

    frames = value["frames"]
    if len(frames) != count:
        raise InvalidInputError(
            f"FACE_LANDMARKS has {len(frames)} frames but the clip has {count}. Detect them on the same frames: "
            f"same trim, "
            f"same frame rate as Load Reference Video."
        )
    height, width = value["image_size"]
    scale = np.array([size_px[0] / width, size_px[1] / height], np.float32)
    points = np.full((count, N_LANDMARKS, 2), np.nan, np.float32)
    for i, faces in enumerate(frames):
        if faces:
            largest = max(faces, key=lambda face: _area(face["bbox_xyxy"]))
            points[i] = _checked_points(largest["landmarks_xy"]) * scale
    return torch.from_numpy(points)


def _checked_points(points: Any) -> NDArray[np.float32]:
    import numpy as np

    array = np.asarray(points, np.float32)
    if array.shape != (N_LANDMARKS, 2):
        raise InvalidInputError(f"FACE_LANDMARKS must hold {N_LANDMARKS} points a face, got shape {list(array.shape)}.")
    return array


def _area(box: Any) -> float:
    x0, y0, x1, y1 = (float(v) for v in box)
    return (x1 - x0) * (y1 - y0)


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` frame numbers spread evenly over `count` frames."""
    n = min(count, wanted)
    return [round(i * (count - 1) / max(n - 1, 1)) for i in range(n)]
