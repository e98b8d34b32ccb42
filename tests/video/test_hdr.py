"""HDR to sRGB: known points of the curves, and a whole file."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from ggtalker_core.video import open_clip
from ggtalker_core.video.hdr import HLG, PQ, hlg_light, pq_light, to_srgb


def grey(value: float) -> np.ndarray:
    return np.full((1, 1, 3), value, np.float32)


def test_known_points_of_the_curves():
    # BT.2408: graphics white is 58 % of PQ and 75 % of HLG; PQ 0.5081 is 100 cd/m2; PQ 1 is 10,000, HLG 1 is 1,000.
    assert float(pq_light(grey(0.58))[0, 0, 0]) == pytest.approx(1.0, abs=0.02)
    assert float(pq_light(grey(0.5081))[0, 0, 0]) == pytest.approx(100 / 203, rel=0.01)
    assert float(pq_light(grey(1.0))[0, 0, 0]) == pytest.approx(10_000 / 203, rel=1e-3)
    assert float(hlg_light(grey(0.75))[0, 0, 0]) == pytest.approx(1.0, abs=0.02)
    assert float(hlg_light(grey(1.0))[0, 0, 0]) == pytest.approx(1000 / 203, rel=1e-3)
    assert float(hlg_light(grey(0.0))[0, 0, 0]) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_greys_stay_grey_and_in_order(transfer):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None, :, None].repeat(3, 2)
    out = to_srgb(ramp, transfer)[0].astype(int)
    assert np.ptp(out, axis=1).max() <= 1 and (np.diff(out[:, 0]) >= 0).all() and out[0, 0] == 0 and out[-1, 0] >= 254


@pytest.mark.parametrize(("transfer", "code"), [(HLG, 0.75), (PQ, 0.58)])
def test_an_hdr_file_shows_its_white_nearly_white(tmp_path, transfer, code):
    """In a file that is read as if it were SDR, white would come out as a grey of 191 (HLG) or 148 (PQ)."""
    path = tmp_path / "hdr.mp4"
    output = av.open(str(path), "w")
    stream = output.add_stream("libx265", rate=Fraction(25))
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
    context = stream.codec_context
    context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, transfer, 1
    context.options = {"x265-params": "log-level=none"}
    for i in range(3):
        picture = av.VideoFrame(64, 64, "yuv420p10le")
        for plane, value in zip(picture.planes, (round(64 + code * 876), 512, 512)):
            plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
        picture.pts = i
        output.mux(stream.encode(picture))
    output.mux(stream.encode(None))
    output.close()
    clip = open_clip(path)
    frame = next(iter(clip.frames()))
    assert abs(float(frame.mean()) - 242) <= 4 and np.ptp(frame.mean((0, 1))) < 2
    assert any("HDR" in note for note in clip.report.notes)
