"""Calls that are told to a journal, and what is found of them in the database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from dialplan.call import record
from dialplan.call.record import End, Entry
from dialplan.config.model import Records
from dialplan.facts import Call
from dialplan.journal import engines, reading
from dialplan.journal.address import Database
from dialplan.journal.journal import Journal
from dialplan.journal.reading import Kept
from dialplan.journal.tables import calls, entries
from dialplan.journal.writer import Pace
from dialplan.metrics import Metrics
from dialplan.wire.deepgram import Role

#: Quick enough to wait for.
QUICK = Pace(gather=0.005, retry=0.02, retry_most=0.1)

NUMBER = "+15550109999"


def call_of(id_: str = "CA1", number: str = NUMBER, started: datetime | None = None) -> Call:
    return Call(id_, from_=number, to="+15550100001", started=started or datetime.now(UTC))


def began(attempt: int = 1, agent: str = "bakery", **records: Any) -> record.Began:
    return record.Began(agent, attempt, Records(**records))


#: What is said and done in an ordinary call, between its beginning and its end.
TALK: Sequence[Entry] = (
    record.Connected(),
    record.Welcomed("r1"),
    record.Configured('{"type": "Settings", "agent": {"greeting": "Hello.", "context": {"messages": ["canary"]}}}'),
    record.Said(Role.ASSISTANT, "Hello canary."),
    record.Said(Role.USER, "Bread canary?"),
    record.Running("f1", "price", '{"of": "canary"}'),
    record.Ran("price", '{"of": "canary"}', '{"price": "canary"}', 0.25, "f1"),
    record.BargedIn(),
    record.Recovered(0.25),
    record.Reported({"total": 0.5, "odd": float("nan")}),
)
ENDED = record.Ended(End.CALLER, 12.5)


def tell(journal: Journal, call: Call, *told: Entry) -> None:
    for entry in told:
        journal.observe(call, entry)


def lost(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("dialplan_journal_lost_total") or 0.0


async def kept(database: Database, call_id: str = "CA1") -> list[Kept]:
    """All that is in the database of a call; nothing where it cannot be read yet."""
    engine = engines.opened(database)
    try:
        async with engines.reading(engine).connect() as connection:
            return await reading.entries_of(connection, call_id)
    except engines.TROUBLE:
        return []
    finally:
        await engine.dispose()


async def counted(database: Database) -> tuple[int, int]:
    """How many calls and entries there are."""
    engine = engines.opened(database)
    async with engines.reading(engine).connect() as connection:
        found = [await connection.scalar(select(func.count()).select_from(table)) for table in (calls, entries)]
    await engine.dispose()
    return found[0] or 0, found[1] or 0


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for what another thread or process does, which no event tells."""
    async with asyncio.timeout(20):
        while not (found if isinstance(found := holds(), bool) else await found):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_kept(database: Database, count: int, call_id: str = "CA1") -> None:
    """Wait until so much of a call is kept, or nothing any more."""

    async def holds() -> bool:
        found = len(await kept(database, call_id))
        return found >= count if count else not found

    await until(holds)
