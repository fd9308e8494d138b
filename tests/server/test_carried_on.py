"""A call outlives its process: another one, or the same after its restart, carries it on. Real processes and kills."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dialplan.journal.address import Database
from dialplan.journal.rows import Kind
from dialplan.rehearsal.phone import Account, Caller, placed
from dialplan.server.phone import SORRY
from tests.config.files import write
from tests.faults.proxies import Proxy, standing
from tests.journal.calling import kept, until
from tests.server.test_process import PUBLIC, Process, serving
from tests.silence import silent
from tests.world import AGENT, AUTH_TOKEN, CALLER, NUMBER, Ear, ScriptedSession, speech_service

TONE = bytes(range(1, 161))
GREETING, ANSWER = TONE * 10, bytes(reversed(TONE)) * 10
RESUMED = "Sorry, we were cut off for a moment. Where were we?"


async def servings(stack: AsyncExitStack, count: int, root: Path, speech_url: str, *options: str) -> list[Process]:
    """So many processes, started at once; they live as long as the stack."""
    async with asyncio.TaskGroup() as group:
        contexts = [serving(root, speech_url, *options) for _ in range(count)]
        started = [group.create_task(stack.enter_async_context(context)) for context in contexts]
    return [task.result() for task in started]


@asynccontextmanager
async def several(root: Path, speech_url: str, count: int) -> AsyncIterator[tuple[str, list[Process]]]:
    """So many processes behind one address; the first takes everything as long as it lives."""
    balancer = Proxy()
    async with standing(balancer) as url, AsyncExitStack() as stack:
        processes = await servings(stack, count, root, speech_url)
        balancer.servers = [process.url for process in processes]
        yield url, processes


@asynccontextmanager
async def called(url: str) -> AsyncIterator[tuple[Caller, Ear]]:
    async with asyncio.timeout(30), placed(Account(url, AUTH_TOKEN, PUBLIC), NUMBER, CALLER, ear := Ear()) as caller:
        yield caller, ear


def context(session: ScriptedSession) -> Sequence[object]:
    messages: Sequence[object] = session.settings["agent"]["context"]["messages"]
    return messages


def said(role: str, content: str) -> dict[str, str]:
    return {"type": "History", "role": role, "content": content}


async def talks(session: ScriptedSession) -> None:
    """The first session greets and is told something; one that takes over answers."""
    await session.open()
    if "context" in session.settings["agent"]:
        await session.send("ConversationText", role="assistant", content=RESUMED)
        await session.say(ANSWER)
        return
    await session.send("ConversationText", role="assistant", content="Hello.")
    await session.say(GREETING)
    await session.hear(1600)
    await session.send("ConversationText", role="user", content="I need aspirin.")
    await session.audio(TONE * 500)  # Ten seconds: the process is killed in the middle of them.


async def until_on_record(root: Path, caller: Caller, kind: Kind, count: int = 1) -> None:
    """Wait until so many entries of a kind are in the database."""
    database = Database("calls", file=root / "var" / "dialplan.db")

    async def holds() -> bool:
        return sum(entry.kind == kind for entry in await kept(database, caller.call_sid)) >= count

    await until(holds)


async def test_a_call_goes_on_in_another_process_when_its_own_is_killed_in_the_middle_of_a_sentence(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"agents/a.yaml": AGENT})
    async with speech_service(talks) as service, several(tmp_path, service.url, 2) as (url, processes):
        async with called(url) as (caller, ear):
            await ear.until(lambda e: GREETING in e.utterances)
            caller.speak(TONE * 20)
            await until_on_record(tmp_path, caller, Kind.SAID, 2)
            processes[0].process.kill()
            await ear.until(lambda e: ANSWER in e.utterances)

            assert caller.connected.is_set()
            assert (len(caller.documents), caller.warnings) == (2, [])

    resumed = service.sessions[-1]
    assert resumed.settings["agent"]["greeting"] == RESUMED
    assert context(resumed) == [said("assistant", "Hello."), said("user", "I need aspirin.")]


async def test_a_call_goes_on_in_the_same_place_when_its_process_is_restarted(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": AGENT})
    async with speech_service(talks) as service, AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(tmp_path, service.url))
        port = str(urlsplit(first.url).port)
        async with called(first.url) as (caller, ear):
            await ear.until(lambda e: GREETING in e.utterances)
            await until_on_record(tmp_path, caller, Kind.SAID)
            first.process.kill()
            await first.ended()
            await stack.enter_async_context(serving(tmp_path, service.url, "--port", port))
            await ear.until(lambda e: ANSWER in e.utterances)
            assert caller.warnings == []

    assert context(service.sessions[-1])[0] == said("assistant", "Hello.")


PLUGIN = """
import os
from dialplan import IdempotencyKey, idempotent

