"""A database is opened: SQLite with a log that readers and the writer share, PostgreSQL by asyncpg."""

import contextlib
import os
import sqlite3
from contextlib import ExitStack
from typing import Any

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from dialplan.errors import JournalError
from dialplan.journal.address import Database

#: Whatever can go wrong with a database: slow, locked, full, gone, or not what it should be.
TROUBLE = (
    SQLAlchemyError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    JournalError,
)

#: Seconds that SQLite waits for another writer.
BUSY_SECONDS = 2.0

#: Seconds for opening a connection to PostgreSQL, and for one command.
CONNECT_SECONDS = 5.0

#: What is written is what callers have said: it stands in no message and no log.
_POOL: dict[str, Any] = {"pool_size": 2, "max_overflow": 2, "hide_parameters": True}


def opened(database: Database) -> AsyncEngine:
    """Connections to a database, made when they are needed. A transaction is a writer's, unless from `reading`."""
    return _sqlite(database) if database.file else _postgresql(database)


def reading(engine: AsyncEngine) -> AsyncEngine:
    """The same connections, for transactions that only read: they wait for no writer."""
    return engine.execution_options(reading=True)


def _postgresql(database: Database) -> AsyncEngine:
    async def connect() -> Any:
        # asyncpg reads the URL itself, since it knows what libpq's options mean.
        return await asyncpg.connect(database.dsn, timeout=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, **_POOL)


def _sqlite(database: Database) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{database.file}", connect_args={"timeout": BUSY_SECONDS}, **_POOL
    )

    @event.listens_for(engine.sync_engine, "do_connect")
    def _create(*_: object) -> None:
        _make_private(database)

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _: ConnectionPoolEntry) -> None:
        with ExitStack() as if_that_fails:
            if_that_fails.callback(connection.close)
            # Python's module would begin transactions by itself, and not before DDL.
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
            if_that_fails.pop_all()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that begins to write while others do is refused, whatever it is ready to wait.
        reads = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _make_private(database: Database) -> None:
    """What callers have said is for nobody else on the machine; SQLite gives its other files the same rights."""
    assert database.file is not None
    database.file.parent.mkdir(parents=True, exist_ok=True)
    # A file that is there is not touched: closing it would take away the locks that other connections of this process
    # have on it, and two processes would write at once (sqlite.org/howtocorrupt.html §2.2).
    with contextlib.suppress(FileExistsError):
        os.close(os.open(database.file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
