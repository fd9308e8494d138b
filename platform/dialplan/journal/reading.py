"""What can be asked of the tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby, takewhile
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dialplan.call.history import LONG, Called, Past, Recollection, Spoken
from dialplan.call.record import End
from dialplan.journal.rows import Kind, kept_number
from dialplan.journal.tables import calls, entries
from dialplan.wire.deepgram import Role


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry as it was kept."""

    session: int
    seq: int
    at: datetime
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OnRecord:
    """A call that has left a record."""

    id: str
    agent: str
    number: str
    """The other party's."""
    line: str
    """Our own."""
    started: datetime
    facts: dict[str, Any]
    entries: tuple[Kept, ...] = ()
    """All of them, or the ones that were asked for."""

    @property
    def end(self) -> str | None:
        """How its newest session ended; None where it goes on, or its process was lost."""
        sessions = _sessions(self.entries)
        return _end_of((_on_the_line(sessions) or sessions)[-1]) if sessions else None

    @property
    def seconds(self) -> float:
        """On the line, all sessions together."""
        return sum((float(e.data["seconds"]) for e in self.entries if e.kind == Kind.ENDED), 0.0)

    @property
    def settings(self) -> dict[str, Any] | None:
        """Hash and Settings of the newest session that had any."""
        return next((entry.data for entry in reversed(self.entries) if entry.kind == Kind.SETTINGS), None)


@dataclass(frozen=True, slots=True)
class Question:
    """Which calls; what is empty is not asked."""

    agent: str = ""
    number: str = ""
    """Of either side."""
    since: datetime | None = None


async def ids_of(connection: AsyncConnection, question: Question, most: int | None = None) -> list[str]:
    """The ids of the calls that fit, the newest first."""
    query = select(calls.c.id).order_by(calls.c.started.desc(), calls.c.id).limit(most)
    if question.agent:
        query = query.where(calls.c.agent == question.agent)
    if question.number:
        number = kept_number(question.number)
        query = query.where(or_(calls.c.number == number, calls.c.line == number))
    if question.since:
        query = query.where(calls.c.started >= question.since)
    return list((await connection.scalars(query)).all())


async def agents(connection: AsyncConnection) -> list[str]:
    """Every agent that has a call on record."""
    return list((await connection.scalars(select(calls.c.agent).distinct())).all())


async def beginning_with(connection: AsyncConnection, beginning: str, most: int = 2) -> list[str]:
    """The ids that begin so; the one that is exactly this, where there is one."""
    if (await connection.scalars(select(calls.c.id).where(calls.c.id == beginning))).first():
        return [beginning]
    query = select(calls.c.id).where(calls.c.id.startswith(beginning, autoescape=True)).limit(most)
    return list((await connection.scalars(query)).all())


async def on_record(connection: AsyncConnection, ids: Sequence[str], *kinds: Kind) -> list[OnRecord]:
    """These calls, in this order, with their entries of these kinds; of all kinds where none is named."""
    wanted = entries.c.call_id.in_(ids)
    query = select(entries).where(wanted & entries.c.kind.in_(kinds) if kinds else wanted)
    by_call: dict[str, list[Kept]] = {id_: [] for id_ in ids}
    for row in (await connection.execute(query.order_by(entries.c.session, entries.c.seq))).mappings():
        by_call[row["call_id"]].append(Kept(**{name: value for name, value in row.items() if name != "call_id"}))
    columns = (calls.c.id, calls.c.agent, calls.c.number, calls.c.line, calls.c.started, calls.c.facts)
    rows = (await connection.execute(select(*columns).where(calls.c.id.in_(ids)))).mappings()
    found = {row["id"]: OnRecord(**row, entries=tuple(by_call[row["id"]])) for row in rows}
    return [found[id_] for id_ in ids if id_ in found]


async def entries_of(connection: AsyncConnection, call_id: str) -> list[Kept]:
    """All that was kept of a call, in order."""
    columns = (entries.c.session, entries.c.seq, entries.c.at, entries.c.kind, entries.c.data)
    query = select(*columns).where(entries.c.call_id == call_id).order_by(entries.c.session, entries.c.seq)
    return [Kept(**row) for row in (await connection.execute(query)).mappings()]


