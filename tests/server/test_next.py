"""What is answered when a stream has ended, by what is on record of the call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dialplan.call import record
from dialplan.call.history import Recollection
from dialplan.call.record import End, Entry
from dialplan.facts import Call
from dialplan.journal.journal import Journal
from dialplan.rehearsal.phone import placed
from tests.journal.calling import began, call_of, tell
from tests.server.test_phone import form, never, post
from tests.world import AGENT, CALLER, NUMBER, Ear, ScriptedSession, World, project, server_for, speech_service


@pytest.fixture
async def world(tmp_path: Path, journal: Journal) -> AsyncIterator[World]:
    loading = project(tmp_path, a=AGENT)
    async with speech_service(never) as service, server_for(loading, service.url, records=journal) as world:
        yield world


async def asked(world: World, attempt: int) -> str:
    """What Twilio is told to do after the stream of this attempt."""
    answer = await post(world, f"/twilio/next?attempt={attempt}", form(CallStatus="in-progress"))
    return ET.fromstring(answer.text)[0].tag


async def test_streams_that_never_come_through_are_given_up_though_there_is_a_record(
    world: World, journal: Journal
) -> None:
    await post(world, "/twilio/voice", form())
    answers = []
    for attempt in (1, 2, 3):
        await journal.written()
        answers.append(await asked(world, attempt))

    assert answers == ["Connect", "Connect", "Say"]


async def test_streams_that_do_not_come_through_any_more_are_given_up_too(world: World, journal: Journal) -> None:
    tell(journal, call_of(), began(agent="a"), record.Connected(), record.Ended(End.LINE_LOST, 3.0))
    answers = []
    for attempt in (1, 2, 3):
        await journal.written()
        answers.append(await asked(world, attempt))

    assert answers == ["Connect", "Connect", "Say"]


async def test_a_call_that_was_moved_often_may_still_lose_its_line(world: World, journal: Journal) -> None:
    for attempt in (1, 2, 3):
        tell(journal, call_of(), began(attempt, "a"), record.Connected(), record.Ended(End.MOVED, 3.0))
    tell(journal, call_of(), began(4, "a"), record.Connected(), record.Ended(End.LINE_LOST, 3.0))
    await journal.written()

    assert await asked(world, 4) == "Connect"


async def test_a_call_that_has_come_and_gone_here_is_over_when_another_process_has_said_goodbye(
    world: World, journal: Journal
) -> None:
    world.live.ledger.put("end CA1", End.LINE_LOST)
    tell(journal, call_of(), began(1, "a"), record.Connected(), record.Ended(End.LINE_LOST, 3.0))
    tell(journal, call_of(), began(2, "a"), record.Connected(), record.Ended(End.AGENT, 3.0))
    await journal.written()

    assert await asked(world, 2) == "Hangup"


class Slow:
    """Records that take their time."""

    def __init__(self) -> None:
        self.waited_for = asyncio.Event()
        self.done = asyncio.Event()

    def observe(self, call: Call, entry: Entry) -> None:
        pass

    async def recall(self, call_id: str, before: int | None = None) -> Recollection | None:
        return None

    async def was_heard(self, call_id: str) -> bool:
        return False

    async def written(self) -> None:
        self.waited_for.set()
        await self.done.wait()


async def test_after_a_goodbye_the_line_stays_open_until_another_process_can_read_that_it_was_one(
    tmp_path: Path,
) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.request("end_call")
        await session.message("FunctionCallResponse")
        await session.say(bytes(160))

    slow = Slow()
    async with speech_service(script) as service:
        async with server_for(project(tmp_path, a=AGENT), service.url, records=slow) as world:
            async with asyncio.timeout(10), placed(world.account, NUMBER, CALLER, Ear()) as caller:
                await slow.waited_for.wait()
                assert caller.connected.is_set()
                slow.done.set()
                await caller.over.wait()

    assert "Hangup" in caller.documents[-1]
