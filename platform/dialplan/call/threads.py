"""Threads for functions: as many as there are functions at work, none of which can keep the process from ending.

An executor's threads would be waited for when the process ends, and a function that hangs would fill one up for good.
Here a thread that has finished waits a while for more work, since starting one costs more than most functions do; one
that hangs is just never there again.
"""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable

#: Seconds that a thread without work is kept.
IDLE_SECONDS = 30.0


class Threads:
    """May be used from one thread."""

    def __init__(self) -> None:
        self._idle: deque[_Thread] = deque()
        self._stopped = threading.Event()

    def run(self, work: Callable[[], object], name: str) -> None:
        """Do this in a thread, at once. It must not raise.

        Raises:
            RuntimeError: the system has no thread left.
        """
        try:
            thread = self._idle.pop()  # The one whose memory is still warm.
        except IndexError:
            thread = _Thread(self._idle, self._stopped)
            thread.start()
        thread.name = name
        thread.works.put(work)

    def stop(self) -> None:
        """Let those go that have nothing to do; the others end with what they do, if they ever do."""
        self._stopped.set()
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().works.put(None)


class _Thread(threading.Thread):
    def __init__(self, idle: "deque[_Thread]", stopped: threading.Event) -> None:
        super().__init__(daemon=True)
        self.works: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._idle = idle
        self._stopped = stopped

    def run(self) -> None:
        while work := self._next():
            work()
            self._idle.append(self)
            if self._stopped.is_set():
                return

    def _next(self) -> Callable[[], object] | None:
        while True:
            try:
                return self.works.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with contextlib.suppress(ValueError):  # Somebody has just taken it, and work is about to come.
                    self._idle.remove(self)
                    return None
