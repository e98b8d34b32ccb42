"""The promise on real talking heads: 42 dB, and the id back from the written mp4 and from its crf 28 copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from ggtalker_core.provenance import Watermarker, verify
from ggtalker_core.video import open_clip, write_video

from .helpers import FPS, ID, psnr, read, write


@pytest.mark.media
@pytest.mark.parametrize(
    "name", ["latentsync_man_crop512.mp4", "congress_woman_B_512.mp4", "azure_zh_woman_crop512.mp4"]
)
def test_the_id_comes_back_from_a_recoded_copy(media: Path, tmp_path: Path, name: str):
    frames = list(open_clip(media / "video" / name).frames(0, 40))
    marked = [Watermarker(ID).embed(frame) for frame in frames]
    assert psnr(frames, marked) >= 42.0
    first = tmp_path / "first.mp4"
    write_video(first, marked, fps=FPS, size_px=(512, 512))
    assert verify(first).watermark_id == ID
    again = verify(write(tmp_path / "again.mp4", read(first), 28))
    assert again.watermark_id == ID and again.finding.attempts == 1
