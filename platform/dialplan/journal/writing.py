"""What the writer does to the tables. Everything may be done twice: the second time changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, bindparam, delete, exists, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert

from dialplan.journal.rows import Noted, call_row, digest, entry_row, kept_number
from dialplan.journal.tables import calls, deletions, entries

#: Calls that are deleted in one go: who writes meanwhile waits no longer than that takes.
AT_ONCE = 200

#: Days after which no process has anything to write any more about a call whose number was deleted.
_DELETION_DAYS = 1


async def write(connection: AsyncConnection, batch: Sequence[Noted]) -> None:
    """Write entries, and first the calls that they belong to.

    A call whose number was deleted meanwhile is not written, and nothing that belongs to it.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    first = {noted.call.id: noted for noted in reversed(batch)}
    await connection.execute(_calls(insert), [call_row(noted) for noted in first.values()])
    await connection.execute(_entries(insert), [entry_row(noted) for noted in batch])


def _calls(insert: Any) -> Insert:
    row = _given(calls)
    forgotten = exists().where(
        deletions.c.digest == bindparam("digest", type_=deletions.c.digest.type),
        deletions.c.at >= bindparam("started", type_=calls.c.started.type),
    )
    return _once(insert, calls, select(*row).where(~forgotten))


def _entries(insert: Any) -> Insert:
    known = exists().where(calls.c.id == bindparam("call_id", type_=calls.c.id.type))
    return _once(insert, entries, select(*_given(entries)).where(known))


def _given(table: Table) -> list[Any]:
    return [bindparam(column.name, type_=column.type) for column in table.columns]


def _once(insert: Any, table: Table, rows: Any) -> Insert:
    names = [column.name for column in table.columns]
    statement: Insert = insert(table).from_select(names, rows).on_conflict_do_nothing()
    return statement


async def sweep(connection: AsyncConnection, days: Mapping[str, int | None], now: datetime) -> int:
    """Delete some of the calls that were kept long enough; how many. Zero: that was all.

    Args:
        connection: in a transaction.
        days: how long agents keep their calls now, by their names.
        now: the time.
    """
    old = [calls.c.keep_until < now]
    for agent, kept in days.items():
        if kept is not None:
            old.append((calls.c.agent == agent) & (calls.c.started < now - timedelta(days=kept)))
    await connection.execute(delete(deletions).where(deletions.c.at < now - timedelta(days=_DELETION_DAYS)))
    found = await connection.scalars(select(calls.c.id).where(or_(*old)).limit(AT_ONCE))
    return await _delete(connection, found.all())


async def delete_number(connection: AsyncConnection, number: str) -> int:
    """Delete every call of a number for good, and keep away what is still to be written of it; how many."""
    if connection.dialect.name == "postgresql":
        # What another transaction is writing at the moment could be seen neither by us nor by it.
        await connection.execute(text("LOCK TABLE calls, entries IN SHARE ROW EXCLUSIVE MODE"))
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    note = {"digest": digest(number), "at": datetime.now(UTC)}
    await connection.execute(insert(deletions).values(note).on_conflict_do_nothing())
    found = await connection.scalars(select(calls.c.id).where(calls.c.number == kept_number(number)))
    return await _delete(connection, found.all())


async def _delete(connection: AsyncConnection, ids: Iterable[str]) -> int:
    gone = list(ids)
    for start in range(0, len(gone), AT_ONCE):
        some = gone[start : start + AT_ONCE]
        await connection.execute(delete(entries).where(entries.c.call_id.in_(some)))
        await connection.execute(delete(calls).where(calls.c.id.in_(some)))
    return len(gone)
