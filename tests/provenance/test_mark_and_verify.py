"""Marking a lazy video, writing it, and reading everything back; also from files that mean harm."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ggtalker_core.errors import (
    ConsentRequiredError,
    GGTalkerError,
    IncompatibleFileError,
    InvalidInputError,
    LimitExceededError,
    UnreadableFileError,
)
from ggtalker_core.files import Limits
from ggtalker_core.provenance import (
    LabelConfig,
    Manifest,
    ManifestStore,
    SearchConfig,
    Watermarker,
    check_consent,
    mark,
    verify,
    verify_frames,
)
from ggtalker_core.provenance.consent import trial_consent
from ggtalker_core.types import ConsentRecord, RgbaFrame, TalkingVideo

from .helpers import FPS, ID, read, textured_clip, write

QUICK = SearchConfig(flip=False, geometry=False)


@dataclasses.dataclass(frozen=True)
class Frames:
    pictures: list[np.ndarray]
    alpha: np.ndarray | None = None

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        for picture in self.pictures[start:stop]:
            yield RgbaFrame(picture, self.alpha)


def video_of(pictures: list[np.ndarray], alpha: np.ndarray | None = None) -> TalkingVideo:
    height, width = pictures[0].shape[:2]
    return TalkingVideo(Frames(pictures, alpha), len(pictures), (width, height), FPS, None)


def pictures_of(video: TalkingVideo) -> list[np.ndarray]:
    return [frame.rgb for frame in video.frames()]


def test_from_mark_to_file_and_back(tmp_path: Path, clip: list[np.ndarray]):
    video = mark(video_of(clip), label=LabelConfig(), watermark_id=ID, store=tmp_path / "store")
    path = write(tmp_path / "a.mp4", pictures_of(video), 18, dict(video.marks))
    report = verify(path)
    assert (report.found, report.watermark_id, report.state) == (True, ID, "marked")
    assert report.confidence == 1.0 and report.finding.false_positive_bound < 1e-8
    assert report.manifest is not None and report.manifest.visible == report.label == "AI GENERATED"
    assert "pixels and manifest agree" in report.text()
    data = json.loads(report.to_json())
    assert data["watermark_id"] == ID and data["found"] is True and data["manifest"]["invisible"] == "on"
    aigc = json.loads(report.metadata["AIGC"])
    assert aigc["Label"] == "1" and aigc["ProduceID"] == ID
    assert report.metadata["digital_source_type"].endswith("/trainedAlgorithmicMedia")  # no avatar: a pure render


def test_a_stripped_and_recoded_file_is_recovered_from_the_store(tmp_path: Path, clip: list[np.ndarray]):
    video = mark(video_of(clip), watermark_id=ID, store=tmp_path / "store", note="scene 1")
    first = write(tmp_path / "a.mp4", pictures_of(video), 18, dict(video.marks))
    again = write(tmp_path / "b.mp4", read(first), 28)
    report = verify(again, store=tmp_path / "store")
    assert (report.watermark_id, report.state, report.manifest_from) == (ID, "recovered", "store")
    assert report.manifest is not None and report.manifest.note == "scene 1"
    assert verify(again).state == "marked_unknown"


def test_frames_are_the_same_in_any_order(clip: list[np.ndarray]):
    video = mark(video_of(clip), label=LabelConfig(duration="start"), watermark_id=ID)
    whole = pictures_of(video)
    part = [frame.rgb for frame in video.frames(4, 6)]
    assert all(np.array_equal(a, b) for a, b in zip(whole[4:6], part))


def test_nothing_is_rendered_before_somebody_pulls(clip: list[np.ndarray]):
    class Explodes:
        def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
            raise AssertionError("pulled")

    mark(dataclasses.replace(video_of(clip), source=Explodes()), label=LabelConfig())


def test_switched_off_is_written_down(tmp_path: Path, clip: list[np.ndarray]):
    video = mark(video_of(clip[:2]), watermark=False, watermark_id=ID)
    assert np.array_equal(pictures_of(video)[0], clip[0])
    path = write(tmp_path / "a.mp4", pictures_of(video), 18, dict(video.marks))
    report = verify(path, search=QUICK)
    assert (report.found, report.state, report.confidence) == (False, "declared_only", 0.0)
    assert "turned off by the user" in report.text()


def test_an_unmarked_file_gives_nothing(tmp_path: Path, clip: list[np.ndarray]):
    report = verify(write(tmp_path / "a.mp4", clip[:4], 23))
    assert (report.found, report.watermark_id, report.state, report.manifest) == (False, None, "nothing", None)
    assert "proves nothing" in report.text()


def test_marking_twice_embeds_once(clip: list[np.ndarray]):
    once = mark(video_of(clip[:2]), watermark_id=ID)
    twice = mark(once, watermark_id=ID)
    assert np.array_equal(pictures_of(once)[0], pictures_of(twice)[0])
    with pytest.raises(InvalidInputError, match="already carries"):
        mark(once, watermark_id="f" * 16)
    assert Manifest.from_json(mark(once, watermark=False).marks["ggtalker_manifest"]).invisible == "on"


def test_alpha_is_kept_and_transparent_stays_black(clip: list[np.ndarray]):
    alpha = np.zeros((512, 512), np.uint8)
    alpha[:, 256:] = 255
    pictures = [np.where(alpha[..., None] > 0, p, 0).astype(np.uint8) for p in clip[:2]]
    frame = next(iter(mark(video_of(pictures, alpha), watermark_id=ID).frames()))
    assert frame.alpha is not None and np.array_equal(frame.alpha, alpha)
    assert frame.rgb[:, :256].max() == 0 and (frame.rgb[:, 256:] != pictures[0][:, 256:]).any()
    assert verify_frames([frame.rgb]).watermark_id == ID
    labelled = next(iter(mark(video_of(pictures, alpha), label=LabelConfig(corner="top_left")).frames()))
    assert labelled.alpha is not None and (labelled.alpha[:, :256] > 0).any()
    flat = next(iter(mark(video_of(pictures, alpha), background=(0, 200, 0)).frames()))
    assert flat.alpha is None and abs(float(flat.rgb[300, :200, 1].mean()) - 200) < 2


def test_too_small_or_odd_requests_are_refused(clip: list[np.ndarray]):
    small = video_of([np.zeros((64, 64, 3), np.uint8)])
    with pytest.raises(InvalidInputError, match="too small"):
        mark(small)
    assert mark(small, watermark=False).marks["ggtalker_watermark_id"]
    with pytest.raises(InvalidInputError, match="does not fit"):
        mark(video_of([np.zeros((12, 12, 3), np.uint8)]), watermark=False, label=LabelConfig())
    with pytest.raises(InvalidInputError, match="16 lower-case"):
        mark(video_of(clip), watermark_id="../../x")


def test_an_image_can_be_verified(tmp_path: Path, clip: list[np.ndarray]):
    path = tmp_path / "still.jpg"
    cv2.imwrite(str(path), Watermarker(ID).embed(clip[0])[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
    assert verify(path).watermark_id == ID


def test_pixels_and_tags_that_disagree(tmp_path: Path, clip: list[np.ndarray]):
    mine, other = mark(video_of(clip), watermark_id=ID), mark(video_of(clip), watermark_id="f" * 16)
    report = verify(write(tmp_path / "a.mp4", pictures_of(mine), 18, dict(other.marks)))
    assert report.state == "contradiction" and ID in report.text() and "f" * 16 in report.text()


HOSTILE = [
    "", "{", "[]", "null", "1e999", "[" * 5000, "{}", '{"format":"ggtalker.manifest"}', "\ud800",
    '{"format":"ggtalker.manifest","format_version":1}',
    '{"format":"ggtalker.manifest","format_version":99,"watermark_id":"0123456789abcdef"}',
    '{"format":"ggtalker.manifest","format_version":1,"watermark_id":"../../../../etc/x"}',
    '{"format":"ggtalker.manifest","format_version":1,"watermark_id":"0123456789abcdef","invisible":{"a":1}}',
    '{"format":"ggtalker.manifest","format_version":1,"watermark_id":"0123456789abcdef","consent":7}',
    '{"format":"ggtalker.manifest","format_version":1,"watermark_id":"0123456789abcdef","invisible":"on",'
    '"visible":"x","created":"y","consent":{"basis":["self"],"statement":"s","date":"d"}}',
    "x" * 70_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_manifests_are_refused_cleanly(text: str):
    with pytest.raises(IncompatibleFileError):
        Manifest.from_json(text)


def test_mutated_manifests_never_crash():
    good = Manifest(ID, "on", "AI", "2026-01-01T00:00:00+00:00", consent=ConsentRecord("self", "me", "2026-01-01"))
    text = good.to_json()
    assert Manifest.from_json(text) == good
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(3000):
        data = bytearray(text.encode())
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        try:
            Manifest.from_json(data.decode("utf-8", "replace"))
        except IncompatibleFileError:
            refused += 1
    assert refused > 500


def test_a_hostile_tag_in_a_file_is_reported_not_obeyed(tmp_path: Path, clip: list[np.ndarray]):
    path = write(tmp_path / "a.mp4", clip[:2], 23, {"ggtalker_manifest": '{"format":"ggtalker.manifest"}'})
    report = verify(path, search=QUICK)
    assert report.state == "contradiction" and "cannot be read" in report.text()


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UnreadableFileError, match="could not be written"):
        ManifestStore(tmp_path / "file" / "store").put(Manifest(ID, "on", "AI", "2026-01-01T00:00:00+00:00"))


def test_the_store_keeps_history_and_only_takes_ids(tmp_path: Path):
    store = ManifestStore(tmp_path / "deep" / "store")
    assert store.get(ID) is None and not store.folder.exists()
    first = Manifest(ID, "on", "none", "2026-01-01T00:00:00+00:00", note="first")
    store.put(first)
    store.put(dataclasses.replace(first, note="second"))
    assert [m.note for m in store.all(ID)] == ["first", "second"]
    newest = store.get(ID)
    assert newest is not None and newest.note == "second"
    (store.folder / f"{ID}.jsonl").open("a").write(
        "garbage\n" + dataclasses.replace(first, watermark_id="f" * 16).to_json()
    )
    assert len(store.all(ID)) == 2
    assert [p.name for p in store.folder.iterdir()] == [f"{ID}.jsonl"]
    for bad in ("../x", "", "0123456789ABCDEF", f"{ID}/..", f"{ID}\n"):
        with pytest.raises(InvalidInputError):
            store.get(bad)


def bad_files(folder: Path) -> dict[str, type[GGTalkerError]]:
    (folder / "plain.mp4").write_bytes(write(folder / "good.mp4", textured_clip(2, 160, 160), 23).read_bytes())
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("ffconcat version 1.0\nfile plain.mp4\n")
    (folder / "list.mp4").write_text("#EXTM3U\n#EXTINF:1\nplain.mp4\n")
    (folder / "cut.mp4").write_bytes((folder / "plain.mp4").read_bytes()[:200])
    (folder / "fake.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "what.exe").write_bytes(b"MZ")
    (folder / "folder.mp4").mkdir()
    return dict.fromkeys(
        ("missing.mp4", "empty.mp4", "text.mp4", "list.mp4", "cut.mp4", "fake.png", "what.exe", "folder.mp4"),
        UnreadableFileError,
    )


def test_files_that_cannot_be_verified(tmp_path: Path):
    for name, error in bad_files(tmp_path).items():
        with pytest.raises(error, match=name.replace(".", r"\.")):
            verify(tmp_path / name)
    with pytest.raises(LimitExceededError, match="160x160"):
        verify(tmp_path / "plain.mp4", limits=Limits(max_side_px=100))


TODAY = datetime.date(2026, 6, 1)
GOOD = ConsentRecord("self", "This is me.", "2026-05-01", "2027-05-01")


def test_consent_that_holds():
    assert check_consent(GOOD, TODAY) is GOOD
    check_consent(dataclasses.replace(GOOD, expires="2026-06-01"), TODAY)  # its last day
    check_consent(dataclasses.replace(GOOD, expires=None), TODAY)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (None, "none was given"),
        (dataclasses.replace(GOOD, basis="found it"), "Unknown basis"),
        (dataclasses.replace(GOOD, statement="  "), "statement"),
        (dataclasses.replace(GOOD, statement="x" * 5000), "statement"),
        (dataclasses.replace(GOOD, date="1 May"), "not a day"),
        (dataclasses.replace(GOOD, date="2026-06-03"), "future"),
        (dataclasses.replace(GOOD, expires="2026-05-31"), "expired on 2026-05-31"),
        (dataclasses.replace(GOOD, expires="soon"), "expiry"),
        (dataclasses.replace(GOOD, basis="trial"), "A trial"),
        (dataclasses.replace(GOOD, basis="trial", expires=None), "A trial"),
    ],
)
def test_consent_that_does_not(record: ConsentRecord | None, says: str):
    with pytest.raises(ConsentRequiredError, match=says):
        check_consent(record, TODAY)


def test_a_trial_says_so_ends_tomorrow_and_keeps_its_marks(clip: list[np.ndarray]):
    record = trial_consent("a test was run.")
    day = datetime.date.fromisoformat(record.date)
    assert check_consent(record) is record and record.statement == "No consent was stated: a test was run."
    check_consent(record, day + datetime.timedelta(days=1))
    with pytest.raises(ConsentRequiredError, match="expired"):
        check_consent(record, day + datetime.timedelta(days=2))
    avatar = SimpleNamespace(info=SimpleNamespace(consent=record))
    video = dataclasses.replace(video_of(clip[:1]), avatar=avatar)
    for off in ({"label": None}, {"label": LabelConfig(), "watermark": False}, {"label": LabelConfig(preset="none")}):
        with pytest.raises(ConsentRequiredError, match="stay on"):
            mark(video, **off)
