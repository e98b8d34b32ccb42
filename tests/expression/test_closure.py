"""Closure recall and precision on made-up gaps with known answers."""

import numpy as np
import pytest

from ggtalker_core.expression.closure import ClosureCount, count_closures

PHONES = [
    (0.0, 0.4, "SIL"), (0.4, 0.2, "AA1"), (0.6, 0.08, "B"), (0.68, 0.3, "IY"), (0.98, 0.1, "M"), (1.08, 0.4, "AH0"),
    (1.48, 0.5, "SIL"),
]  # fmt: skip


def gap(*shut):
    """10 mm everywhere, closed at the given seconds and in the pauses."""
    times = (np.arange(50) + 0.5) / 25
    out = np.full(50, 10.0)
    out[(times < 0.4) | (times > 1.5)] = 0.2
    for s in shut:
        out[np.argmin(np.abs(times - s))] = 0.1
    return out


def test_perfect():
    count = count_closures(gap(0.64, 1.03), PHONES)
    assert (count.recall, count.precision, count.shut_in_vowels) == (1.0, 1.0, 0.0)
    assert np.mean(count.pause_gap) < 0.8


def test_one_missed_one_false():
    count = count_closures(gap(0.64, 0.8), PHONES)
    assert (count.recall, count.precision) == (0.5, 0.5)
    assert 0 < count.shut_in_vowels < 0.1


def test_tolerance_is_forty_milliseconds():
    assert count_closures(gap(0.58, 1.03), PHONES).recall == 1.0
    assert count_closures(gap(0.50, 1.03), PHONES).recall == 0.5


def test_closures_at_a_pause_are_not_judged():
    assert count_closures(gap(0.42), PHONES).right == []


def test_sums():
    total = ClosureCount()
    total.add(count_closures(gap(0.64, 1.03), PHONES))
    total.add(count_closures(gap(), PHONES))
    assert total.recall == 0.5 and len(total.hits) == 4
    assert np.isnan(ClosureCount().precision)


def test_scale_does_not_matter():
    a, b = count_closures(gap(0.64), PHONES), count_closures(gap(0.64) * 1e-3, PHONES)
    assert a.hits == b.hits and a.right == b.right
    assert a.recall == pytest.approx(0.5)
