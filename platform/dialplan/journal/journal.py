"""What a process keeps of its calls: they append to a deque and go on; a thread of its own writes.

Whatever the database does, the audio's loop knows nothing of it. What cannot be written waits, up to a bound; beyond
that the oldest is lost and counted, since the newest belongs to calls that still go on.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from dialplan.call.history import Recollection
from dialplan.call.record import Began, Ended, Entry
from dialplan.errors import JournalError
from dialplan.facts import Call
from dialplan.journal.address import Database
from dialplan.journal.rows import Noted
from dialplan.journal.store import Store, told
from dialplan.journal.writer import Pace, Writer
from dialplan.metrics import Metrics

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


#: That a call waits for what is known of it to be written, before another process is asked to carry it on.
WRITTEN_SECONDS = 1.0


class Journal:
    """Keeps what is told of calls. An async context manager: leaving it writes what is left, for a bounded time."""

    def __init__(self, database: Database, metrics: Metrics, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._metrics = metrics
        self._sessions: dict[str, tuple[Began, int, int]] = {}
        self._store = Store(database)
        self._writer = Writer(self._store, self._pace, metrics)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        metrics.journal_waiting.set_function(lambda: len(self._writer.waiting))

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(self._writer.close)
        await asyncio.to_thread(self._thread.join, self._pace.flush + 1.0)
        if left := len(self._writer.waiting):
            self._metrics.journal_lost.inc(left)
            logger.error("%d entries of records could not be written, and are lost", left)

    def observe(self, call: Call, entry: Entry) -> None:
        """Keep this too. Never waits."""
        if isinstance(entry, Began):
            self._sessions[call.id] = entry, time.time_ns() // 1000, 0
        if call.id not in self._sessions:
            return  # What comes after the end is of no session.
        began, session, seq = self._sessions[call.id]
        self._sessions[call.id] = began, session, seq + 1
        if isinstance(entry, Ended):
            del self._sessions[call.id]
        self._put(Noted(call, began, session, seq, time.time(), entry))

    def keep(self, days: Mapping[str, int | None]) -> None:
        """From here on agents keep their calls so long, by their names."""
        self._writer.days = days

    async def recall(self, call_id: str, before: int | None = None) -> Recollection | None:
        """What is known of a call, by whichever process; None where that is nothing.

        Args:
            call_id: which one.
            before: leave out this attempt and later ones; None for all.

        Raises:
            JournalError: the database cannot tell now.
        """
        return await self._ask(self._store.recall(call_id, before))

    async def was_heard(self, call_id: str) -> bool:
        """Whether a call has had its caller on the line before, in a session that is not the newest one here.

        Raises:
            JournalError: the database cannot tell now.
        """
        _, session, _ = self._sessions.get(call_id, (None, None, 0))
        return await self._ask(self._store.was_heard(call_id, session))

    async def _ask(self, asking: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asking, self._loop))
        except Exception as exc:
            asking.close()  # Where there is no loop any more, nobody has begun with it.
            raise JournalError(f"{self._store.database.shown} cannot be asked: {told(exc)}") from exc

    async def written(self) -> None:
        """Wait until all that was observed so far is in the database; no longer than a moment, and not for one that
        is in trouble."""
        writer, last = self._writer, self._writer.waiting.put_in
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WRITTEN_SECONDS):
                while writer.waiting.gone < last and not writer.in_trouble:  # noqa: ASYNC110 -- another thread writes
                    await asyncio.sleep(self._pace.gather / 4)

    def _put(self, noted: Noted) -> None:
        writer = self._writer
        if lost := writer.waiting.put(noted):
            self._metrics.journal_lost.inc(lost)
        if not writer.awake:
            writer.awake = True
            self._tell(writer.wake)

    def _tell(self, what: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # The thread has ended; what waits is counted.
            self._loop.call_soon_threadsafe(what)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._writer.run())
        finally:
            self._loop.close()
