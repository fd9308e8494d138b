"""Whole calls: the phone network's stand-in, the server, a scripted speech service."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from dialplan.call.record import End
from dialplan.call.timing import Timing
from dialplan.config.loading import Loading
from dialplan.rehearsal.phone import Caller, placed
from dialplan.server.live import Drain
from tests.world import (
    AGENT,
    CALLER,
    NUMBER,
    Ear,
    Script,
    ScriptedService,
    ScriptedSession,
    World,
    project,
    server_for,
    speech_service,
)

TONE = bytes(range(1, 161))

#: Limits short enough to wait for.
HASTY = Timing(line=0.5, speech=0.5, keep_alive=0.1, stalled=0.05, gate=0.3, goodbye=0.5, send=2.0)


@asynccontextmanager
async def call(
    loading: Loading, script: Script, ear: Ear | None = None, timing: Timing | None = None
) -> AsyncIterator[tuple[Caller, ScriptedService, World]]:
    async with (
        speech_service(script) as service,
        server_for(loading, service.url, timing=timing) as world,
        placed(world.account, NUMBER, CALLER, ear or Ear()) as caller,
    ):
        async with asyncio.timeout(20):
            yield caller, service, world


async def test_a_greeting_is_heard_whole_and_twilio_has_nothing_to_warn_of(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(TONE * 10)

    ear = Ear()
    async with call(project(tmp_path, a=AGENT), script, ear) as (caller, service, _):
        await ear.until(lambda e: bool(e.utterances))

    assert ear.utterances == [TONE * 10]
    assert caller.warnings == []
    assert service.sessions[0].settings["agent"]["greeting"] == "Hello."


async def test_the_greeting_is_held_until_the_line_opens(tmp_path: Path) -> None:
    said = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(TONE * 3)
        said.set()

    ear = Ear()
    async with speech_service(script) as service, server_for(project(tmp_path, a=AGENT), service.url) as world:
        async with placed(world.account, NUMBER, CALLER, ear) as caller:
            await said.wait()
            await ear.until(lambda e: bool(e.utterances))

    assert ear.utterances == [TONE * 3]
    assert caller.warnings == []


async def test_the_key_is_shown_in_the_header_and_settings_come_after_welcome(tmp_path: Path) -> None:
    first: list[bool] = []
    applied = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.connection.recv(), 0.2)
        first.append(True)
        await session.open()
        applied.set()

    async with call(project(tmp_path, a=AGENT), script) as (_, service, _):
        await applied.wait()

    request = service.sessions[0].connection.request
    assert request is not None
    assert request.headers["Authorization"] == "Token dg-key"
    assert first == [True]


async def test_the_callers_audio_arrives_frame_by_frame(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        while TONE * 5 not in session.heard:
            await session.hear(len(session.heard) + 1)
        arrived.set()

    async with call(project(tmp_path, a=AGENT), script) as (caller, service, _):
        caller.speak(TONE * 5)
        await arrived.wait()

    assert set(service.sessions[0].frames) == {160}


async def test_what_the_caller_says_before_the_service_is_ready_is_kept_for_two_seconds(tmp_path: Path) -> None:
    ready, arrived = asyncio.Event(), asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await ready.wait()
        await session.open()
        while TONE * 20 not in session.heard:
            await session.hear(len(session.heard) + 1)
        arrived.set()

    async with call(project(tmp_path, a=AGENT), script) as (caller, service, _):
        await caller.connected.wait()
        caller.speak(TONE * 20)
        await caller.spoken()
        ready.set()
        await arrived.wait()

    assert set(service.sessions[0].frames) == {160}


async def test_barge_in_clears_what_twilio_has_buffered_and_drops_what_comes_late(tmp_path: Path) -> None:
    late = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.audio(TONE * 500)
        await session.hear(160 * 10)
        await session.send("UserStartedSpeaking")
        await session.audio(b"\x01" * 160)
        await session.send("ConversationText", role="assistant", content="of the cut reply")
        await session.audio(b"\x02" * 160)
        await session.send("AgentAudioDone")
        await session.send("ConversationText", role="user", content="Wait.")
        await session.say(b"\x03" * 320)
        late.set()

    ear = Ear()
    async with call(project(tmp_path, a=AGENT), script, ear) as (caller, _, _):
        await late.wait()
        await ear.until(lambda e: bool(e.utterances))

    assert len(ear.cuts) == 1
    assert len(ear.cuts[0]) < 160 * 500
    assert ear.utterances == [b"\x03" * 320]
    assert caller.warnings == []


async def test_end_call_hangs_up_after_the_goodbye_was_heard(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.request("end_call")
        await session.message("FunctionCallResponse")
        await session.say(TONE * 20)

    ear = Ear()
    async with call(project(tmp_path, a=AGENT), script, ear) as (caller, _, world):
        await caller.over.wait()
        assert await world.live.settled_end(caller.call_sid) is End.AGENT

    assert ear.utterances == [TONE * 20]
    assert "Hangup" in caller.documents[-1]


async def test_an_interrupted_goodbye_takes_the_hang_up_back(tmp_path: Path) -> None:
    went_on = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.request("end_call")
        await session.message("FunctionCallResponse")
        await session.say(TONE * 200)
        await session.hear(len(session.heard) + 1600)
        await session.send("UserStartedSpeaking")
        await session.send("ConversationText", role="user", content="One more thing.")
        await session.say(TONE)
        await session.hear(len(session.heard) + 160 * 50)
        went_on.set()

    ear = Ear()
    async with call(project(tmp_path, a=AGENT), script, ear, Timing(goodbye=0.8)) as (caller, _, _):
        await went_on.wait()
        assert not caller.over.is_set()

    assert ear.utterances == [TONE]


async def test_a_goodbye_that_never_comes_is_not_waited_for_forever(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.request("end_call")

    async with call(project(tmp_path, a=AGENT), script, timing=HASTY) as (caller, _, world):
        await caller.over.wait()
        assert await world.live.settled_end(caller.call_sid) is End.AGENT


async def test_quiet_is_asked_about_and_then_ended(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        for _ in range(2):
            asked = await session.message("InjectAgentMessage")
            await session.send("ConversationText", role="assistant", content=asked["message"])
            await session.say(TONE)

    quiet = AGENT + "limits: {silence: 0.2}\n"
    async with call(project(tmp_path, a=quiet), script) as (caller, _, world):
        await caller.over.wait()
        assert await world.live.settled_end(caller.call_sid) is End.SILENCE


async def test_a_call_is_no_longer_than_it_may_be(tmp_path: Path) -> None:
    goodbye: list[str] = []

    async def script(session: ScriptedSession) -> None:
        await session.open()
        said = await session.message("InjectAgentMessage")
        goodbye.append(said["behavior"])
        await session.say(TONE)

    short = AGENT + "limits: {minutes: 0.005}\n"
    async with call(project(tmp_path, a=short), script) as (caller, _, world):
        await caller.over.wait()
        assert await world.live.settled_end(caller.call_sid) is End.LIMIT

    assert goodbye == ["interrupt"]


async def test_when_the_callers_audio_stops_silence_and_keepalives_go_out(tmp_path: Path) -> None:
    kept_alive = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.message("KeepAlive")
        session.heard = b""
        await session.hear(640)
        kept_alive.set()

    bin_agent = project(tmp_path, a=AGENT)
    async with speech_service(script) as service, server_for(bin_agent, service.url, timing=HASTY) as world:
        # A session whose stream has opened and brings nothing.
        from tests.server.test_streams import start, stream

        async with stream(world, "/bin") as connection:
            await connection.send(start({}))
            async with asyncio.timeout(10):
                await kept_alive.wait()

    assert set(service.sessions[0].heard) == {0xFF}


async def test_a_caller_who_hangs_up_early_leaves_nothing_behind(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.audio(TONE * 500)

    async with call(project(tmp_path, a=AGENT), script) as (caller, _, world):
        await caller.connected.wait()
        await caller.hang_up()
        await world.live.drain()

        assert len(world.live) == 0
        assert await world.live.settled_end(caller.call_sid) is End.CALLER


async def test_a_caller_whose_stream_breaks_is_connected_again(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(TONE)

    ear = Ear()
    async with call(project(tmp_path, a=AGENT), script, ear) as (caller, service, _):
        await ear.until(lambda e: len(e.utterances) == 1)
        await caller.vanish()
        await ear.until(lambda e: len(e.utterances) == 2)

    assert len(service.sessions) == 2


async def test_a_caller_whose_stream_breaks_now_and_then_is_connected_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lasts longer than a minute is no loss in a row; here everything does."""
    monkeypatch.setattr("dialplan.call.session.LONG", 0.0)

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(TONE)

    ear = Ear()
    async with call(project(tmp_path, a=AGENT), script, ear) as (caller, _, _):
        for times in range(1, 6):
            await ear.until(lambda e, times=times: len(e.utterances) == times)  # type: ignore[misc]
            await caller.vanish()
        await ear.until(lambda e: len(e.utterances) == 6)


