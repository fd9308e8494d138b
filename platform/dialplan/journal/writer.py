"""The writer's side of the journal: a loop that takes what waits, and tries until it is written."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dialplan.journal.backlog import Backlog
from dialplan.journal.engines import TROUBLE
from dialplan.journal.rows import Noted
from dialplan.journal.store import NO_ROW, Store, is_of_rows, told
from dialplan.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much and how often; seconds where nothing else is said."""

    gather: float = 0.02
    """What happens meanwhile is written in one transaction."""
    batch: int = 500
    """Entries in one transaction,"""
    batch_bytes: int = 2_000_000
    """and how much they may be."""
    bound: int = 32_000_000
    """Bytes that wait."""
    retry: float = 0.1
    """Until the next try; twice as long after each."""
    retry_most: float = 5.0
    attempt: float = 10.0
    """That one try may take."""
    sweep: float = 3600.0
    """Between looks for calls that were kept long enough."""
    flush: float = 3.0
    """For what is left, when the process ends."""


class Writer:
    """Writes what waits. Lives in the journal's thread, but for `waiting`, `awake`, `days` and `in_trouble`."""

    def __init__(self, store: Store, pace: Pace, metrics: Metrics) -> None:
        self.waiting = Backlog(pace.bound)
        self.awake = True
        """It will look at what waits without being woken."""
        self.days: Mapping[str, int | None] = {}
        self._store = store
        self._pace = pace
        self._metrics = metrics
        self._batch: list[Noted] = []
        self._woken = asyncio.Event()
        self._closing = asyncio.Event()
        self._pause = 0.0
        self._sweep_at = 0.0
        self._failures = 0

    @property
    def in_trouble(self) -> bool:
        """It cannot write now. Once is usual: somebody else writes, a connection has grown old."""
        return self._failures > 1

    def wake(self) -> None:
        """There is something to write."""
        self._woken.set()

    def close(self) -> None:
        """Write what is left, and end."""
        self._closing.set()
        self._woken.set()

    async def run(self) -> None:
        """Write until `close`; then what is left, as long as that takes no longer than it may."""
        while not self._closing.is_set():
            await self._try()
            await self._rest()
        # A try is not cut off: what SQLite's own thread has to tell by then must find us here.
        late = asyncio.get_running_loop().time() + self._pace.flush
        while self.waiting and asyncio.get_running_loop().time() < late:
            await self._try()
            await asyncio.sleep(min(self._pause, self._pace.retry))
        await self._store.reopen()

    async def _rest(self) -> None:
        """Until there is something to do; after a failure, until the next try is due."""
        seconds = self._pause or self._sweep_at - asyncio.get_running_loop().time()
        event = self._closing if self._pause else self._woken
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        if not self._pause:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.gather):
                    await self._closing.wait()

    async def _try(self) -> None:
        """Once. Whatever goes wrong, what was to be written still waits."""
        self._take()
        try:
            async with asyncio.timeout(self._pace.attempt):
                await self._write(self._batch)
                self.waiting.done(self._batch)
                self._batch = []
                await self._sweep()
        except Exception as exc:  # noqa: BLE001 -- drivers raise what nobody expects; the thread must live
            await self._failed(exc)
        else:
            self._succeeded()

    def _take(self) -> None:
        # In this order: who appends after this looks at `awake` after it, and wakes us.
        self.awake = False
        self._woken.clear()
        self._batch = self._batch or self.waiting.take(self._pace.batch, self._pace.batch_bytes)
        if self.waiting.any:
            self._woken.set()

    async def _write(self, batch: Sequence[Noted]) -> None:
        """One entry that no database takes must not keep back the others: it is looked for by halves."""
        await self._store.ready()  # What is raised here blames no entry.
        if not batch:
            return
        try:
            await self._store.write(batch)
        except (*TROUBLE, *NO_ROW) as exc:
            if not is_of_rows(exc):
                raise
            await self._write_halves(batch, exc)

    async def _write_halves(self, batch: Sequence[Noted], exc: Exception) -> None:
        if len(batch) == 1:
            logger.error("an entry of %s cannot be kept: %s", batch[0].call.id, told(exc))
            self._metrics.journal_lost.inc()
            return
        half = len(batch) // 2
        await self._write(batch[:half])
        await self._write(batch[half:])

    async def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._sweep_at:
            return
        gone = await self._store.sweep(self.days, datetime.now(UTC))
        if gone:
            logger.info("%d calls were kept long enough, and are deleted", gone)
        self._sweep_at = now if gone else now + self._pace.sweep

    async def _failed(self, exc: Exception) -> None:
        self._failures += 1
        self._pause = min(max(self._pause * 2, self._pace.retry), self._pace.retry_most)
        if self._failures == 2:
            logger.error("records cannot be written to %s (%s); calls go on", self._store.database.shown, told(exc))
        with contextlib.suppress(Exception):
            await self._store.reopen()

    def _succeeded(self) -> None:
        if self.in_trouble:
            logger.info("records are written again")
        self._failures, self._pause = 0, 0.0
