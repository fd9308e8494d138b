"""A timer for a deadline that moves all the time."""

import asyncio
import contextvars
import time
from collections.abc import Callable

#: No loop is more exact than this; uvloop would take less for "now", again and again.
SHORTEST = 0.001


class Alarm:
    """Rings when a deadline is due, and not before.

    A deadline mostly moves away, with every frame of audio. Setting a timer each time would cost more than the frame:
    so one that was set stays, and looks when it runs out whether the deadline has moved.

    Args:
        deadline: when it is due, by `time.monotonic`; infinity for never.
        ring: what to do then, given the time.
        context: in which to do it.
    """

    def __init__(
        self, deadline: Callable[[], float], ring: Callable[[float], None], context: contextvars.Context
    ) -> None:
        self._deadline = deadline
        self._ring = ring
        self._context = context
        self._due = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """The deadline may have come nearer."""
        due = self._deadline()
        if due < self._due:
            self._set(due)

    def stop(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, due: float) -> None:
        self.stop()
        self._due = due
        delay = max(due - time.monotonic(), SHORTEST)
        self._timer = asyncio.get_running_loop().call_later(delay, self._run_out, context=self._context)

    def _run_out(self) -> None:
        self._due, self._timer = float("inf"), None
        now = time.monotonic()
        due = self._deadline()
        if due == float("inf"):
            return
        if due > now:
            self._set(due)
        else:
            self._ring(now)
            self.look()
