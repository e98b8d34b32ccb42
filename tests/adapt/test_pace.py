"""The time left is a rule of three, told only once there is a pace."""

from __future__ import annotations

import pytest

from ggtalker_core.adapt import AdaptConfig, pace


def test_time_left(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    clock = pace.TimeLeft(1010)
    now[0] = 150.0  # the first piece loads and compiles: not the pace of the others
    assert clock.after(10) == ""
    now[0] = 151.0
    assert clock.after(10) == ""
    now[0] = 170.0
    assert clock.after(90) == ", about 3 min left"  # 100 of 1000 in 20 s
    now[0] = 230.0
    assert clock.after(800) == ", about 9 s left"
    assert clock.after(500) == ", about 0 s left"


def test_a_throttle_lets_the_first_one_through(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    throttle = pace.Throttle(2.0)
    assert throttle.due() and not throttle.due()
    now[0] = 2.1
    assert throttle.due()


def test_the_work_counts_every_stage():
    config = AdaptConfig.standard()
    assert config.work == pytest.approx(sum(stage.work for stage in config.stages) + config.inpainter.work)
    assert config.fit_work < config.work
    assert config.scaled(2).work == pytest.approx(2 * config.work)


def test_steps_end_a_stage_and_shares_rise():
    assert list(pace.paced(4)) == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]
    assert list(pace.paced(0)) == [] == list(pace.paced(0, minutes=1.0))


def test_the_clock_ends_a_stage(monkeypatch: pytest.MonkeyPatch):
    now = iter([0.0, 20.0, 40.0, 61.0])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(now))
    assert list(pace.paced(1000, minutes=1.0)) == [(0, 0.0), (1, 20 / 60), (2, 40 / 60)]
