"""What waits to be written is bounded by the memory that it takes."""

import asyncio
import tracemalloc
from pathlib import Path

from dialplan.call import record
from dialplan.call.record import Entry
from dialplan.journal.address import Database
from dialplan.journal.backlog import OVERHEAD, Backlog, size_of
from dialplan.journal.journal import WRITTEN_SECONDS, Journal
from dialplan.journal.rows import Noted
from dialplan.journal.writer import Pace
from dialplan.metrics import Metrics
from dialplan.wire.deepgram import Role
from tests.journal.calling import QUICK, began, call_of, kept, lost, tell, until_kept


def noted(entry: Entry, seq: int = 0) -> Noted:
    return Noted(call_of(), began(), 0, seq, 0.0, entry)


def test_an_entry_counts_what_it_says_and_not_as_one() -> None:
    word, settings = size_of(noted(record.BargedIn())), size_of(noted(record.Configured("x" * 50_000)))

    assert OVERHEAD < word < 3 * OVERHEAD
    assert 50_000 < settings - word < 51_000
    # A letter of most scripts takes two bytes, and an emoji makes all letters of its text take four.
    assert size_of(noted(record.Said(Role.USER, "🙂" + "x" * 999))) - word > 4_000
    assert size_of(noted(record.Running("f", "price", "y" * 3_000))) - word > 3_000


def test_the_oldest_are_lost_when_there_is_no_room() -> None:
    big = size_of(noted(record.Configured("x" * 50_000)))
    backlog = Backlog(3 * big)

    assert [backlog.put(noted(record.Configured("x" * 50_000), seq)) for seq in range(5)] == [0, 0, 0, 1, 1]

    assert (len(backlog), backlog.bytes, backlog.gone) == (3, 3 * big, 2)
    assert [one.seq for one in backlog.take(100, 10 * big)] == [2, 3, 4]


def test_what_was_taken_counts_until_it_is_written() -> None:
    size = size_of(noted(record.BargedIn()))
    backlog = Backlog(3 * size)
    for seq in range(3):
        backlog.put(noted(record.BargedIn(), seq))
    taken = backlog.take(2, 10 * size)

    assert (len(backlog), backlog.put(noted(record.BargedIn(), 3))) == (3, 1)
    backlog.done(taken)

    assert (len(backlog), backlog.bytes, backlog.gone) == (1, size, 3)
    assert backlog.put(noted(record.BargedIn(), 4)) == 0


def test_one_transaction_is_no_larger_than_it_may_be_and_never_empty() -> None:
    big = size_of(noted(record.Configured("x" * 50_000)))
    backlog = Backlog(10 * big)
    for seq in range(4):
        backlog.put(noted(record.Configured("x" * 50_000), seq))

    assert [len(backlog.take(500, 2 * big)), len(backlog.take(500, 1)), len(backlog.take(500, 1))] == [2, 1, 1]
    assert not backlog.any


async def test_while_nothing_can_be_written_memory_stays_within_the_bound(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("A file where the folder should be.")
    database, metrics = Database("calls", file=tmp_path / "var" / "calls.db"), Metrics()
    pace = Pace(bound=2_000_000, retry=0.01, flush=0.1)
    async with Journal(database, metrics, pace) as journal:
        tracemalloc.start()
        for number in range(500):  # 25 MB in all.
            tell(journal, call_of(), began(attempt=number), record.Configured(f"{number}" + "x" * 50_000))
            await asyncio.sleep(0)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert held < 3_000_000
    assert lost(metrics) == 1000


async def test_what_is_waited_for_is_what_was_told_so_far_and_not_what_comes_meanwhile(file_database: Database) -> None:
    async with Journal(file_database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), began())
        await until_kept(file_database, 1)
        tell(journal, call_of(), record.Connected())
        loop = asyncio.get_running_loop()
        since, waiting = loop.time(), asyncio.create_task(journal.written())
        while not waiting.done():  # Other calls, which go on and on.
            tell(journal, call_of("CA2"), began(), record.BargedIn())
            await asyncio.sleep(0.001)

        assert loop.time() - since < WRITTEN_SECONDS
        assert len(await kept(file_database)) == 2
