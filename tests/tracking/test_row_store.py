"""Rows of a long clip lie in a file, are all there, and do not fill the memory; a full disk brings them back."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.head import load_head
from ggtalker_core.tracking import TrackConfig, fit
from ggtalker_core.tracking.fit import Landmarks, fit_landmarks
from ggtalker_core.tracking.people import breaks_of, shots_of
from ggtalker_core.tracking.row_store import IN_MEMORY, RowStore, blocks
from ggtalker_core.tracking.windows import WINDOW

from .synthetic import moving_head


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def filled(count: int, step: int = 16) -> RowStore:
    store = RowStore((478, 2), np.float32)
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count), dtype=np.float32)
        store.add(np.broadcast_to(rows[:, None, None], (len(rows), 478, 2)))
    return store


@pytest.mark.parametrize("count", [0, 40, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY + 7])
def test_all_rows_come_back_in_order(count: int) -> None:
    rows = filled(count).rows()
    assert rows.values.shape == (count, 478, 2) and rows.values.dtype == torch.float32
    for start, stop in blocks(count):
        assert torch.equal(rows.values[start:stop, 7, 1], torch.arange(start, stop).float())
        rows.let_go()
    if count:
        rows.values[0] = -1.0  # nobody's business but ours
        assert float(rows.values[0].max()) == -1.0


def test_a_full_disk_is_met_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    real = tempfile.TemporaryFile

    class Small:
        def __init__(self) -> None:
            self.file, self.room = real(buffering=0), 2 * IN_MEMORY * 478 * 2 * 4

        def write(self, data: memoryview) -> int:
            if self.room <= 0:
                raise OSError(28, "No space left on device")
            written = self.file.write(data[: self.room])
            self.room -= written
            return written

        def fileno(self) -> int:
            return self.file.fileno()

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Small())
    rows = filled(3 * IN_MEMORY + 5, step=100).rows()
    assert torch.equal(rows.values[:, 3, 0], torch.arange(3 * IN_MEMORY + 5).float())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_was_read_is_given_back() -> None:
    rows, before = filled(20000).rows(), resident_bytes()  # 76 MB
    for start, stop in blocks(20000):
        assert float(rows.values[start:stop].sum()) > 0
        rows.let_go()
    assert resident_bytes() - before < 8e6


def growth() -> float:
    """Bytes a frame by which a process grows in the second half of a clip of 4,200 frames."""
    truth, count = moving_head(140, noise_iod=0.004), 4200
    store = RowStore((478, 2), np.float32)
    for start in range(0, count, 140):
        store.add(truth.landmarks_px.numpy() + 0.01 * (start % 7))
    rows = store.rows()
    let_go: list[int] = []

    def counted() -> None:
        let_go.append(resident_bytes())
        rows.let_go()

    landmarks = Landmarks(
        rows.values, torch.ones(count, dtype=torch.bool), torch.ones(count - 1, dtype=torch.bool), truth.size_px,
        counted,
    )  # fmt: skip
    held: list[tuple[float, int]] = []
    config = dataclasses.replace(TrackConfig.tiny(), n_shape=5, person_iterations=1, motion_iterations=1)
    fitted = fit_landmarks(load_head(), landmarks, config, tick=lambda x: held.append((x, resident_bytes())))
    assert len(fitted.mean_error_px()) == count and landmarks.iod_px() == pytest.approx(truth.iod_px, rel=0.02)
    assert count > fit.LONG and len(let_go) > count // WINDOW + 1, "after the person's frames and after every window"
    windows = [held_now for share, held_now in held if share > 0.36]  # before that the person is found
    early, late = max(windows[: len(windows) // 2]), max(windows[len(windows) // 2 :])
    return (late - early) / (count / 2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_length_of_a_clip() -> None:
    # In a process of its own: what other tests left behind decides how one that has run for long grows.
    code = "from tests.tracking.test_row_store import growth; print(growth())"
    # Larger pieces go back to the system at once, so that what is seen is what is held.
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=quiet, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) < 2000  # the landmarks alone are 3,824


def test_people_are_told_apart_from_rows_in_a_file() -> None:
    count, let_go = 2 * IN_MEMORY, []
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 255, (2, 24, 24)).astype(np.uint8)
    portraits = faces[(np.arange(count) >= 1500).astype(int)]
    points = np.zeros((count, 5, 2)) + rng.normal(size=(1, 5, 2))
    points[1500:] += 50.0
    valid = np.ones(count, bool)
    breaks = breaks_of(points, valid, lambda: let_go.append(1))
    shots = shots_of(breaks, valid, portraits, lambda: let_go.append(1))
    assert [(s.start, s.stop, s.person) for s in shots] == [(0, 1500, 0), (1500, count, 1)] and len(let_go) >= 8
