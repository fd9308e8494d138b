"""A database is opened: SQLite with a log that readers and the writer share, PostgreSQL by asyncpg."""

import os
import sqlite3
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


def opened(database: Database, *, writing: bool = True) -> AsyncEngine:
    """Connections to a database, made when they are needed.

    Args:
        database: which.
        writing: begin each transaction as a writer. SQLite cannot make one of a reader when others write too.
    """
    return _sqlite(database, writing) if database.file else _postgresql(database)


def _postgresql(database: Database) -> AsyncEngine:
    async def connect() -> asyncpg.Connection[Any]:
        # asyncpg reads the URL itself, since it knows what libpq's options mean.
        return await asyncpg.connect(database.dsn, timeout=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, pool_size=2, max_overflow=2)


def _sqlite(database: Database, writing: bool) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{database.file}", connect_args={"timeout": BUSY_SECONDS}, pool_size=2, max_overflow=2
    )

    @event.listens_for(engine.sync_engine, "do_connect")
    def _create(*_: object) -> None:
        if writing:
            _make_private(database)

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _: ConnectionPoolEntry) -> None:
        # Python's module would begin transactions by itself, and not before DDL.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON")[: 3 * writing]:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _make_private(database: Database) -> None:
    """What callers have said is for nobody else on the machine; SQLite gives its other files the same rights."""
    assert database.file is not None
    database.file.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(database.file, os.O_CREAT | os.O_RDWR, 0o600))
