"""The speech service fails in the middle of a call, over real sockets: the caller stays on the line."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from dialplan.call.record import End, Entry, Lost, Recovered
from dialplan.call.timing import Timing
from dialplan.facts import Call
from dialplan.rehearsal.phone import Caller, placed
from tests.world import (
    AGENT,
    CALLER,
    NUMBER,
    Ear,
    ScriptedService,
    ScriptedSession,
    World,
    project,
    server_for,
    speech_service,
)

TONE = bytes(range(1, 161))
FIRST, SECOND = TONE * 10, bytes(reversed(TONE)) * 10


def in_turn(*scripts: Callable[[ScriptedSession], Awaitable[None]]) -> Callable[[ScriptedSession], Awaitable[None]]:
    """Each session follows the next script, from the moment that it is open."""
    left = list(scripts)

    async def script(session: ScriptedSession) -> None:
        mine = left.pop(0)
        await session.open()
        await mine(session)

    return script


@asynccontextmanager
async def called(world: World) -> AsyncIterator[tuple[Caller, Ear]]:
    async with asyncio.timeout(20), placed(world.account, NUMBER, CALLER, ear := Ear()) as caller:
        yield caller, ear


async def answers(session: ScriptedSession) -> None:
    """The agent says something, the caller too, and the connection is gone."""
    await session.send("ConversationText", role="assistant", content="Hello.")
    await session.say(FIRST)
    await session.hear(1600)
    await session.send("ConversationText", role="user", content="How much is it?")
    session.connection.transport.abort()


async def goes_on(session: ScriptedSession) -> None:
    await session.say(SECOND)


async def test_the_caller_hears_the_answer_though_the_session_was_lost_after_the_question(tmp_path: Path) -> None:
    asked: list[str] = []

    async def takes_over(session: ScriptedSession) -> None:
        asked.append((await session.message("InjectUserMessage"))["content"])
        await session.send("ConversationText", role="user", content=asked[0])
        await session.say(SECOND)

    async with speech_service(in_turn(answers, takes_over)) as service:
        async with server_for(project(tmp_path, a=AGENT), service.url) as world, called(world) as (caller, ear):
            caller.speak(TONE * 10)
            await ear.until(lambda e: len(e.utterances) == 2)

            assert ear.utterances == [FIRST, SECOND]
            assert (len(caller.documents), caller.warnings) == (1, [])
            assert "dialplan_speech_recovery_seconds_count 1.0" in world.live.metrics.text().decode()

    first, second = (session.settings["agent"] for session in service.sessions)
    assert "context" not in first
    assert "greeting" not in second
    assert second["context"]["messages"] == [{"type": "History", "role": "assistant", "content": "Hello."}]
    assert asked == ["How much is it?"]


async def test_what_the_caller_says_meanwhile_reaches_the_next_session(tmp_path: Path) -> None:
    words = bytes(range(10, 250)) * 10
    dialled = asyncio.Event()
    spoken = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        if len(service.sessions) == 1:
            await session.open()
            await session.say(FIRST)
            await session.hear(160)
            session.connection.transport.abort()
            return
        dialled.set()
        await spoken.wait()
        await session.open()
        while words not in session.heard:
            await session.hear(len(session.heard) + 1)
        await session.say(SECOND)

    async with speech_service(script) as service:
        async with server_for(project(tmp_path, a=AGENT), service.url) as world, called(world) as (caller, ear):
            await dialled.wait()
            caller.speak(words)
            await caller.spoken()
            spoken.set()
            await ear.until(lambda e: SECOND in e.utterances)


async def test_a_function_that_was_at_work_is_told_to_the_next_session(tmp_path: Path) -> None:
    release = tmp_path / "release"
    plugin = f"import os\ndef price() -> int:\n    os.close(os.open({str(release)!r}, os.O_RDONLY))\n    return 7\n"
    os.mkfifo(release)
    told: list[str] = []

    async def asks(session: ScriptedSession) -> None:
        await session.send("ConversationText", role="user", content="How much is it?")
        await session.request("price")
        session.connection.transport.abort()

    async def takes_over(session: ScriptedSession) -> None:
        os.close(await asyncio.to_thread(os.open, release, os.O_WRONLY))
        told.append((await session.message("InjectUserMessage"))["content"])
        await session.say(SECOND)

    agent = AGENT.replace("[end_call]", "[price]\nplugins: [plugins.test]")
    async with speech_service(in_turn(asks, takes_over)) as service:
        async with server_for(project(tmp_path, plugin, a=agent), service.url) as world, called(world) as (_, ear):
            await ear.until(lambda e: SECOND in e.utterances)

    assert "price has finished. Its result: 7" in told[0]
    assert service.sessions[1].settings["agent"]["context"]["messages"][-1]["function_calls"][0]["name"] == "price"


@asynccontextmanager
async def refusing(status: int, good_key: str = "") -> AsyncIterator[tuple[str, list[str]]]:
    """A service that refuses every handshake, but those with one key; and the keys that it was shown."""
    shown: list[str] = []

    def check(connection: ServerConnection, request: Request) -> Response | None:
        shown.append(request.headers["Authorization"].removeprefix("Token "))
        return None if shown[-1] == good_key else connection.respond(status, "no")

    service = ScriptedService(in_turn(*[goes_on] * 9))
    async with serve(service.handle, "127.0.0.1", 0, compression=None, process_request=check) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", shown


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_a_second_address_takes_over_and_the_next_caller_does_not_ask_the_first(
    tmp_path: Path, status: int
) -> None:
    async with speech_service(in_turn(goes_on, goes_on)) as service, refusing(status) as (bad, shown):
        async with server_for(project(tmp_path, a=AGENT), f"{bad} {service.url}") as world:
            for _ in range(2):
                async with called(world) as (_, ear):
                    await ear.until(lambda e: SECOND in e.utterances)

    assert len(shown) == 1


async def test_a_second_key_takes_over(tmp_path: Path) -> None:
    agent = AGENT + "deepgram: {api_key: 'old,new'}\n"
    async with refusing(401, good_key="new") as (url, shown):
        async with server_for(project(tmp_path, a=agent), url) as world, called(world) as (_, ear):
            await ear.until(lambda e: SECOND in e.utterances)

    assert shown == ["old", "new"]


async def test_a_service_that_is_lost_again_and_again_is_given_up_and_the_record_says_so(tmp_path: Path) -> None:
    async def breaks(session: ScriptedSession) -> None:
        session.connection.transport.abort()

    entries: list[Entry] = []

    def observe(call: Call, entry: Entry) -> None:
        entries.append(entry)

    async with speech_service(in_turn(*[breaks] * 9)) as service:
        loading = project(tmp_path, a=AGENT)
        async with server_for(loading, service.url, observe=observe) as world, called(world) as (caller, _):
            await caller.over.wait()
            assert world.live.end_of(caller.call_sid) is End.SPEECH_LOST

    assert len(service.sessions) == 4
    assert [type(entry) for entry in entries if isinstance(entry, Lost | Recovered)] == [Lost, Recovered] * 3 + [Lost]


@pytest.mark.parametrize(
    ("fallback", "said", "put_through"),
    [
        ("", "We are sorry, we cannot take your call at the moment. Please try again later. Goodbye.", ""),
        ("fallback: {say: '{{ store }} is deaf.'}", "Elm is deaf.", ""),
        ("fallback: {transfer: '+15550100099'}", "", "+15550100099"),
        ("fallback: {say: Hold on., transfer: 'sip:desk@example.com'}", "Hold on.", "sip:desk@example.com"),
    ],
)
async def test_a_caller_whom_the_agent_cannot_hear_gets_the_agents_fallback(
    tmp_path: Path, fallback: str, said: str, put_through: str
) -> None:
    agent = f"{AGENT}variables: {{store: Elm}}\n{fallback}\n"
    hasty = Timing(dial=0.2, speech=0.3)
    async with refusing(403) as (url, _):
        async with server_for(project(tmp_path, a=agent), url, timing=hasty) as world, called(world) as (caller, ear):
            await caller.over.wait()

    assert (" ".join(ear.announcements), caller.put_through) == (said, put_through)
