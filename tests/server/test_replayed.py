"""What Twilio has signed once and somebody has kept: it opens no stream, and touches no call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dialplan.call import record
from dialplan.call.record import End
from dialplan.call.session import Session
from dialplan.journal.journal import Journal
from dialplan.server.ledger import Memory
from tests.journal.calling import began, call_of, tell
from tests.server.test_admission import refused, world_of
from tests.server.test_phone import form, never, parameters, post
from tests.server.test_streams import closed_with, start, stream
from tests.world import AGENT, World, project, server_for, speech_service


@pytest.fixture
def forgetful() -> Memory:
    """A ledger as it is after a restart, again and again."""

    class Forgetful(Memory):
        def get(self, key: str) -> str | None:
            return None if key.startswith("answer") else super().get(key)

    return Forgetful()


@pytest.fixture
async def world(tmp_path: Path, journal: Journal) -> AsyncIterator[World]:
    loading = project(tmp_path, a=AGENT)
    async with speech_service(never) as service, server_for(loading, service.url, records=journal) as world:
        yield world


@asynccontextmanager
async def on_the_line(world: World, attempt: int = 1) -> AsyncIterator[Session]:
    """A call with its stream."""
    path = "/twilio/voice" if attempt == 1 else f"/twilio/next?attempt={attempt - 1}"
    shown = parameters((await post(world, path, form(CallStatus="in-progress"))).text)
    async with stream(world) as connection:
        await connection.send(start(shown))
        session = world.live.find("CA1")
        assert session is not None
        async with asyncio.timeout(10):
            await session._line_came.wait()
        yield session


async def test_a_webhook_for_a_call_that_is_on_the_line_opens_no_second_stream(
    tmp_path: Path, forgetful: Memory
) -> None:
    async with world_of(tmp_path, ledger=forgetful, a=AGENT) as world:
        async with on_the_line(world) as session:
            answer = await post(world, "/twilio/voice", form())

            assert [verb.tag for verb in ET.fromstring(answer.text)] == ["Hangup"]
            assert await refused(world, "replayed") == 1
            assert world.live.find("CA1") is session


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_question_about_an_earlier_stream_touches_the_newer_one_not(
    tmp_path: Path, forgetful: Memory, forgets: bool
) -> None:
    async with world_of(tmp_path, ledger=forgetful if forgets else Memory(), a=AGENT) as world:
        async with on_the_line(world) as first:
            first.end(End.LINE_LOST)
        async with on_the_line(world, attempt=2) as second:
            answer = await post(world, "/twilio/next?attempt=1", form(CallStatus="in-progress"))

            verbs = [verb.tag for verb in ET.fromstring(answer.text)]
            assert verbs == (["Hangup"] if forgets else ["Connect"])
            assert world.live.find("CA1") is second
            assert second.record.end is None


async def test_a_token_of_an_answer_that_is_given_again_was_used(tmp_path: Path) -> None:
    async with world_of(tmp_path, a=AGENT) as world:
        async with on_the_line(world) as session:
            again = parameters((await post(world, "/twilio/voice", form())).text)
            async with stream(world) as stolen:
                await stolen.send(start(again))

                assert await closed_with(stolen) == 1008
            assert world.live.find("CA1") is session


async def test_a_status_that_was_true_once_ends_no_other_call(tmp_path: Path) -> None:
    async with world_of(tmp_path, a=AGENT) as world:
        async with on_the_line(world) as session:
            await post(world, "/twilio/status", form(CallSid="CA2", CallStatus="completed"))

            assert world.live.find("CA1") is session


async def test_a_webhook_of_a_call_that_was_on_the_line_before_opens_nothing_that_lasts(
    tmp_path: Path, world: World, journal: Journal
) -> None:
    """The server was restarted, and knows the call by its records only."""
    tell(journal, call_of(), began(1, "a"), record.Connected(), record.Ended(End.CALLER, 3.0))
    await journal.written()

    shown = parameters((await post(world, "/twilio/voice", form())).text)
    session = world.live.find("CA1")
    assert session is None or await asyncio.wait_for(session.ended.wait(), 10)

    assert await refused(world, "replayed") == 1
    async with stream(world) as stolen:
        await stolen.send(start(shown))
        assert await closed_with(stolen) == 1008


async def test_a_call_that_rang_before_and_was_never_on_the_line_is_answered(world: World, journal: Journal) -> None:
    """Another process has answered it first, and Twilio has not heard that."""
    tell(journal, call_of(), began(1, "a"), record.Ended(End.NEVER_CAME, 0.0))
    await journal.written()

    async with on_the_line(world) as session:
        assert session.record.end is None


async def test_who_connects_a_call_by_hand_may_do_so_again(world: World, journal: Journal) -> None:
    tell(journal, call_of(), began(1, "a"), record.Connected(), record.Ended(End.AGENT, 3.0))
    await journal.written()

    async with stream(world, "/bin") as connection:
        await connection.send(start({}))
        async with asyncio.timeout(10):
            while (session := world.live.find("CA1")) is None:  # noqa: ASYNC110 -- the server's state
                await asyncio.sleep(0.01)

        assert not world.live._looking
        assert session.record.end is None
