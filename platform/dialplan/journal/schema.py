"""The tables are brought to this program's version, by one process at a time."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from dialplan.errors import JournalError
from dialplan.journal.engines import reading

#: Any number that nobody else takes for a lock in the same database.
_LOCK = 0x0D1A_1B1A

#: Alembic keeps what it works on in module variables.
_alembic = threading.Lock()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def newest() -> str:
    """This program's version of the tables."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


async def prepare(engine: AsyncEngine) -> None:
    """Make the tables, or bring them to this version.

    Raises:
        JournalError: they are of a version that this program does not know.
        whatever is in `engines.TROUBLE`: it cannot be done now.
    """
    async with reading(engine).connect() as connection:
        if await connection.run_sync(_version) == newest():
            return
    async with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        await connection.run_sync(_upgrade)


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    """Another process may have done it while this one waited for the lock: then there is nothing to do."""
    version = _version(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if version is not None and version not in known:
        raise JournalError(
            f"the database is of version {version}, which this Dialplan does not know (it knows {newest()}): "
            "install the version of Dialplan that made it"
        )
    config = _config()
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, "head")
