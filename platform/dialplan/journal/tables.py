"""The tables. migrations/ makes them; a test holds the two together.

Rows are only added, and deleted as a whole with their call. Nothing is ever changed: what is written a second time is
the same, and is left out.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Index, Integer, MetaData, String, Table
from sqlalchemy.types import TypeDecorator

#: Characters of an id, a name or a number; strangers send them, and an index has its limits.
MOST = 300


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, also where the database knows of no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        moment: datetime | None = value
        return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    Column("id", String(MOST), primary_key=True),  # Twilio's CallSid.
    Column("agent", String(MOST), nullable=False),
    Column("number", String(MOST), nullable=False),  # Of the person, as routes compare it; empty where it is hidden.
    Column("line", String(MOST), nullable=False),  # Our own.
    Column("started", Moment, nullable=False),
    Column("keep_until", Moment),
    Column("facts", JSON, nullable=False),
    Index("calls_by_time", "started"),
    Index("calls_by_number", "number"),
    Index("calls_by_keeping", "keep_until"),
)

entries = Table(
    "entries",
    metadata,
    Column("call_id", String(MOST), primary_key=True),
    # When the session began, in microseconds since 1970: a call that is connected again has a further one, maybe in
    # another process, and the two must never write under one key.
    Column("session", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("kind", String(MOST), nullable=False),
    Column("data", JSON, nullable=False),
)

#: Numbers whose calls were deleted: what a process still had to write about them must not come back.
deletions = Table(
    "deletions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("at", Moment, primary_key=True),
)
