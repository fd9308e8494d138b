"""What is kept of calls, and what is not."""

import asyncio
from datetime import UTC, datetime, timedelta

from dialplan.call import record
from dialplan.call.history import Called, Recollection, Spoken
from dialplan.call.record import End
from dialplan.journal.address import Database
from dialplan.journal.journal import Journal
from dialplan.metrics import Metrics
from dialplan.wire.deepgram import Role
from tests.journal.calling import (
    ENDED,
    QUICK,
    TALK,
    began,
    call_of,
    counted,
    kept,
    lost,
    tell,
    until,
    until_kept,
)


async def test_a_call_is_kept_from_its_beginning_to_its_end(database: Database) -> None:
    async with Journal(database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), began(), *TALK, ENDED)

    found = await kept(database)

    assert [one.seq for one in found] == list(range(12))
    assert [one.kind for one in found] == [
        *("began", "connected", "speech_session", "settings", "said", "said", "function_began", "function_ended"),
        *("barge_in", "speech_recovered", "latency", "ended"),
    ]
    assert found[4].data == {"role": "assistant", "text": "Hello canary."}
    assert found[7].data == {
        "id": "f1",
        "function": "price",
        "seconds": 0.25,
        "outcome": "result",
        "arguments": '{"of": "canary"}',
        "result": '{"price": "canary"}',
    }
    assert found[10].data == {"total": 0.5}
    assert found[11].data == {"end": "caller", "seconds": 12.5}
    assert abs((datetime.now(UTC) - found[0].at).total_seconds()) < 60


async def has_said(journal: Journal) -> bool:
    found = await journal.recall("CA1")
    return found is not None and any(isinstance(one, Spoken) for one in found.past)


async def test_it_is_kept_soon_and_not_only_at_the_end(database: Database) -> None:
    async with Journal(database, Metrics()) as journal:
        tell(journal, call_of(), began(), record.Connected())
        await until_kept(database, 2)
        told = asyncio.get_running_loop().time()
        tell(journal, call_of(), record.Said(Role.USER, "Hi."))
        await until(lambda: has_said(journal))
        seconds = asyncio.get_running_loop().time() - told

    assert seconds < 0.5  # Some 30 ms on a machine that has nothing else to do.


async def test_without_transcripts_nothing_that_was_said_is_kept(database: Database) -> None:
    async with Journal(database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), began(transcripts=False), *TALK, ENDED)

    found = await kept(database)

    assert len(found) == 12
    assert "canary" not in str(found)
    assert {"id": "f1", "function": "price", "seconds": 0.25, "outcome": "result"} in [one.data for one in found]
    if database.file is not None:
        assert all(b"canary" not in file.read_bytes() for file in database.file.parent.iterdir())


async def test_another_process_can_tell_what_was_said_and_what_had_begun(database: Database) -> None:
    async with Journal(database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), began(), *TALK, record.Running("f2", "order", '{"a": 1}'))
        await until_kept(database, 12)
        async with Journal(database, Metrics(), QUICK) as other:
            unended = await other.recall("CA1")
            assert await other.recall("CA-unheard-of") is None
        tell(journal, call_of(), record.Stopped("f2"), ENDED)
        await until_kept(database, 14)
        ended = await journal.recall("CA1")

    past = (
        Spoken(Role.ASSISTANT, "Hello canary."),
        Spoken(Role.USER, "Bread canary?"),
        Called("f1", "price", '{"of": "canary"}', '{"price": "canary"}'),
    )
    unfinished = (Called("f2", "order", '{"a": 1}', ""),)
    assert unended == Recollection("bakery", 1, None, past=past, unfinished=unfinished, broken=1)
    assert ended == Recollection("bakery", 1, End.CALLER, past=past)


