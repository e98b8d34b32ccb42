"""Work that cannot report can still be cancelled."""

from __future__ import annotations

import threading
import time

import pytest

from ggtalker_core.progress import patiently, silent


class Cancelled(Exception):
    """What a host raises."""


def test_the_result_and_the_error_of_the_work_come_through() -> None:
    asked: list[str] = []
    said = patiently(lambda: time.sleep(0.25) or "done", lambda d, t, m="", p=None: asked.append(m), "loading")
    assert said == "done" and len(asked) >= 2 and set(asked) == {"loading"}
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 // 0, silent)


def test_cancelling_does_not_wait_for_the_work() -> None:
    release, calls = threading.Event(), []

    def cancel(done: int, total: int, message: str = "", preview: object = None) -> None:
        calls.append(done)
        if len(calls) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        patiently(release.wait, cancel)
    release.set()
