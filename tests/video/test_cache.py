"""The frame cache: once each, correct, from several threads, nothing left behind."""

from __future__ import annotations

import gc
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.types import RgbaFrame
from ggtalker_core.video import CachedRgbaSource

SIZE = (8, 6)


def frame(i: int) -> RgbaFrame:
    rng = np.random.default_rng(i)
    alpha = None if i % 3 == 0 else rng.integers(0, 256, (6, 8), dtype=np.uint8)
    return RgbaFrame(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), alpha)


def same(a: RgbaFrame, b: RgbaFrame) -> bool:
    alphas = (a.alpha is None and b.alpha is None) or np.array_equal(a.alpha, b.alpha)
    return np.array_equal(a.rgb, b.rgb) and alphas


class Counting:
    def __init__(self, count=20, fail_at=None):
        self.made, self.count, self.fail_at = Counter(), count, fail_at

    def frames(self, start=0, stop=None):
        for i in range(start, min(self.count, self.count if stop is None else stop)):
            if i == self.fail_at:
                raise RuntimeError("broken")
            self.made[i] += 1
            yield frame(i)


def test_each_frame_is_made_once_in_any_order():
    source = Counting()
    cached = CachedRgbaSource(source, 20, SIZE)
    for start, stop in ((5, 9), (0, 20), (0, 20), (3, 4), (18, 20)):
        got = list(cached.frames(start, stop))
        assert len(got) == stop - start and all(same(f, frame(start + k)) for k, f in enumerate(got))
    assert set(source.made.values()) == {1} and len(source.made) == 20


def test_two_interleaved_readers():
    source = Counting()
    cached = CachedRgbaSource(source, 20, SIZE)
    for k, (a, b) in enumerate(zip(cached.frames(), cached.frames())):
        assert same(a, frame(k)) and same(b, frame(k))
    assert set(source.made.values()) == {1}


def test_threads():
    source, errors = Counting(60), []
    cached = CachedRgbaSource(source, 60, SIZE)

    def read():
        errors.extend(k for k, f in enumerate(cached.frames()) if not same(f, frame(k)))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == [] and set(source.made.values()) == {1}


def test_a_caller_may_write_into_its_frame():
    cached = CachedRgbaSource(Counting(), 20, SIZE)
    for f in cached.frames(0, 2):
        f.rgb[:] = 0
    assert all(same(f, frame(k)) for k, f in enumerate(cached.frames(0, 2)))


def test_a_failure_passes_through_and_can_be_retried():
    source = Counting(fail_at=4)
    cached = CachedRgbaSource(source, 20, SIZE)
    with pytest.raises(RuntimeError, match="broken"):
        list(cached.frames())
    source.fail_at = None
    assert len(list(cached.frames())) == 20 and source.made[3] == 1


def test_without_room_it_is_made_again():
    source = Counting()
    cached = CachedRgbaSource(source, 20, SIZE, max_bytes=4 * 48 * 10)
    for _ in range(2):
        assert all(same(f, frame(k)) for k, f in enumerate(cached.frames()))
    assert source.made[0] == 1 and source.made[19] == 2


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cached = CachedRgbaSource(Counting(), 20, SIZE)
    list(cached.frames())
    del cached
    gc.collect()
    assert list(Path(tmp_path).iterdir()) == []


def test_bad_ranges_and_sizes():
    cached = CachedRgbaSource(Counting(), 20, SIZE)
    for start, stop in ((-1, 2), (4, 2), (0, 21)):
        with pytest.raises(InvalidInputError):
            cached.frames(start, stop)
    with pytest.raises(InvalidInputError):
        list(CachedRgbaSource(Counting(), 20, (9, 9)).frames())
    with pytest.raises(InvalidInputError):
        list(CachedRgbaSource(Counting(3), 20, SIZE).frames())


def test_the_file_lies_in_the_given_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *a, **k: (asked.append(k["dir"]), real(*a, **k))[1])
    list(CachedRgbaSource(Counting(), 20, SIZE, folder=tmp_path / "deep").frames())
    assert asked == [tmp_path / "deep"] and list((tmp_path / "deep").iterdir()) == []


def test_a_disk_that_fills_up_costs_time_but_no_frame(tmp_path: Path):
    resource = pytest.importorskip("resource")
    source = Counting()
    cached = CachedRgbaSource(source, 20, SIZE, folder=tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        for _ in range(2):
            assert all(same(f, frame(k)) for k, f in enumerate(cached.frames()))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert source.made[0] == 1 and source.made[19] == 2
