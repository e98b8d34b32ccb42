"""Sharing a stage among threads: every part once, errors come out, callers and processes do not disturb each other."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

import pytest

from ggtalker_core.render.cpu.threads import ranges, spread


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_part_is_done_once(threads: int) -> None:
    done: list[int] = []
    spread(done.append, list(range(37)), threads)
    assert sorted(done) == list(range(37))


def test_work_goes_on_where_one_worker_is_held_back() -> None:
    """A worker that the system stops must not take its share of the rest with it."""
    done: list[tuple[int, int]] = []
    held = threading.Event()

    def job(part: int) -> None:
        if part == 0:
            held.wait(5)
        done.append((part, threading.get_ident()))
        if part == 8:
            held.set()

    spread(job, list(range(9)), 2)
    assert done[-1][0] == 0 and len({who for part, who in done if part > 0}) == 1


def test_an_error_in_any_part_comes_out_after_all_workers_have_stopped() -> None:
    running: list[int] = []

    def job(part: int) -> None:
        running.append(part)
        time.sleep(0.01)
        running.remove(part)
        if part == 3:
            raise ValueError("part 3")

    for threads in (1, 2, 4):
        with pytest.raises(ValueError, match="part 3"):
            spread(job, list(range(50)), threads)
        assert not running


def test_callers_that_want_more_workers_do_not_break_those_that_wait() -> None:
    wrong: list[BaseException] = []

    def caller(threads: int) -> None:
        try:
            for _ in range(40):
                done: list[int] = []
                spread(done.append, list(range(20)), threads)
                assert len(done) == 20
        except BaseException as error:  # told by the list below
            wrong.append(error)

    callers = [threading.Thread(target=caller, args=(n,)) for n in (2, 3, 4, 6, 9)]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """Also when the fork falls into a moment in which the pool is locked."""
    spread(lambda part: None, [1, 2, 3, 4], 2)
    from ggtalker_core.render.cpu import threads

    with threads._guard:
        child = multiprocessing.get_context("fork").Process(target=spread, args=(abs, [1, 2, 3], 2))
        child.start()
    child.join(20)
    alive = child.is_alive()
    if alive:
        child.kill()
    assert not alive and child.exitcode == 0


def test_ranges_cover_everything_without_short_pieces() -> None:
    for count, parts, multiple, least in ((100, 3, 16, 16), (16, 8, 16, 16), (262_144, 8, 16, 16_384), (37, 4, 1, 5)):
        cut = ranges(count, parts, multiple, least)
        assert cut[0][0] == 0 and cut[-1][1] == count and len(cut) <= parts
        assert all(a[1] == b[0] for a, b in zip(cut, cut[1:])) and all(a % multiple == 0 for a, _ in cut)
        assert len(cut) == 1 or min(b - a for a, b in cut) >= min(least, multiple)
