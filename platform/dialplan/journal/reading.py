"""What can be asked of the tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dialplan.journal.rows import Kind
from dialplan.journal.tables import entries


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry as it was kept."""

    session: int
    seq: int
    at: datetime
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recollection:
    """What whoever carries on a call must know of it."""

    agent: str
    attempt: int
    """The newest."""
    end: str | None
    """How its newest session ended; None where it goes on, or its process was lost."""
    said: tuple[tuple[str, str], ...]
    """Roles and texts, in order; nothing where transcripts are not kept."""
    unfinished: tuple[tuple[str, str, str], ...]
    """Ids, names and arguments of functions that began and did not end."""


async def entries_of(connection: AsyncConnection, call_id: str) -> list[Kept]:
    """All that was kept of a call, in order."""
    columns = (entries.c.session, entries.c.seq, entries.c.at, entries.c.kind, entries.c.data)
    query = select(*columns).where(entries.c.call_id == call_id).order_by(entries.c.session, entries.c.seq)
    return [Kept(**row) for row in (await connection.execute(query)).mappings()]


async def recall(connection: AsyncConnection, call_id: str) -> Recollection | None:
    """What is known of a call; None where nothing is."""
    return recollected(await entries_of(connection, call_id))


def recollected(kept: Sequence[Kept]) -> Recollection | None:
    """The sum of a call's entries."""
    if not kept:
        return None
    began = [one.data for one in kept if one.kind == Kind.BEGAN]
    newest = kept[-1].session
    return Recollection(
        agent=began[-1]["agent"] if began else "",
        attempt=max((data["attempt"] for data in began), default=1),
        end=next((one.data["end"] for one in kept if one.kind == Kind.ENDED and one.session == newest), None),
        said=tuple((d["role"], d["text"]) for d in _data(kept, Kind.SAID) if "text" in d),
        unfinished=tuple(_unfinished(kept)),
    )


def _unfinished(kept: Sequence[Kept]) -> Iterable[tuple[str, str, str]]:
    over = {d["id"] for kind in (Kind.FUNCTION_ENDED, Kind.FUNCTION_STOPPED) for d in _data(kept, kind)}
    for data in _data(kept, Kind.FUNCTION_BEGAN):
        if data["id"] not in over:
            yield data["id"], data["function"], data.get("arguments", "")


def _data(kept: Iterable[Kept], kind: Kind) -> Iterable[dict[str, Any]]:
    return (one.data for one in kept if one.kind == kind)
