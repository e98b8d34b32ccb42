"""How well the watermark hides, survives and is not found where it is not: real encodes of marked talking heads.

Clips: the folder of GGTALKER_MEDIA (or ../shared/media), else the shipped sample. An attack counts as passed when all
64 bits of the id and the check come back from 75 frames (3 s), blind: the reader knows neither size nor offset.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from ggtalker_core.provenance import LabelConfig, VisibleLabel, Watermarker, verify_frames
from ggtalker_core.provenance.config import SearchConfig
from ggtalker_core.provenance.detect import Reader, mean_feature

ROOT = Path(__file__).resolve().parent.parent
ID, FRAMES = "0123456789abcdef", 75
NAMES = (
    "latentsync_man_crop512.mp4", "congress_woman_A_512.mp4", "azure_zh_woman_crop512.mp4", "congress_woman_B_512.mp4",
)  # fmt: skip
Clip = list[np.ndarray]


def clips() -> dict[str, Clip]:
    """75 frames of every clip at hand."""
    media = Path(os.environ.get("GGTALKER_MEDIA", ROOT.parent / "shared" / "media")) / "video"
    paths = [media / n for n in NAMES if (media / n).exists()]
    sample = ROOT / "ggtalker_core" / "assets" / "sample" / "sample_clip.mp4"
    return {p.stem: decode(p)[:FRAMES] for p in (paths or [sample]) if p.exists()}


def decode(path: Path) -> Clip:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(FRAMES * 2))]


def coded(
    frames: Clip, codec: str = "libx264", crf: int = 28, rate: int = 25, suffix: str = "mp4", **options: str
) -> tuple[Clip, int]:
    """Frames after a real encoder, and the size of the file in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        with av.open(str(path), "w") as out:
            settings = {"crf": str(crf), **options} if codec != "gif" else {}
            stream = out.add_stream(codec, rate=Fraction(rate), options=settings)
            stream.width, stream.height = frames[0].shape[1] // 2 * 2, frames[0].shape[0] // 2 * 2
            stream.pix_fmt, stream.thread_count = ("rgb8" if codec == "gif" else "yuv420p"), 1
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(frame[: stream.height, : stream.width]), "rgb24"
                )
                out.mux(stream.encode(picture.reformat(format=stream.pix_fmt)))
            out.mux(stream.encode())
        return decode(path), path.stat().st_size


def each(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Clip], Clip]:
    return lambda frames: [change(f) for f in frames]


def encode(codec: str, crf: int, rate: int = 25, **options: str) -> Callable[[Clip], Clip]:
    suffix = {"libvpx-vp9": "webm", "gif": "gif"}.get(codec, "mp4")
    return lambda frames: coded(frames, codec, crf, rate, suffix, **options)[0]


