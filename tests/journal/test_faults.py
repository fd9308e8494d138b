"""A database that is slow, locked, full, gone, or not what it should be costs no call anything, and no entry below the
bound."""

import asyncio
import logging
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from dialplan.call import record
from dialplan.errors import JournalError
from dialplan.journal import engines
from dialplan.journal.address import Database
from dialplan.journal.address import database as database_of
from dialplan.journal.backlog import OVERHEAD
from dialplan.journal.engines import opened
from dialplan.journal.journal import Journal
from dialplan.journal.writer import Pace
from dialplan.metrics import Metrics
from dialplan.wire.deepgram import Role
from tests.journal.calling import ENDED, QUICK, TALK, began, call_of, counted, kept, lost, tell, until_kept
from tests.postgres import Cluster

WHOLE = (began(), *TALK, ENDED)


def waiting(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("dialplan_journal_waiting") or 0.0


async def until_failed(caplog: pytest.LogCaptureFixture, times: int = 1) -> str:
    """Wait until the log says that records cannot be written; what it says."""
    async with asyncio.timeout(20):
        while True:
            told = [r.getMessage() for r in caplog.records if "cannot be written" in r.getMessage()]
            if len(told) >= times:
                return told[-1]
            await asyncio.sleep(0.01)  # Another thread writes it.


async def test_a_locked_file_is_written_when_it_is_free(
    file_database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    metrics = Metrics()
    async with Journal(file_database, metrics, QUICK) as journal:
        tell(journal, call_of(), began())
        await until_kept(file_database, 1)
        other = sqlite3.connect(file_database.file or "", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")

        tell(journal, call_of(), *TALK, ENDED)
        told = await until_failed(caplog)
        assert waiting(metrics) == len(WHOLE) - 1
        other.execute("COMMIT")
        other.close()
        await until_kept(file_database, len(WHOLE))

    assert "database is locked" in told
    assert lost(metrics) == 0
    assert [one.seq for one in await kept(file_database)] == list(range(len(WHOLE)))


async def test_a_full_disk_loses_nothing_and_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk))
    if await mounting.wait():
        pytest.skip("no small disk can be mounted here")
    try:
        database, metrics = Database("calls", file=disk / "calls.db"), Metrics()
        async with Journal(database, metrics, QUICK) as journal:
            tell(journal, call_of("CA0"), *WHOLE)
            await until_kept(database, len(WHOLE), "CA0")
            (disk / "ballast").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
            for number in range(1, 20):
                tell(journal, call_of(f"CA{number}"), *WHOLE)
            told = await until_failed(caplog)
            (disk / "ballast").unlink()
            await until_kept(database, len(WHOLE), "CA19")
        assert await counted(database) == (20, 20 * len(WHOLE))
    finally:
        await (await asyncio.create_subprocess_exec("umount", "-l", str(disk))).wait()

    assert "full" in told or "disk I/O error" in told
    assert lost(metrics) == 0


async def test_a_file_that_vanishes_is_made_anew_and_calls_go_on_in_it(file_database: Database) -> None:
    metrics = Metrics()
    assert file_database.file is not None
    async with Journal(file_database, metrics, QUICK) as journal:
        tell(journal, call_of(), began(), record.Said(Role.USER, "Before."))
        await until_kept(file_database, 2)
        for file in file_database.file.parent.iterdir():
            file.unlink()

        tell(journal, call_of(), record.Said(Role.USER, "After."), ENDED)

    assert [one.data.get("text") for one in await kept(file_database)] == ["After.", None]
    assert lost(metrics) == 0


async def test_a_folder_where_nothing_can_be_made_costs_only_the_records(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "var").write_text("A file where the folder should be.")
    database, metrics = Database("calls", file=tmp_path / "var" / "calls.db"), Metrics()

    async with Journal(database, metrics, Pace(bound=5 * OVERHEAD, batch=2, retry=0.01, flush=0.1)) as journal:
        told = await until_failed(caplog)
        tell(journal, call_of(), *WHOLE)
        with pytest.raises(JournalError, match="calls cannot be asked"):
            await journal.recall("CA1")

    assert "records cannot be written to calls" in told
    assert lost(metrics) == len(WHOLE)


async def test_once_the_folder_can_be_used_what_waited_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "var").write_text("A file where the folder should be.")
    database = Database("calls", file=tmp_path / "var" / "calls.db")
    async with Journal(database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), *WHOLE)
        await until_failed(caplog)
        (tmp_path / "var").unlink()

    assert len(await kept(database)) == len(WHOLE)


async def test_a_newer_database_is_not_written_to_and_named(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    async with Journal(database, metrics, QUICK):
        pass
    engine = opened(database)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()

    async with Journal(database, metrics, Pace(retry=0.01, flush=0.1)) as journal:
        tell(journal, call_of(), *WHOLE)
        told = await until_failed(caplog)

    assert "version 9999" in told
    assert await counted(database) == (0, 0)
    assert lost(metrics) == len(WHOLE)


async def test_a_server_that_stops_is_written_to_when_it_is_back(
    cluster: Cluster, server_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database, metrics = database_of(server_url, tmp_path, tmp_path), Metrics()
    async with Journal(database, metrics, QUICK) as journal:
        tell(journal, call_of(), began(), TALK[0])
        await until_kept(database, 2)
        await asyncio.to_thread(cluster.stop)
        try:
            tell(journal, call_of(), *TALK[1:], ENDED)
            await until_failed(caplog)
        finally:
            await asyncio.to_thread(cluster.start)
        await until_kept(database, len(WHOLE))

    assert [one.seq for one in await kept(database)] == list(range(len(WHOLE)))
    assert lost(metrics) == 0


async def test_a_server_that_was_never_there_is_no_reason_not_to_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = database_of("postgresql://ann:canary@127.0.0.1:1/calls", tmp_path, tmp_path)
    async with Journal(database, Metrics(), Pace(retry=0.01, flush=0.1)) as journal:
        tell(journal, call_of(), *WHOLE)
        told = await until_failed(caplog)

    assert "postgresql://ann@127.0.0.1:1/calls" in told
    assert "canary" not in caplog.text


async def test_an_entry_that_no_database_takes_keeps_back_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    async with Journal(database, metrics, QUICK) as journal:
        for number in range(20):
            tell(journal, call_of(f"CA{number}"), *WHOLE)
        tell(journal, call_of("CA-odd", started=datetime.max.replace(tzinfo=UTC)), began(keep_days=9))
        tell(journal, call_of("CA20"), *WHOLE)

    assert await counted(database) == (21, 21 * len(WHOLE))
    assert lost(metrics) == 1
    assert "an entry of CA-odd cannot be kept" in caplog.text


async def test_no_log_holds_what_was_said(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "dialplan")
    caplog.set_level(logging.INFO)
    async with Journal(database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), *WHOLE)

    assert "canary" not in caplog.text
