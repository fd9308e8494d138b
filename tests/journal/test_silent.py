"""A PostgreSQL that takes connections, or has them, and says nothing; and drivers that raise what nobody expects."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dialplan.errors import JournalError
from dialplan.journal.address import Database
from dialplan.journal.address import database as database_of
from dialplan.journal.journal import Journal
from dialplan.journal.writer import Pace
from dialplan.metrics import Metrics
from tests.journal.calling import ENDED, TALK, began, call_of, lost, tell, until_kept
from tests.journal.test_faults import until_failed
from tests.silence import Relay, silent

WHOLE = (began(), *TALK, ENDED)

#: As patient as it is with the others, but in tenths of a second.
HASTY = Pace(gather=0.005, retry=0.02, retry_most=0.1, attempt=0.5, flush=0.3)


def through(port: int, url: str, root: Path) -> Database:
    """The database of a URL by another way."""
    parts = urlsplit(url)
    return database_of(f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}", root, root)


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[Relay]:
    """A way to PostgreSQL that can be blocked."""
    folder = parse_qs(urlsplit(url).query)["host"][0]
    async with Relay(f"{folder}/.s.PGSQL.5432").standing() as relay:
        yield relay


async def test_a_server_that_takes_connections_and_says_nothing_holds_up_neither_start_nor_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    async with silent() as port:
        database = database_of(f"postgresql://ann@127.0.0.1:{port}/calls", tmp_path, tmp_path)
        metrics, began_at = Metrics(), loop.time()
        async with Journal(database, metrics, HASTY) as journal:
            assert loop.time() - began_at < 0.5
            tell(journal, call_of(), *WHOLE)
            await until_failed(caplog)
            with contextlib.suppress(TimeoutError, JournalError):
                async with asyncio.timeout(0.2):
                    await journal.recall("CA1")
            ending_at = loop.time()
        assert loop.time() - ending_at < HASTY.flush + 2.0

    assert lost(metrics) == len(WHOLE)


async def test_when_a_server_falls_silent_in_its_connections_what_waits_is_written_by_new_ones(
    server_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    async with relayed(server_url) as relay:
        database = through(relay.port, server_url, tmp_path)
        async with Journal(database, metrics, HASTY) as journal:
            tell(journal, call_of(), *WHOLE[:2])
            await until_kept(database_of(server_url, tmp_path, tmp_path), 2)
            relay.freeze()
            tell(journal, call_of(), *WHOLE[2:])
            await until_failed(caplog)
            with pytest.raises((TimeoutError, JournalError)):
                async with asyncio.timeout(0.2):
                    await journal.recall("CA1")

            relay.thaw()  # For new connections; the old ones stay silent for good.
            await until_kept(database_of(server_url, tmp_path, tmp_path), len(WHOLE))
            async with asyncio.timeout(5):
                assert (await journal.recall("CA1")) is not None

    assert lost(metrics) == 0


async def test_what_nobody_expects_of_a_driver_costs_no_call_anything_and_ends_no_writer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncpg's own answer to a server that lets it in and does not say its version."""

    async def connect(*_: object, **__: object) -> object:
        raise AttributeError("server_version")

    monkeypatch.setattr("asyncpg.connect", connect)
    database, metrics = database_of("postgresql://ann@127.0.0.1:1/calls", tmp_path, tmp_path), Metrics()
    async with Journal(database, metrics, HASTY) as journal:
        tell(journal, call_of(), *WHOLE)
        await until_failed(caplog)
        with pytest.raises(JournalError, match="cannot be asked"):
            await journal.recall("CA1")
        assert metrics.registry.get_sample_value("dialplan_journal_waiting") == len(WHOLE)

    with pytest.raises(JournalError, match="cannot be asked"):  # Nobody is left who could ask.
        await journal.recall("CA1")