async def test_a_call_that_is_connected_again_is_one_record(database: Database) -> None:
    async with Journal(database, Metrics(), QUICK) as journal:
        line, one, two = record.Connected(), record.Said(Role.USER, "One."), record.Said(Role.USER, "Two.")
        tell(journal, call_of(), began(), line, one, record.Ended(End.LINE_LOST, 1.0))
        tell(journal, call_of(), began(attempt=2), line, two)
        await until_kept(database, 7)
        found = await journal.recall("CA1")
        before = await journal.recall("CA1", before=2)
        nothing = await journal.recall("CA1", before=1)

    assert (before, nothing) == (
        Recollection("bakery", 1, End.LINE_LOST, past=(Spoken(Role.USER, "One."),), broken=1),
        None,
    )
    past = (Spoken(Role.USER, "One."), Spoken(Role.USER, "Two."))
    assert found == Recollection("bakery", 2, None, heard=2, past=past, broken=2)
    assert await counted(database) == (1, 7)


async def test_what_a_caller_who_was_never_on_the_line_was_told_was_heard_by_nobody(database: Database) -> None:
    """The webhook's process has dialled, and the stream has come to another one."""
    async with Journal(database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), began(), record.Said(Role.ASSISTANT, "Hello."))
        await until_kept(database, 2)
        unheard = await journal.recall("CA1")
        async with Journal(database, Metrics(), QUICK) as other:
            line, ended = record.Connected(), record.Ended(End.MOVED, 1.0)
            tell(other, call_of(), began(agent="b"), line, record.Said(Role.ASSISTANT, "Hello!"), ended)
            await other.written()
            moved = await journal.recall("CA1")

    assert unheard == Recollection("bakery", 1, None, heard=0)
    assert moved == Recollection("b", 1, End.MOVED, past=(Spoken(Role.ASSISTANT, "Hello!"),))


async def test_what_a_process_that_dialled_for_nothing_says_of_a_function_is_not_what_came_of_it(
    file_database: Database,
) -> None:
    async with Journal(file_database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), began(), record.Connected(), record.Running("f1", "order", "{}"))
        tell(journal, call_of(), began(attempt=2), record.Ran("order", "{}", "unknown", 0.0, "f1"))
        await journal.written()
        found = await journal.recall("CA1")

    assert found is not None
    assert (found.past, found.unfinished) == ((), (Called("f1", "order", "{}", ""),))


async def test_what_comes_after_the_end_is_of_no_record(database: Database) -> None:
    async with Journal(database, Metrics(), QUICK) as journal:
        tell(journal, call_of(), began(), ENDED, record.BargedIn())

    assert [one.kind for one in await kept(database)] == ["began", "ended"]


async def test_what_strangers_send_keeps_nothing_from_being_written(database: Database) -> None:
    odd = "sip:\0\ud800" + "x" * 5000
    async with Journal(database, Metrics(), QUICK) as journal:
        tell(journal, call_of(odd, odd), began(), record.Said(Role.USER, odd[:5]), ENDED)
        tell(journal, call_of(), began(), ENDED)

    assert await counted(database) == (2, 5)


async def test_calls_that_were_kept_long_enough_are_deleted(database: Database) -> None:
    metrics, now = Metrics(), datetime.now(UTC)
    old = {f"CA{days}": now - timedelta(days=days) for days in (1, 9, 11)}
    async with Journal(database, metrics, QUICK) as journal:
        for id_, started in old.items():
            tell(journal, call_of(id_, started=started), began(keep_days=10), ENDED)
            tell(journal, call_of(f"{id_}-kept", started=started), began(agent="other"), ENDED)
        await until_kept(database, 2, "CA11-kept")

    async with Journal(database, metrics, QUICK) as journal:
        await until_kept(database, 0, "CA11")
    assert await counted(database) == (5, 10)

    async with Journal(database, metrics, QUICK) as journal:
        journal.keep({"bakery": 5, "other": None})
        await until_kept(database, 0, "CA9")
    assert await counted(database) == (4, 8)
    assert lost(metrics) == 0