async def test_a_caller_whose_stream_breaks_is_not_one_too_many_and_not_new(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(TONE)

    ear = Ear()
    async with call(project(tmp_path, a=AGENT + "limits: {calls: 1}\n"), script, ear) as (caller, _, world):
        await ear.until(lambda e: len(e.utterances) == 1)
        world.live.draining = True
        await caller.vanish()
        await ear.until(lambda e: len(e.utterances) == 2)

    assert not caller.rejected


async def test_a_drain_stays_for_twilios_question_what_comes_after_the_call(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.request("end_call")
        await session.message("FunctionCallResponse")
        await session.say(TONE)

    async with call(project(tmp_path, a=AGENT), script) as (caller, _, world):
        await caller.connected.wait()
        await world.live.drain()
        await caller.over.wait()

        assert "Hangup" in caller.documents[-1]


async def test_a_call_that_says_goodbye_while_calls_are_moved_ends_with_it_and_is_not_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialplan.server.live.MOVE_SECONDS", 0.0)
    goodbye, asked = TONE * 50, asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.request("end_call")
        await session.message("FunctionCallResponse")
        await session.say(goodbye)
        asked.set()

    ear = Ear()
    async with call(project(tmp_path, a=AGENT), script, ear) as (caller, _, world):
        await asked.wait()
        await caller.connected.wait()
        await world.live.drain(Drain(move=True))
        assert await world.live.settled_end(caller.call_sid) is End.AGENT

    assert ear.utterances == [goodbye]


# The speech service fails: the caller hears so in words, and never a traceback.


@asynccontextmanager
async def refusing(status: HTTPStatus) -> AsyncIterator[str]:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(status, "no")

    async def never(connection: ServerConnection) -> None:
        raise AssertionError

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/agent/converse"


async def apology(loading: Loading, url: str) -> tuple[list[str], World]:
    ear = Ear()
    async with server_for(loading, url, timing=HASTY) as world:
        async with placed(world.account, NUMBER, CALLER, ear) as caller, asyncio.timeout(10):
            await caller.over.wait()
    return ear.announcements, world


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY])
async def test_a_service_that_refuses_is_told_to_the_caller(tmp_path: Path, status: HTTPStatus) -> None:
    async with refusing(status) as url:
        announcements, world = await apology(project(tmp_path, a=AGENT), url)

    assert len(announcements) == 1
    assert "sorry" in announcements[0]
    assert f'dialplan_speech_warnings_total{{code="{status.value}"}}' in world.live.metrics.text().decode()


