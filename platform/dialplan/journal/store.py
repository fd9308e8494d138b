"""One database as the writer sees it: opened when it is needed, and anew after any trouble."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from dialplan.call.history import Recollection
from dialplan.config.files import stamp_of
from dialplan.errors import JournalError
from dialplan.journal import engines, reading, writing
from dialplan.journal.address import Database
from dialplan.journal.rows import Noted
from dialplan.journal.schema import prepare

#: What making a row of an entry can raise.
NO_ROW = (ValueError, TypeError, ArithmeticError)

#: Classes of PostgreSQL's error codes that blame what was to be written: data, integrity, size.
_OF_ROWS = ("22", "23", "54")


def is_of_rows(exc: Exception) -> bool:
    """Whether it is what was to be written that cannot be written: trying again would not help."""
    if isinstance(exc, DBAPIError):
        code = str(getattr(exc.orig, "sqlstate", None) or "")
        return isinstance(exc, DataError | IntegrityError) or code[:2] in _OF_ROWS
    return isinstance(exc, (StatementError, *NO_ROW))


def told(exc: Exception) -> str:
    """What went wrong, in a line. What was to be written is nothing for a log."""
    cause = getattr(exc, "orig", None) or exc
    lines = str(cause).splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__


class Store:
    """Where entries go. Every method may raise what is in `engines.TROUBLE`; `reopen` then begins anew."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._engine: AsyncEngine | None = None
        self._file = (0, 0)
        self._opening = asyncio.Lock()

    async def ready(self) -> AsyncEngine:
        """The database with its tables."""
        async with self._opening:  # Whoever asks meanwhile would open it a second time.
            if self._engine is None or _identity(self.database.file) != self._file:
                self._engine = await self._opened()
            return self._engine

    async def _opened(self) -> AsyncEngine:
        await self.reopen()
        engine = engines.opened(self.database)
        async with AsyncExitStack() as if_that_fails:
            if_that_fails.push_async_callback(engine.dispose)
            await prepare(engine)
            if_that_fails.pop_all()
        self._file = _identity(self.database.file)
        return engine

    async def reopen(self) -> None:
        """Close it; the next who asks opens it again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    async def write(self, batch: Sequence[Noted]) -> None:
        """Write all of it, or nothing."""
        engine = await self.ready()
        async with engine.begin() as connection:
            await writing.write(connection, batch)
        # SQLite goes on writing into a file that was deleted, and says nothing.
        if _identity(self.database.file) != self._file:
            raise JournalError("the file of the database is gone, or another one")

    async def sweep(self, days: Mapping[str, int | None], now: datetime) -> int:
        """Delete some of what was kept long enough; zero: that was all."""
        engine = await self.ready()
        async with engine.begin() as connection:
            return await writing.sweep(connection, days, now)

    async def recall(self, call_id: str, before: int | None = None) -> Recollection | None:
        """What is known of a call, of attempts before this one only."""
        engine = await self.ready()
        async with engines.reading(engine).connect() as connection:
            return await reading.recall(connection, call_id, before)

    async def was_heard(self, call_id: str, besides: int | None) -> bool:
        """Whether a call has had its caller on the line, in any session besides this one."""
        engine = await self.ready()
        async with engines.reading(engine).connect() as connection:
            return await reading.was_heard(connection, call_id, besides)


def _identity(file: Path | None) -> tuple[int, int]:
    """Which file it is; nothing where there is none."""
    stamp = stamp_of(file) if file else None
    return stamp.identity if stamp else (0, 0)
