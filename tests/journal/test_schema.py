"""The tables and their versions."""

import asyncio
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from dialplan.errors import JournalError
from dialplan.journal.address import Database
from dialplan.journal.engines import opened
from dialplan.journal.schema import newest, prepare
from dialplan.journal.tables import metadata


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database("calls", file=tmp_path / "var" / "calls.db")


def _differences(connection: Connection) -> list[object]:
    return compare_metadata(MigrationContext.configure(connection), metadata)


async def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    engine = opened(database)
    await prepare(engine)
    await prepare(engine)

    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await engine.dispose()


async def test_the_file_is_for_nobody_else_on_the_machine(database: Database) -> None:
    engine = opened(database)
    await prepare(engine)

    assert database.file is not None
    modes = {file.name: file.stat().st_mode & 0o777 for file in database.file.parent.iterdir()}
    await engine.dispose()
    assert set(modes.values()) == {0o600}
    assert "calls.db-wal" in modes


async def test_a_newer_version_is_left_alone_and_named(database: Database) -> None:
    engine = opened(database)
    await prepare(engine)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(JournalError, match="9999.*knows " + newest()):
        await prepare(engine)
    await engine.dispose()


PREPARES = """
import asyncio, sys
from pathlib import Path
from dialplan.journal.address import database
from dialplan.journal.engines import TROUBLE, opened
from dialplan.journal.schema import prepare

async def main():
    engine = opened(database(sys.argv[1], Path.cwd(), Path.cwd()))
    sys.stdin.readline()
    while True:
        try:
            await prepare(engine)
        except TROUBLE as exc:
            print(exc)
        else:
            break
    await engine.dispose()

asyncio.run(main())
"""


async def prepared_by_several(url: str, count: int = 4) -> list[str]:
    """So many processes make the tables at once; what each had to say."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-c", PREPARES, url)
    processes = [await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe) for _ in range(count)]
    outputs = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    assert [process.returncode for process in processes] == [0] * count
    return [output.decode() for output, _ in outputs]


async def test_several_processes_may_make_them_at_once(database: Database) -> None:
    told = await prepared_by_several(f"sqlite:///{database.file}")

    assert all(not text or "locked" in text for text in told)
    engine = opened(database)
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await engine.dispose()
