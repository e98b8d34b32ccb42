"""The invisible mark: unattacked, after real coding, deformed, with the wrong key, and on frames of odd sizes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.provenance.carriers import carriers_of
from ggtalker_core.provenance.config import PUBLIC_KEY, EmbedConfig, SearchConfig
from ggtalker_core.provenance.convolution import encode
from ggtalker_core.provenance.detect import Finding, Reader, mean_feature
from ggtalker_core.provenance.payload import pack
from ggtalker_core.provenance.perception import fold
from ggtalker_core.provenance.watermark import Watermarker

from .helpers import ID, psnr, read, textured_clip, write


@pytest.fixture(scope="module")
def marked(clip: list[np.ndarray]) -> list[np.ndarray]:
    return [Watermarker(ID).embed(frame) for frame in clip]


def find(frames: list[np.ndarray], key: str = PUBLIC_KEY, config: SearchConfig | None = None) -> Finding:
    return Reader(key, config).read(frames)


def test_no_coded_bit_is_wrong_in_a_single_untouched_frame(marked: list[np.ndarray]):
    carriers = carriers_of(PUBLIC_KEY)
    for frame in marked[:3]:
        mean, _ = mean_feature([frame])
        coordinates = carriers.project(fold(mean))
        soft = carriers.gather(carriers.basis.T @ (coordinates * carriers.whitening(coordinates)))
        assert np.array_equal(soft < 0, encode(pack(ID, PUBLIC_KEY)).astype(bool))


def test_informed_embedding_silences_the_picture(clip: list[np.ndarray]):
    # The steering must be worth its time: the picture's own part of the correlations shrinks to under a half.
    carriers = carriers_of(PUBLIC_KEY)
    target = carriers.spread(encode(pack(ID, PUBLIC_KEY)))

    def disturbance(config: EmbedConfig) -> float:
        mean, _ = mean_feature([Watermarker(ID, config=config).embed(clip[0])])
        heard = carriers.basis.T @ (carriers.project(fold(mean)) * carriers.tilt(0.6))
        level = float(heard @ target)
        return float(np.sqrt(np.mean((heard - level * target) ** 2))) / level

    assert disturbance(EmbedConfig()) < 0.5 * disturbance(EmbedConfig(iterations=0))


def test_the_mark_is_faint_and_the_input_untouched(clip: list[np.ndarray], marked: list[np.ndarray]):
    before = textured_clip()
    assert all(np.array_equal(a, b) for a, b in zip(clip, before))
    assert psnr(clip, marked) >= 42.0
    change = [m.astype(int) - c for m, c in zip(marked, clip)]
    for before, after, difference in zip(clip, marked, change):
        free = ((before > 4) & (before < 251) & (after > 0) & (after < 255)).all(axis=2)
        assert np.ptp(difference[free], axis=1).max() == 0  # luma only: no colour cast
    flicker = np.mean([np.abs(b - a).mean() for a, b in zip(change, change[1:])])
    assert flicker < 0.8 * np.mean([np.abs(d).mean() for d in change])


@pytest.mark.parametrize("crf", [18, 28])
def test_the_id_survives_x264(tmp_path, marked: list[np.ndarray], crf: int):
    finding = find(read(write(tmp_path / "a.mp4", marked, crf)))
    assert finding.watermark_id == ID
    assert finding.attempts == 1 and finding.pilot > 6


def jpeg(frame: np.ndarray) -> np.ndarray:
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 50])
    return cv2.imdecode(data, 1)


def rotate(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return cv2.warpAffine(frame, cv2.getRotationMatrix2D((width / 2, height / 2), 2.0, 1), (width, height))


ATTACKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half size": lambda f: cv2.resize(f, (256, 256), interpolation=cv2.INTER_AREA),
    "double size": lambda f: cv2.resize(f, (1024, 1024), interpolation=cv2.INTER_CUBIC),
    "half the area": lambda f: f[57:419, 91:453],
    "jpeg 50": jpeg,
    "darker": lambda f: (f * 0.7).astype(np.uint8),
    "blurred": lambda f: cv2.GaussianBlur(f, (0, 0), 1.5),
    "mirrored": lambda f: f[:, ::-1].copy(),
    "padded": lambda f: np.pad(f, ((128, 128), (0, 0), (0, 0))),
    "squeezed": lambda f: cv2.resize(f, (563, 461)),
    "turned by 2 degrees": rotate,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_id_survives_in_one_frame(marked: list[np.ndarray], name: str):
    finding = find([ATTACKS[name](marked[0])])
    assert finding.watermark_id == ID, finding
    assert finding.geometry.flipped == (name == "mirrored")


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (333, 251), (256, 256), (1080, 1080), (129, 600)])
def test_other_sizes(tmp_path, size: tuple[int, int]):
    frames = textured_clip(6, size[1], size[0])
    marked = [Watermarker(ID).embed(f) for f in frames]
    assert marked[0].shape == frames[0].shape
    assert psnr(frames, marked) >= 42.0
    assert find(marked).watermark_id == ID
    if min(size) >= 720:  # what is larger than the reference carries the mark enlarged: it outlives a phone's copy
        small = [cv2.resize(m, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA) for m in marked]
        assert find(small).watermark_id == ID


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (127, 4000)])
def test_frames_too_small_are_refused_with_the_remedy(size: tuple[int, int]):
    with pytest.raises(InvalidInputError, match=rf"{size[0]}x{size[1]} pixels is too small .* 128"):
        Watermarker(ID).embed(np.zeros((size[1], size[0], 3), np.uint8))


@pytest.mark.parametrize(("shape", "kind"), [((200, 200), "u1"), ((200, 200, 4), "u1"), ((200, 200, 3), "f4")])
def test_wrong_frames_are_refused(shape: tuple[int, ...], kind: str):
    with pytest.raises(InvalidInputError, match="uint8 frames"):
        Watermarker(ID).embed(np.zeros(shape, kind))


@pytest.mark.parametrize("strength", [0.0, -1.0, float("nan"), 5.0])
def test_wrong_strengths_are_refused(strength: float):
    with pytest.raises(InvalidInputError, match="strength"):
        Watermarker(ID, strength=strength)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_frames_are_marked_without_fuss(level: int):
    frame = np.full((512, 512, 3), level, np.uint8)
    assert find([Watermarker(ID).embed(frame)]).watermark_id == ID


def test_nothing_is_found_where_nothing_is(clip: list[np.ndarray], marked: list[np.ndarray]):
    quick = SearchConfig(flip=False, geometry=False)
    assert find(clip, config=quick).watermark_id is None
    assert find(marked, key="another key", config=quick).watermark_id is None


def test_no_false_find_in_many_trials(clip: list[np.ndarray], marked: list[np.ndarray]):
    # One scale, many keys, marked and unmarked pictures: no pilot comes near what marks reach, no check passes.
    tiny, pilots = SearchConfig.tiny(), []
    means = [mean_feature(frames)[0] for frames in (clip, marked, textured_clip(2, seed=5))]
    for trial in range(8):
        reader = Reader(f"wrong {trial}", tiny)
        for mean in means:
            for shift in range(0, 128, 16):
                finding = reader.search(np.roll(mean, (shift, 3 * shift), (0, 1)))
                assert finding.watermark_id is None
                pilots.append(finding.pilot)
    assert len(pilots) == 192 and max(pilots) < 6.5
    assert find(marked, config=tiny).pilot > 10


def test_a_private_key_reads_its_own_marks(clip: list[np.ndarray]):
    marked = Watermarker(ID, key="studio secret").embed(clip[0])
    assert find([marked], key="studio secret").watermark_id == ID


def test_a_reader_without_frames_says_so():
    with pytest.raises(InvalidInputError, match="no frames"):
        find([])