def slower(frames: Clip) -> Clip:
    """15 frames a second instead of 25."""
    return [frames[int(i * 25 / 15)] for i in range(len(frames) * 15 // 25)]


def resize(x: float, y: float | None = None) -> Callable[[np.ndarray], np.ndarray]:
    how = cv2.INTER_AREA if x < 1 else cv2.INTER_CUBIC
    return lambda f: cv2.resize(f, None, fx=x, fy=y or x, interpolation=how)


def crop(keep: float) -> Callable[[np.ndarray], np.ndarray]:
    def cut(f: np.ndarray) -> np.ndarray:
        h, w = (int(side * keep**0.5 / 2) * 2 for side in f.shape[:2])
        y, x = int((f.shape[0] - h) * 0.61), int((f.shape[1] - w) * 0.37)
        return f[y : y + h, x : x + w]

    return cut


def image(suffix: str, flag: int, quality: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda f: cv2.imdecode(cv2.imencode(suffix, f, [flag, quality])[1], 1)


def turn(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    def rotate(f: np.ndarray) -> np.ndarray:
        h, w = f.shape[:2]
        matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1)
        return cv2.warpAffine(f, matrix, (w, h), borderMode=cv2.BORDER_REFLECT)

    return rotate


def chain(*steps: Callable[[Clip], Clip]) -> Callable[[Clip], Clip]:
    def run(frames: Clip) -> Clip:
        for step in steps:
            frames = step(frames)
        return frames

    return run


def noise(frames: Clip) -> Clip:
    rng = np.random.default_rng(0)
    return [np.clip(f + rng.normal(0, 8, f.shape), 0, 255).astype(np.uint8) for f in frames]


def light(factor: float) -> Callable[[Clip], Clip]:
    return each(lambda f: np.clip(f.astype(np.float32) * factor, 0, 255).astype(np.uint8))


def h264(crf: int, rate: int = 25) -> Callable[[Clip], Clip]:
    return encode("libx264", crf, rate, preset="medium")


def padded(f: np.ndarray) -> np.ndarray:
    return np.pad(f, ((128, 128), (0, 0), (0, 0)))


ATTACKS: dict[str, tuple[Callable[[Clip], Clip], float]] = {  # attack, share of clips that must pass
    "none": (lambda f: f, 1),
    "h264 crf 18": (h264(18), 1),
    "h264 crf 23": (h264(23), 1),
    "h264 crf 28": (h264(28), 1),
    "h264 crf 18 then crf 28": (chain(h264(18), h264(28)), 1),
    "h264 crf 35": (h264(35), 0.95),
    "h264 crf 40": (h264(40), 0.5),
    "h265 crf 28": (encode("libx265", 28, preset="fast", **{"x265-params": "log-level=none"}), 1),
    "vp9 crf 35": (encode("libvpx-vp9", 35, b="0", deadline="realtime", **{"cpu-used": "6"}), 1),
    "gif": (chain(lambda f: f[::2], encode("gif", 0)), 1),
    "resize 0.5": (each(resize(0.5)), 1),
    "resize 0.75": (each(resize(0.75)), 1),
    "resize 1.5": (each(resize(1.5)), 1),
    "resize 2": (each(resize(2.0)), 1),
    "aspect 1.1 x 0.9": (each(resize(1.1, 0.9)), 0.95),
    "crop to 90 % of the area": (each(crop(0.9)), 1),
    "crop to 75 %": (each(crop(0.75)), 1),
    "crop to 50 %": (each(crop(0.5)), 1),
    "jpeg 50 per frame": (each(image(".jpg", cv2.IMWRITE_JPEG_QUALITY, 50)), 1),
    "jpeg 30 per frame": (each(image(".jpg", cv2.IMWRITE_JPEG_QUALITY, 30)), 1),
    "webp 50 per frame": (each(image(".webp", cv2.IMWRITE_WEBP_QUALITY, 50)), 1),
    "blur 1.5 px": (each(lambda f: cv2.GaussianBlur(f, (0, 0), 1.5)), 1),
    "noise of 8 levels": (noise, 1),
    "brightness x 1.3": (light(1.3), 1),
    "brightness x 0.7": (light(0.7), 1),
    "15 frames a second, crf 23": (chain(slower, h264(23, 15)), 1),
    "padded to 2:3, crf 28": (chain(each(padded), h264(28)), 1),
    "mirrored": (each(lambda f: f[:, ::-1].copy()), 1),
    "turned by 2 degrees": (each(turn(2)), 0.95),
    "turned by -1.3 degrees, crop 80 %, crf 28": (chain(each(turn(-1.3)), each(crop(0.8)), h264(28)), 0.95),
    "crop 75 %, back to 512, crf 28": (
        chain(each(crop(0.75)), each(lambda f: cv2.resize(f, (512, 512))), h264(28)), 0.99,
    ),
    "resize 0.7, 15 frames a second, crf 30": (chain(slower, each(resize(0.703125)), h264(30, 15)), 0.99),
    "crop 50 %, x 1.3, crf 32": (chain(each(crop(0.5)), each(resize(1.3)), h264(32)), 0.99),
    "one still frame": (lambda f: f[:1], 0.99),
    "one still frame, jpeg 50": (chain(lambda f: f[:1], each(image(".jpg", cv2.IMWRITE_JPEG_QUALITY, 50))), 0.99),
    "one still frame, half size, jpeg 70": (
        chain(lambda f: f[:1], each(resize(0.5)), each(image(".jpg", cv2.IMWRITE_JPEG_QUALITY, 70))), 0.99,
    ),
}  # fmt: skip


def psnr(a: Clip, b: Clip) -> float:
    return float(10 * np.log10(255**2 / np.mean([(x.astype(np.float32) - y) ** 2 for x, y in zip(a, b)])))


def ssim(a: Clip, b: Clip) -> float:
    """Mean SSIM of luma (Wang et al. 2004: Gaussian window of 1.5 px) over every tenth frame."""
    values = []
    for x, y in zip(a[::10], b[::10]):
        p, q = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY).astype(np.float64) for f in (x, y))
        mean = [cv2.GaussianBlur(v, (11, 11), 1.5) for v in (p, q, p * p, q * q, p * q)]
        var_p, var_q, both = mean[2] - mean[0] ** 2, mean[3] - mean[1] ** 2, mean[4] - mean[0] * mean[1]
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        top = (2 * mean[0] * mean[1] + c1) * (2 * both + c2)
        values.append(float(np.mean(top / ((mean[0] ** 2 + mean[1] ** 2 + c1) * (var_p + var_q + c2)))))
    return float(np.mean(values))


def row(value: float, unit: str, target: float, ok: bool, note: str = "") -> dict[str, Any]:
    return {"value": value, "unit": unit, "target": target, "ok": ok, "note": note}


def false_finds(originals: dict[str, Clip], keys: int = 100) -> dict[str, Any]:
    """Wrong keys on marked and unmarked clips, at one scale and a few shifts: 2,000 and more trials."""
    trials = finds = 0
    highest = 0.0
    tiny = SearchConfig.tiny()
    for frames in originals.values():
        marked = [Watermarker(ID).embed(f) for f in frames[:10]]
        means = [mean_feature(frames[:10])[0], mean_feature(marked)[0]]
        for k in range(keys):
            reader = Reader(f"wrong {k}", tiny)
            for mean in means:
                for shift in (0, 37, 90):
                    finding = reader.search(np.roll(mean, (shift, 2 * shift), (0, 1)))
                    trials, finds = trials + 1, finds + (finding.watermark_id is not None)
                    highest = max(highest, finding.pilot)
    bound = 1 - 0.05 ** (1 / trials)
    note = f"{trials} trials, highest pilot {highest:.2f}; 95 % bound {bound:.1e} a trial; in theory 2.3e-10 an attempt"
    return row(finds, "false finds", 0, finds == 0, note)


def rows() -> dict[str, dict[str, Any]]:
    """All rows; see the module's text."""
    cv2.setNumThreads(1)
    originals = clips()
    if not originals:
        return {"all": {"value": None, "unit": "", "target": None, "ok": None, "note": "no clip at hand"}}
    marker, marked, spent = Watermarker(ID), dict[str, Clip](), list[float]()
    for name, frames in originals.items():
        start = time.process_time()
        marked[name] = [marker.embed(f) for f in frames]
        spent.append((time.process_time() - start) / len(frames))
    out: dict[str, dict[str, Any]] = {}
    levels = {n: psnr(originals[n], marked[n]) for n in originals}
    out["lowest PSNR at strength 1"] = row(
        min(levels.values()), "dB", 42, min(levels.values()) >= 42, str({n: round(v, 2) for n, v in levels.items()})
    )
    likeness = [ssim(originals[n], marked[n]) for n in originals]
    out["lowest SSIM at strength 1"] = row(min(likeness), "", 0.97, min(likeness) >= 0.97)
    growth = [coded(marked[n], crf=23)[1] / coded(originals[n], crf=23)[1] for n in originals]
    out["mean growth of the file at crf 23"] = row(
        float(np.mean(growth)), "x", 1.15, float(np.mean(growth)) <= 1.15, str([round(g, 2) for g in growth])
    )
    flicker = [
        float(
            np.mean(
                [np.abs((b.astype(int) - y) - (a.astype(int) - x)).mean() for a, b, x, y in zip(m, m[1:], o, o[1:])]
            )
        )
        for m, o in zip(marked.values(), originals.values())
    ]
    out["highest flicker"] = row(max(flicker), "levels", 0.5, max(flicker) <= 0.5, str([round(v, 2) for v in flicker]))
    out["embedding, CPU time a frame of 512 x 512"] = row(
        1000 * float(np.mean(spent)), "ms", 40, float(np.mean(spent)) <= 0.04
    )
    for name, (attack, share) in ATTACKS.items():
        passed, seconds = 0, 0.0
        for frames in marked.values():
            attacked = attack(frames)
            start = time.process_time()
            passed += verify_frames(attacked).watermark_id == ID
            seconds += time.process_time() - start
        reached = passed / len(marked)
        note = f"{passed} of {len(marked)} clips; {seconds / len(marked):.2f} s CPU a clip to read"
        out[f"id read: {name}"] = row(reached, "of clips", share, reached >= share, note)
    out["false finds"] = false_finds(originals)
    label, frame = VisibleLabel(LabelConfig()), next(iter(originals.values()))[0]
    start = time.process_time()
    for i in range(50):
        label.draw(frame, i)
    spent_ms = (time.process_time() - start) * 20
    out["label, CPU time a frame"] = row(spent_ms, "ms", 5, spent_ms <= 5)
    return out