async def test_a_service_that_is_not_there_is_told_to_the_caller(tmp_path: Path) -> None:
    announcements, _ = await apology(project(tmp_path, a=AGENT), "ws://127.0.0.1:1/v1/agent/converse")

    assert len(announcements) == 1


async def _silent(session: ScriptedSession) -> None:
    pass


async def _rejecting(session: ScriptedSession) -> None:
    await session.send("Welcome", request_id="r")
    await session.message("Settings")
    await session.send("Error", code="UNPARSABLE_CLIENT_MESSAGE", description="Check the agent field.")


async def _closing(session: ScriptedSession) -> None:
    await session.open()
    await session.hear(1600)
    await session.connection.close()


async def _vanishing(session: ScriptedSession) -> None:
    await session.open()
    await session.hear(1600)
    session.connection.transport.abort()


async def _failing(session: ScriptedSession) -> None:
    await session.open()
    await session.hear(1600)
    await session.send("Error", code="FAILED_TO_THINK", description="All providers failed.")


@pytest.mark.parametrize(
    ("script", "end"),
    [
        (_silent, End.SPEECH_LOST),
        (_rejecting, End.SPEECH_REFUSED),
        (_closing, End.SPEECH_LOST),
        (_vanishing, End.SPEECH_LOST),
        (_failing, End.SPEECH_REFUSED),
    ],
    ids=["never says welcome", "rejects the settings", "closes in the middle", "vanishes", "reports an error"],
)
async def test_a_service_that_fails_is_told_to_the_caller(tmp_path: Path, script: Script, end: End) -> None:
    ear = Ear()

    async with call(project(tmp_path, a=AGENT), script, ear, HASTY) as (caller, _, world):
        await caller.over.wait()
        assert await world.live.settled_end(caller.call_sid) is end

    assert len(ear.announcements) == 1


