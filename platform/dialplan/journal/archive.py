"""The records as the commands use them: a database is opened, asked, and closed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dialplan.errors import JournalError
from dialplan.journal import engines, reading, writing
from dialplan.journal.address import Database
from dialplan.journal.reading import OnRecord, Question
from dialplan.journal.rows import Kind
from dialplan.journal.schema import prepare
from dialplan.journal.store import told

#: Calls that are in memory at once.
_PAGE = 100


@asynccontextmanager
async def _opened(database: Database) -> AsyncIterator[AsyncEngine | None]:
    """The database; None where no call has left a record yet.

    Raises:
        JournalError: it cannot be used.
    """
    if database.file is not None and not database.file.exists():
        yield None
        return
    engine = engines.opened(database)
    try:
        await prepare(engine)
        yield engine
    except JournalError:
        raise
    except engines.TROUBLE as exc:
        raise JournalError(f"{database.shown} cannot be used: {told(exc)}") from exc
    finally:
        await engine.dispose()


@asynccontextmanager
async def _read(database: Database) -> AsyncIterator[AsyncConnection | None]:
    async with _opened(database) as engine:
        if engine is None:
            yield None
            return
        async with engines.reading(engine).connect() as connection:
            yield connection


async def listed(database: Database, question: Question, most: int | None) -> list[OnRecord]:
    """The calls that fit, the newest first, with what tells how they ended."""
    found: list[OnRecord] = []
    async with _read(database) as connection:
        ids = await reading.ids_of(connection, question, most) if connection else []
        for start in range(0, len(ids), _PAGE):
            assert connection is not None
            found += await reading.on_record(
                connection, ids[start : start + _PAGE], Kind.BEGAN, Kind.CONNECTED, Kind.ENDED
            )
    return found


async def agents(database: Database) -> list[str]:
    """Every agent that has a call on record."""
    async with _read(database) as connection:
        return await reading.agents(connection) if connection else []


async def whole(database: Database, question: Question) -> AsyncIterator[OnRecord]:
    """The calls that fit, the oldest first, with everything."""
    async with _read(database) as connection:
        ids = (await reading.ids_of(connection, question))[::-1] if connection else []
        for start in range(0, len(ids), _PAGE):
            assert connection is not None
            for call in await reading.on_record(connection, ids[start : start + _PAGE]):
                yield call


async def calls(database: Database, beginnings: Sequence[str]) -> list[OnRecord]:
    """Calls by their ids, or by unique beginnings of them.

    Raises:
        JournalError: there is none, or more than one.
    """
    found: list[OnRecord] = []
    async with _read(database) as connection:
        for beginning in beginnings:
            ids = await reading.beginning_with(connection, beginning) if connection and beginning else []
            if connection is None or len(ids) != 1:
                raise JournalError(f"{'several calls begin' if ids else 'no call on record begins'} with {beginning!r}")
            found += await reading.on_record(connection, ids)
    return found


async def count(database: Database, number: str) -> int:
    """How many calls there are of a number."""
    async with _read(database) as connection:
        return await reading.count(connection, number) if connection else 0


async def delete(database: Database, number: str) -> int:
    """Delete every call of a number for good; how many there were."""
    async with _opened(database) as engine:
        if engine is None:
            return 0
        async with engine.begin() as connection:
            deleted = await writing.delete_number(connection, number)
        if database.file is not None:
            await _empty_log(engine)
        return deleted


async def _empty_log(engine: AsyncEngine) -> None:
    """SQLite's log still holds what was deleted from the file; what others read at the moment keeps it a little."""
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await (await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")).close()
