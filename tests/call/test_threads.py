"""Threads for functions: reused when they have finished, replaced when they hang."""

import threading
from collections.abc import Iterator

import pytest

from dialplan.call import threads as room
from dialplan.call.threads import Threads


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads()
    yield threads
    threads.stop()


class Work:
    """Notes which thread did it, and waits to be let go."""

    def __init__(self, hangs: bool = False) -> None:
        self.thread = threading.current_thread()
        self.begun, self.let_go = threading.Event(), threading.Event()
        if not hangs:
            self.let_go.set()

    def __call__(self) -> None:
        self.thread = threading.current_thread()
        self.begun.set()
        self.let_go.wait(10)


def done(threads: Threads, *works: Work) -> None:
    for work in works:
        threads.run(work, "f")
        assert work.begun.wait(10)


def until_idle(threads: Threads, count: int) -> None:
    while len(threads._idle) < count:
        pass


def test_a_thread_that_has_finished_does_the_next_work(threads: Threads) -> None:
    first, second = Work(), Work()

    done(threads, first)
    until_idle(threads, 1)
    done(threads, second)

    assert first.thread is second.thread
    assert second.thread.daemon
    assert second.thread.name == "f"


def test_a_thread_that_hangs_keeps_nobody_waiting(threads: Threads) -> None:
    hanging, other = Work(hangs=True), Work()

    done(threads, hanging, other)
    hanging.let_go.set()

    assert hanging.thread is not other.thread


def test_a_thread_without_work_ends_after_a_while(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "IDLE_SECONDS", 0.01)
    work, next_one = Work(), Work()

    done(threads, work)
    work.thread.join(10)
    done(threads, next_one)

    assert not work.thread.is_alive()
    assert next_one.thread is not work.thread


def test_when_it_stops_idle_threads_end_and_busy_ones_end_with_their_work() -> None:
    threads = Threads()
    idle, busy = Work(), Work(hangs=True)
    done(threads, busy, idle)
    until_idle(threads, 1)

    threads.stop()
    busy.let_go.set()

    for work in (idle, busy):
        work.thread.join(10)
        assert not work.thread.is_alive()
