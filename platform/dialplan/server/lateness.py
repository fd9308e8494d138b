"""How late the event loop is, and with it everybody's audio. A timer that is to come twenty times a second tells."""

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Self

from dialplan.metrics import Metrics

#: Seconds between two looks, and how many of them count: those of the last second.
BEAT = 0.05
BEATS = 20

#: Half a frame. An idle process is late by one or two milliseconds; from here on it is not far to a frame, which is
#: heard as a gap where the network has used up the rest.
LATE_SECONDS = 0.01

#: So many late ones are more than a pause for breath.
MANY = BEATS // 5

#: Of a core: who works less than this is kept waiting by somebody else, and would not be sooner with fewer calls.
BUSY = 0.3


class Lateness:
    """A context manager: looks while it is entered.

    Args:
        metrics: are told every delay.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._noted: deque[tuple[float, float]] = deque(maxlen=BEATS)
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @property
    def is_late(self) -> bool:
        """Whether frames run late, again and again, and the loop's own work is the reason."""
        if sum(delay > LATE_SECONDS for delay, _ in self._noted) < MANY:
            return False
        passed = sum(BEAT + delay for delay, _ in self._noted)
        return sum(worked for _, worked in self._noted) > BUSY * passed

    def note(self, delay: float, worked: float) -> None:
        """One look: the loop was late by so many seconds, and has worked so many since the last one."""
        self._noted.append((delay, worked))
        self._metrics.loop_late_seconds.observe(delay)

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(BEAT, self._beat, loop.time() + BEAT, time.thread_time())

    def _beat(self, due: float, worked_before: float) -> None:
        delay = max(asyncio.get_running_loop().time() - due, 0.0)
        self.note(delay, time.thread_time() - worked_before)
        self._wait()
