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


def test_the_cost_counts_every_stage():
    config = AdaptConfig.draft()
    assert config.cost == pytest.approx(
        sum(stage.steps * stage.cost for stage in config.stages) + config.inpainter.steps * config.inpainter.cost
    )
    assert config.scaled(2).cost == pytest.approx(2 * config.cost)
