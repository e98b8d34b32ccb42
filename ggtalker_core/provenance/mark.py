"""Marking a video on its way out: label first, invisible mark last, record beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConsentRequiredError, InvalidInputError
from ..types import RgbaFrame, RgbaSource, TalkingVideo
from .config import PUBLIC_KEY, EmbedConfig, LabelConfig
from .consent import check_consent, is_trial
from .label import VisibleLabel
from .manifest import COMPOSITE, GENERATED, TAG_ID, TAG_MANIFEST, Manifest, ManifestStore, avatar_sha256, now_utc
from .payload import check_watermark_id, new_watermark_id
from .watermark import Watermarker, check_carrier_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFF = "turned off by the user"


class MarkedSource:
    """Frames of another source, marked as they pass."""

    def __init__(
        self,
        source: RgbaSource,
        label: VisibleLabel | None,
        watermarker: Watermarker | None,
        background: tuple[int, int, int] | None = None,
    ):
        """`background`: an sRGB colour put under transparent frames, which become opaque; None keeps the alpha."""
        self._source, self._label, self._watermarker = source, label, watermarker
        self._background = background

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        """The marked frames start..stop; the same frame is the same however it is asked for."""
        for index, frame in enumerate(self._source.frames(start, stop), start):
            yield self._mark(frame, index)

    def _mark(self, frame: RgbaFrame, index: int) -> RgbaFrame:
        rgb, alpha = frame.rgb, frame.alpha
        if alpha is not None and self._background is not None:
            rgb, alpha = flatten(rgb, alpha, self._background), None
        if self._label is not None:
            rgb = self._label.draw(rgb, index)
            if alpha is not None:
                alpha = np.maximum(alpha, self._label.coverage((rgb.shape[1], rgb.shape[0]), index))
        if self._watermarker is not None:
            marked = self._watermarker.embed(rgb)
            rgb = marked if alpha is None else _within(rgb, marked, alpha)
        return RgbaFrame(rgb, alpha)


def flatten(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], color: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Premultiplied rgb [H, W, 3] over a colour."""
    rest = (255 - alpha.astype(np.float32))[..., None] / 255.0
    return np.clip(rgb + rest * np.asarray(color, np.float32) + 0.5, 0, 255).astype(np.uint8)


def _within(rgb: NDArray[np.uint8], marked: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mark faded out with the alpha: what is transparent stays black."""
    change = (marked.astype(np.float32) - rgb) * (alpha.astype(np.float32)[..., None] / 255.0)
    return np.clip(np.rint(rgb + change), 0, 255).astype(np.uint8)


def mark(
    video: TalkingVideo,
    *,
    watermark: bool = True,
    label: LabelConfig | None = None,
    watermark_id: str | None = None,
    key: str = PUBLIC_KEY,
    strength: float = 1.0,
    background: tuple[int, int, int] | None = None,
    store: Path | None = None,
    note: str = "",
) -> TalkingVideo:
    """The same lazy video with marks in its frames and its record in `marks`.

    Args:
        video: what to mark; nothing of it is rendered here.
        watermark: write the invisible mark; False is written into the record.
        label: the visible label, or None for none.
        watermark_id: 16 hex digits; default the avatar's id, else a new one.
        key: of the invisible mark; a private one makes marks that only its holder can read or imitate.
        strength: 1.0 keeps 42 dB.
        background: colour under transparent frames; None keeps their alpha.
        store: folder in which the record is kept under the id.
        note: free text for the record.

    Raises:
        InvalidInputError: bad id, or frames too small for the mark.
        ConsentRequiredError: the avatar's consent is missing or has expired.
    """
    avatar = video.avatar
    shown = label is not None and bool(label.wording)
    if avatar is not None and is_trial(check_consent(avatar.info.consent)) and not (watermark and shown):
        raise ConsentRequiredError(
            "Nobody has stated consent for this avatar (a trial): label and invisible watermark stay on. Turn them on, "
            "or state the consent when the avatar is made."
        )
    known = video.marks.get(TAG_ID)
    earlier = _earlier(video)
    if watermark_id is None:
        watermark_id = known or (avatar.info.watermark_id if avatar is not None else None) or new_watermark_id()
    check_watermark_id(watermark_id)
    already = earlier is not None and earlier.invisible == "on"
    if earlier is not None and already and watermark and watermark_id != earlier.watermark_id:
        raise InvalidInputError(
            f"The video already carries the invisible watermark {earlier.watermark_id}; two would destroy each other. "
            "Remove one of the two Watermark steps, or give both the same id."
        )
    if watermark and not already:
        check_carrier_size(video.size_px)
    drawn = VisibleLabel(label, video.fps) if label is not None and shown else None
    if drawn is not None:
        drawn.coverage(video.size_px)  # says now, not at the first frame, when it does not fit
    embed = Watermarker(watermark_id, key, config=EmbedConfig(strength=strength)) if watermark and not already else None
    manifest = Manifest(
        watermark_id=watermark_id,
        invisible="on" if watermark or already else OFF,
        visible=drawn.config.wording if drawn is not None else (earlier.visible if earlier else "none"),
        created=now_utc(),
        digital_source_type=COMPOSITE if avatar is not None else GENERATED,
        avatar_name=avatar.info.name if avatar is not None else "",
        avatar_sha256=avatar_sha256(avatar) if avatar is not None else "",
        clip_sha256=avatar.info.clip_sha256 if avatar is not None else "",
        consent=avatar.info.consent if avatar is not None else None,
        note=note,
    )
    if store is not None:
        ManifestStore(store).put(manifest)
    source = MarkedSource(video.source, drawn, embed, background)
    return dataclasses.replace(video, source=source, marks={**video.marks, **manifest.tags()})


def _earlier(video: TalkingVideo) -> Manifest | None:
    """The record that an earlier marking left."""
    text = video.marks.get(TAG_MANIFEST)
    return Manifest.from_json(text) if text else None