async def test_a_service_that_talks_rubbish_is_borne_with(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        for message in (
            "x",
            "[]",
            '{"type": 5}',
            '{"type": "Tomorrow"}',
            '{"type": "FunctionCallRequest"}',
            "[" * 9999,
        ):
            await session.connection.send(message)
        await session.send("Warning", code="SLOW_THINK_REQUEST", description="slow")
        await session.send("EndOfTurn", trigger="manual")
        await session.say(TONE)

    ear = Ear()
    async with call(project(tmp_path, a=AGENT), script, ear) as (_, _, world):
        await ear.until(lambda e: bool(e.utterances))
        metrics = world.live.metrics.text().decode()

    assert ear.utterances == [TONE]
    assert 'code="SLOW_THINK_REQUEST"' in metrics


# Functions.

PLUGIN = """
import asyncio, time
from dialplan import Call, FunctionError

def who(call: Call) -> dict[str, str]:
    return {"id": call.id, "from": call.from_}

def fail() -> None:
    raise RuntimeError("secret detail")

async def block() -> str:
    time.sleep(1.0)
    return "done"

def spin() -> str:
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        pass
    return "done"
"""

WITH_PLUGIN = f"""
numbers: ["{NUMBER}"]
prompt: x
plugins: [plugins.test]
functions:
  - who
  - fail
  - {{name: block, timeout: 0.3}}
  - spin
"""


async def test_functions_of_one_request_run_beside_each_other_and_each_is_answered(tmp_path: Path) -> None:
    answers: dict[str, dict[str, str]] = {}
    answered = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        names = ["who", "fail", "block", "nothing"]
        functions = [{"id": n, "name": n, "arguments": "", "client_side": True} for n in names]
        functions.append({"id": "server", "name": "who", "arguments": "", "client_side": False})
        await session.send("FunctionCallRequest", functions=functions)
        while len(answers) < 4:
            answer = await session.message("FunctionCallResponse")
            answers[answer["id"]] = json.loads(answer["content"])
        answered.set()

    async with call(project(tmp_path, plugin=PLUGIN, a=WITH_PLUGIN), script) as (caller, _, _):
        await answered.wait()

    assert answers["who"] == {"id": caller.call_sid, "from": CALLER}
    assert answers["nothing"] == {"error": "Unknown function: nothing"}
    assert set(answers["fail"]) == set(answers["block"]) == {"error"}
    assert "secret detail" not in str(answers)


@pytest.mark.parametrize("function", ["block", "spin"])
async def test_a_function_that_blocks_delays_nobodys_audio(tmp_path: Path, function: str) -> None:
    """Not timed: the caller's audio goes on arriving before the function has returned."""
    order: list[str] = []
    done = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.request(function)
        await session.hear(len(session.heard) + 160 * 5)
        order.append("audio")
        await session.message("FunctionCallResponse")
        order.append("answer")
        done.set()

    async with call(project(tmp_path, plugin=PLUGIN, a=WITH_PLUGIN), script) as _:
        await done.wait()

    assert order == ["audio", "answer"]


async def test_twenty_calls_at_once_hear_each_their_own(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        number = int(session.settings["agent"]["think"]["prompt"])
        await session.say(bytes([number]) * 480)

    agent = f'numbers: ["{NUMBER}"]\nprompt: "{{{{ call.from[-2:] }}}}"\n'
    ears = [Ear() for _ in range(20)]

    async def one(world: World, index: int) -> None:
        async with placed(world.account, NUMBER, f"+155501099{index + 10}", ears[index]):
            await ears[index].until(lambda e: bool(e.utterances))

    async with speech_service(script) as service, server_for(project(tmp_path, a=agent), service.url) as world:
        async with asyncio.timeout(30):
            await asyncio.gather(*(one(world, index) for index in range(20)))
        await world.live.drain()

    assert [ear.utterances for ear in ears] == [[bytes([index + 10]) * 480] for index in range(20)]


async def test_after_a_call_no_task_of_it_is_left(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(TONE)

    ear = Ear()
    async with speech_service(script) as service, server_for(project(tmp_path, a=AGENT), service.url) as world:
        before = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
        async with placed(world.account, NUMBER, CALLER, ear):
            await ear.until(lambda e: bool(e.utterances))
        await world.live.drain()
        left = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]

    assert not [name for name in left - before if "Session" in name or "Live" in name or "_Stream" in name]