async def recall(connection: AsyncConnection, call_id: str, before: int | None = None) -> Recollection | None:
    """What is known of a call, of attempts before this one only; None where nothing is."""
    return recollected(await entries_of(connection, call_id), before)


async def was_heard(connection: AsyncConnection, call_id: str, besides: int | None) -> bool:
    """Whether a call has had its caller on the line, in any session besides this one."""
    wanted = (entries.c.call_id == call_id) & (entries.c.kind == Kind.CONNECTED)
    if besides is not None:
        wanted &= entries.c.session != besides
    return (await connection.execute(select(entries.c.seq).where(wanted).limit(1))).first() is not None


def recollected(kept: Sequence[Kept], before: int | None = None) -> Recollection | None:
    """The sum of a call's entries. Of sessions that never had the caller on the line nothing was heard."""
    sessions = [one for one in _sessions(kept) if before is None or _attempt(one) < before]
    if not sessions:
        return None
    heard = _on_the_line(sessions)
    newest = (heard or sessions)[-1]
    return Recollection(
        agent=_first(newest, Kind.BEGAN, "agent", ""),
        attempt=max(map(_attempt, sessions)),
        end=_end_of(newest),
        heard=_attempt(newest) if heard else 0,
        past=tuple(_past(chain.from_iterable(heard))),
        unfinished=tuple(_unfinished(list(chain.from_iterable(heard)))),
        broken=sum(1 for _ in takewhile(_is_broken, reversed(heard))),
    )


def _sessions(kept: Iterable[Kept]) -> list[list[Kept]]:
    """In the order in which they began."""
    return [list(of_one) for _, of_one in groupby(kept, key=lambda one: one.session)]


def _on_the_line(sessions: Iterable[list[Kept]]) -> list[list[Kept]]:
    """Those that had the caller on the line, in the order in which they did. The others have dialled for nothing."""
    connected = {_connected(one): one for one in sessions}
    return [connected[at] for at in sorted(at for at in connected if at is not None)]


def _is_broken(session: Sequence[Kept]) -> bool:
    return _end_of(session) in _BROKEN and (session[-1].at - session[0].at).total_seconds() < LONG


#: Ends after which somebody else has to carry the call on: its process was lost, or its line.
_BROKEN = (None, End.LINE_LOST)


def _attempt(session: Iterable[Kept]) -> int:
    return int(_first(session, Kind.BEGAN, "attempt", 1))


def _connected(session: Iterable[Kept]) -> datetime | None:
    """When the caller came on the line."""
    return next((one.at for one in session if one.kind == Kind.CONNECTED), None)


def _end_of(session: Iterable[Kept]) -> End | None:
    end = _first(session, Kind.ENDED, "end", None)
    return End(end) if end is not None else None


def _first(kept: Iterable[Kept], kind: Kind, name: str, otherwise: Any) -> Any:
    """What the first entry of a kind says; something else where there is none."""
    return next((data[name] for data in _data(kept, kind)), otherwise)


def _past(kept: Iterable[Kept]) -> Iterable[Past]:
    for one in kept:
        if one.kind == Kind.SAID and "text" in one.data:
            yield Spoken(Role(one.data["role"]), one.data["text"])
        if one.kind == Kind.FUNCTION_ENDED and "result" in one.data:
            yield Called(one.data["id"], one.data["function"], one.data["arguments"], one.data["result"])


def _unfinished(kept: Sequence[Kept]) -> Iterable[Called]:
    over = {d["id"] for kind in (Kind.FUNCTION_ENDED, Kind.FUNCTION_STOPPED) for d in _data(kept, kind)}
    begun = {data["id"]: data for data in _data(kept, Kind.FUNCTION_BEGAN) if data["id"] not in over}
    for id_, data in begun.items():
        if "arguments" in data:
            yield Called(id_, data["function"], data["arguments"], "")


def _data(kept: Iterable[Kept], kind: Kind) -> Iterable[dict[str, Any]]:
    return (one.data for one in kept if one.kind == kind)


async def count(connection: AsyncConnection, number: str) -> int:
    """How many calls there are whose other party has this number."""
    query = select(func.count()).select_from(calls).where(calls.c.number == kept_number(number))
    return await connection.scalar(query) or 0