def _hang(name: str) -> None:
    with open("{root}/" + name, "a") as file:
        file.write(".")
    if os.path.getsize("{root}/" + name) == 1:
        os.open("{root}/never", os.O_RDONLY)

def order() -> str:
    _hang("ordered")
    return "ordered"

def reserve(key: IdempotencyKey) -> str:
    with open("{root}/keys", "a") as file:
        file.write(key + " ")
    _hang("reserved")
    return "reserved"

@idempotent
def look() -> str:
    _hang("looked")
    return "seen"
"""


async def test_of_a_function_that_was_at_work_nobody_knows_unless_it_may_be_run_again(tmp_path: Path) -> None:
    agent = AGENT.replace("[end_call]", "[order, reserve, look]\nplugins: [plugins.test]")
    write(tmp_path, {"agents/a.yaml": agent, "plugins/test.py": PLUGIN.replace("{root}", str(tmp_path))})
    os.mkfifo(tmp_path / "never")
    resumed = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        if "context" not in session.settings["agent"]:
            for name in ("order", "reserve", "look"):
                await session.request(name, id=f"f-{name}")
        else:
            resumed.set()

    async with speech_service(script) as service, several(tmp_path, service.url, 2) as (url, processes):
        async with called(url) as (caller, _):
            await until(lambda: all((tmp_path / name).exists() for name in ("ordered", "reserved", "looked")))
            await until_on_record(tmp_path, caller, Kind.FUNCTION_BEGAN, 3)
            processes[0].process.kill()
            await resumed.wait()
            await until(lambda: (tmp_path / "looked").read_text() == "..")

    functions = {
        call["name"]: json.loads(call["response"])
        for message in context(service.sessions[-1])
        for call in message.get("function_calls", ())  # type: ignore[attr-defined]
    }
    assert "not known whether this was done" in functions["order"]["error"]
    assert functions["look"] == "seen" or "still at work" in functions["look"]["status"]
    assert (tmp_path / "ordered").read_text() == "."
    assert (tmp_path / "reserved").read_text() == (tmp_path / "looked").read_text() == ".."
    keys = (tmp_path / "keys").read_text().split()
    assert keys == [f"{caller.call_sid}:f-reserve"] * 2


async def test_a_call_that_takes_three_processes_with_it_gets_the_fallback(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": AGENT})
    async with speech_service(talks) as service, several(tmp_path, service.url, 4) as (url, processes):
        async with called(url) as (caller, ear):
            for number, process in enumerate(processes[:3], start=1):
                await until_on_record(tmp_path, caller, Kind.CONNECTED, number)
                process.process.kill()
                await until(lambda: not caller.connected.is_set())
            await caller.over.wait()

    assert ear.announcements == [SORRY]
    assert len(service.sessions) == 3


# The deploy.


async def test_a_rolling_restart_under_twenty_calls_cuts_nobody_off_and_every_conversation_is_whole(
    tmp_path: Path,
) -> None:
    """Each call is told a word of its own by its first session, and asked for it by whoever leads it at the end."""
    write(tmp_path, {"agents/a.yaml": AGENT})
    moved = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        if "context" not in session.settings["agent"]:
            await session.send("ConversationText", role="assistant", content=f"Word {service.sessions.index(session)}.")
            await session.say(GREETING)
        await moved.wait()
        await session.say(ANSWER)

    calls, options = 20, ("--drain", "move")
    balancer = Proxy(in_turn=True)
    async with speech_service(script) as service, standing(balancer) as url, AsyncExitStack() as stack:
        *old, first, second = await servings(stack, 4, tmp_path, service.url, *options)
        balancer.servers = [process.url for process in old]
        ears = [await stack.enter_async_context(called(url)) for _ in range(calls)]
        for _, ear in ears:
            await ear.until(lambda e: GREETING in e.utterances)

        for process, new in zip(old, (first, second), strict=True):
            balancer.servers.append(new.url)
            process.process.send_signal(signal.SIGTERM)
            assert await process.ended() == 0
            balancer.servers.remove(process.url)
        for caller, _ in ears:
            await caller.connected.wait()
        moved.set()
        for _, ear in ears:
            await ear.until(lambda e: ANSWER in e.utterances)

        assert [(caller.warnings, ear.announcements) for caller, ear in ears] == [([], [])] * calls
        sessions = [len(caller.documents) for caller, _ in ears]
        assert min(sessions) == 2
    live = [session for session in service.sessions if "context" in session.settings.get("agent", {})]
    assert all("greeting" not in session.settings["agent"] for session in live)
    assert {len(context(session)) for session in live} == {1}
    assert len({json.dumps(context(session)) for session in live}) == calls


async def test_a_call_that_goes_on_longer_than_a_drain_may_take_is_ended_with_a_word(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": AGENT})
    options = ("--drain-seconds", "0.5")
    async with speech_service(talks) as service, serving(tmp_path, service.url, *options) as server:
        async with called(server.url) as (caller, ear):
            await ear.until(lambda e: GREETING in e.utterances)
            server.process.send_signal(signal.SIGTERM)
            await caller.over.wait()
        assert await server.ended() == 0

    assert ear.announcements == [SORRY]


# What is missing.


async def test_without_transcripts_the_call_goes_on_but_nothing_is_remembered(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": AGENT + "records: {transcripts: false}\nresumed: Hello again.\n"})

    async def script(session: ScriptedSession) -> None:
        await session.open()
        again = session.settings["agent"]["greeting"] == "Hello again."
        await session.send("ConversationText", role="assistant", content="Hello.")
        await session.say(ANSWER if again else GREETING)

    async with speech_service(script) as service, several(tmp_path, service.url, 2) as (url, processes):
        async with called(url) as (caller, ear):
            await ear.until(lambda e: GREETING in e.utterances)
            await until_on_record(tmp_path, caller, Kind.SAID)
            processes[0].process.kill()
            await ear.until(lambda e: ANSWER in e.utterances)

    assert "context" not in service.sessions[-1].settings["agent"]


async def test_without_a_database_a_call_goes_on_from_the_beginning(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": AGENT, ".env": "DATABASE_URL=sqlite:////dev/null/calls.db\n"})

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(GREETING)

    async with speech_service(script) as service, several(tmp_path, service.url, 2) as (url, processes):
        async with called(url) as (_, ear):
            await ear.until(lambda e: len(e.utterances) == 1)
            processes[0].process.kill()
            await ear.until(lambda e: len(e.utterances) == 2)

    assert service.sessions[-1].settings["agent"]["greeting"] == "Hello."


async def test_a_database_that_takes_connections_and_says_nothing_holds_up_no_start_no_call_and_no_end(
    tmp_path: Path,
) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(GREETING)

    async with silent() as port, speech_service(script) as service:
        write(tmp_path, {"agents/a.yaml": AGENT, ".env": f"DATABASE_URL=postgresql://ann@127.0.0.1:{port}/calls\n"})
        async with several(tmp_path, service.url, 2) as (url, processes):
            async with called(url) as (_, ear):
                await ear.until(lambda e: len(e.utterances) == 1)
                processes[0].process.kill()
                # Twilio gives up after 15 seconds; whoever is asked asks the database twice, a second each.
                async with asyncio.timeout(5):
                    await ear.until(lambda e: len(e.utterances) == 2)
            processes[1].process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                assert await processes[1].ended() == 0

    assert service.sessions[-1].settings["agent"]["greeting"] == "Hello."
