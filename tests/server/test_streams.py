"""Who gets onto a stream, and who does not. No speech session is opened for a stranger."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
import websockets
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect

from dialplan.call.record import End, Entry
from dialplan.call.session import Session
from dialplan.call.timing import Timing
from dialplan.facts import Call
from dialplan.server import live, streams
from dialplan.wire import twiml
from tests.server.test_phone import form, parameters, post
from tests.world import AGENT, AUTH_TOKEN, NUMBER, ScriptedService, ScriptedSession, World, project, server_for
from tests.world import speech_service as scripted

pytestmark = pytest.mark.usefixtures("directly")

PUBLIC = "wss://voice.example.com"


async def open_session(session: ScriptedSession) -> None:
    await session.open()


@pytest.fixture
async def service() -> AsyncIterator[ScriptedService]:
    async with scripted(open_session) as service:
        yield service


@pytest.fixture
async def world(tmp_path: Path, service: ScriptedService) -> AsyncIterator[World]:
    shared = 'numbers: ["+1555020000{n}"]\nstreams: [/shared]\nprompt: x\n'
    loading = project(tmp_path, a=AGENT, b=shared.format(n=1), c=shared.format(n=2))
    async with server_for(loading, service.url) as world:
        yield world


def start(parameters: dict[str, str], call_sid: str = "CA1", **media_format: Any) -> str:
    media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1} | media_format
    fields = {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": media_format,
        "customParameters": parameters,
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "start": fields, "streamSid": "MZ1"})


CONNECTED = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})


@asynccontextmanager
async def stream(world: World, path: str = "/twilio/stream", *, signed: bool = True) -> AsyncIterator[ClientConnection]:
    headers = (
        {"x-twilio-signature": RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC + path, {})} if signed else {}
    )
    async with connect(world.url.replace("http", "ws") + path, additional_headers=headers) as connection:
        yield connection


async def closed_with(connection: ClientConnection) -> int:
    """The code that the server closes with."""
    async with asyncio.timeout(10):
        await connection.wait_closed()
    assert connection.close_code is not None
    return connection.close_code


@pytest.fixture
def no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here no Twilio asks what comes after a stream; nobody need wait for it."""
    monkeypatch.setattr(live, "QUESTION_SECONDS", 0.05)


async def token(world: World, call_sid: str = "CA1") -> str:
    answer = await post(world, "/twilio/voice", form(CallSid=call_sid))
    return parameters(answer.text)["token"]


async def test_the_stream_of_an_answered_call_takes_the_waiting_session(world: World, service: ScriptedService) -> None:
    shown = {"token": await token(world)}

    async with stream(world) as connection:
        await connection.send(CONNECTED)
        await connection.send(start(shown))
        session = world.live.find("CA1")
        assert session is not None
        await asyncio.wait_for(session._line_came.wait(), 5)

    assert len(service.sessions) == 1


async def test_a_stream_that_comes_while_calls_are_moved_begins_none_that_nobody_would_move(world: World) -> None:
    shown = {"token": await token(world)}

    async with stream(world) as connection:
        world.live.draining = world.live.moving = True
        world.live.find("CA1").end(End.NEVER_CAME)  # type: ignore[union-attr]
        await connection.send(start(shown))
        assert await closed_with(connection) == 1013

    assert world.live.find("CA1") is None


async def test_a_token_is_good_for_one_stream(world: World, service: ScriptedService) -> None:
    shown = {"token": await token(world)}

    async with stream(world) as first, stream(world) as second:
        await first.send(start(shown))
        await asyncio.wait_for(world.live.find("CA1")._line_came.wait(), 5)  # type: ignore[union-attr]
        await second.send(start(shown))
        assert await closed_with(second) == 1008

    assert len(service.sessions) == 1


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"token": ""},
        {"token": "x.y.z"},
        {"token": "." * 400},
        {"token": twiml.stream_token("another secret", "CA1", "a", 9_999_999_999)},
        {"token": twiml.stream_token("secret", "CA2", "a", 9_999_999_999)},
        {"token": twiml.stream_token("secret", "CA1", "a", 1)},
        {"token": twiml.stream_token("secret", "CA1", "nobody", 9_999_999_999)},
        {"token": "ü" * 50},
    ],
    ids=["none", "empty", "rubbish", "dots", "forged", "another call", "expired", "no such agent", "not ascii"],
)
async def test_no_speech_session_is_opened_for_a_stream_without_a_good_token(
    world: World, service: ScriptedService, shown: dict[str, str]
) -> None:
    async with stream(world) as connection:
        await connection.send(start(shown))
        assert await closed_with(connection) == 1008

    assert service.sessions == []


async def test_a_good_token_without_a_waiting_session_dials_anew(world: World, service: ScriptedService) -> None:
    shown = {"token": twiml.stream_token("secret", "CA9", "a", 9_999_999_999), "from": "+15550109999"}

    async with stream(world) as connection:
        await connection.send(start(shown, "CA9"))
        await service.opened.wait()
        session = world.live.find("CA9")
        assert session is not None
        assert session.call.from_ == "+15550109999"
        assert dict(session.call.params) == {}


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{}",
        "[]",
        "nonsense",
        "[" * 60_000,
        '{"event": "start"}',
        '{"event": "start", "start": 5}',
        '{"event": "media", "media": {"payload": "AAAA"}}',
        b"\x00\x01",
        '{"event": "start", "start": {"callSid": "\\ud800", "streamSid": "MZ1", "customParameters": {}}}',
    ],
)
async def test_rubbish_instead_of_start_closes_the_stream(
    world: World, service: ScriptedService, message: str | bytes
) -> None:
    async with stream(world) as connection:
        await connection.send(message)
        assert await closed_with(connection) in (1003, 1008)

    assert service.sessions == []


async def test_a_message_larger_than_any_of_twilios_closes_the_stream(world: World) -> None:
    async with stream(world) as connection:
        with pytest.raises(websockets.ConnectionClosed):
            await connection.send("x" * 70_000)
            await connection.recv()

        assert await closed_with(connection) == 1009


async def test_a_stream_that_never_sends_start_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "START_SECONDS", 0.05)

    async with stream(world) as connection:
        await connection.send(CONNECTED)
        assert await closed_with(connection) == 1008


async def test_a_format_that_is_not_mulaw_is_refused(world: World) -> None:
    shown = {"token": await token(world)}

    async with stream(world) as connection:
        await connection.send(start(shown, encoding="audio/l16", sampleRate=16000))
        assert await closed_with(connection) == 1003


async def test_a_stream_of_a_twiml_bin_must_be_signed_in_its_handshake(world: World, service: ScriptedService) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with stream(world, "/bin", signed=False):
            pass

    assert refused.value.response.status_code == 403
    assert service.sessions == []


async def test_an_upgrade_that_is_no_handshake_leaves_nothing_behind(world: World) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(world.url + "/bin", headers={"connection": "Upgrade", "upgrade": "websocket"})

    assert answer.status_code in (400, 426)
    assert not world.server.server_state.connections


async def test_a_path_with_a_percent_sign_is_never_asked_for(tmp_path: Path, service: ScriptedService) -> None:
    """As W504 says: the server sees the character that was meant, and no agent may write that."""
    loading = project(tmp_path, a='streams: ["/shop/%C3%A4"]\nprompt: x\n')

    async with server_for(loading, service.url) as world:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with stream(world, "/shop/%C3%A4"):
                pass

    assert refused.value.response.status_code == 403
    assert [problem.code for problem in loading.problems] == ["W504"]


async def test_a_path_that_no_agent_has_is_refused(world: World) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with stream(world, "/elsewhere"):
            pass

    assert refused.value.response.status_code == 403


async def test_a_stream_of_a_twiml_bin_reaches_its_agent_with_its_parameters(
    world: World, service: ScriptedService
) -> None:
    async with stream(world, "/bin") as connection:
        await connection.send(start({"from": "+1555", "tier": "gold"}))
        await service.opened.wait()
        session = world.live.find("CA1")

        assert session is not None
        assert (session.agent.name, session.call.from_, dict(session.call.params)) == ("a", "+1555", {"tier": "gold"})


@pytest.mark.parametrize(("to", "agent"), [("+15550200001", "b"), ("+15550200002", "c")])
async def test_on_a_shared_path_the_number_decides(world: World, service: ScriptedService, to: str, agent: str) -> None:
    async with stream(world, "/shared") as connection:
        await connection.send(start({"to": to}))
        await service.opened.wait()
        session = world.live.find("CA1")

        assert session is not None
        assert session.agent.name == agent


@pytest.mark.parametrize("to", ["", NUMBER, "+1999"])
async def test_a_number_that_fits_nobody_on_a_shared_path_is_closed(
    world: World, service: ScriptedService, to: str
) -> None:
    async with stream(world, "/shared") as connection:
        await connection.send(start({"to": to}))
        assert await closed_with(connection) == 1008

    assert service.sessions == []


async def test_garbage_in_the_middle_of_a_call_hurts_nobody(tmp_path: Path) -> None:
    heard = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.hear(160)
        heard.set()

    async with scripted(script) as service, server_for(project(tmp_path, a=AGENT), service.url) as world:
        async with stream(world, "/bin") as connection:
            await connection.send(start({}))
            for message in ("x", "[]", '{"event": 5}', '{"event": "media", "media": {"payload": "!"}}', "[" * 9999):
                await connection.send(message)
            await connection.send(b"\x00")
            payload = base64.b64encode(b"\x7f" * 160).decode()
            await connection.send(json.dumps({"event": "media", "media": {"track": "inbound", "payload": payload}}))
            await heard.wait()

    assert service.sessions[0].heard == b"\x7f" * 160


async def test_a_message_in_pieces_is_one_message(world: World, service: ScriptedService) -> None:
    whole = start({})

    async with stream(world, "/bin") as connection:
        await connection.send([whole[:10], whole[10:20], whole[20:]])
        await asyncio.wait_for(service.opened.wait(), 5)


async def test_text_that_is_no_utf_8_closes_the_stream(world: World) -> None:
    async with stream(world, "/bin") as connection:
        async with connection.send_context():
            connection.protocol.send_text(b"\xff")
        assert await closed_with(connection) in (1003, 1007)  # As no start, or as no text.


@pytest.mark.usefixtures("no_question")
async def test_a_stream_that_the_network_closes_is_over_whatever_its_code(
    world: World, service: ScriptedService
) -> None:
    async with stream(world, "/bin") as connection:
        await connection.send(start({}))
        await asyncio.wait_for(service.opened.wait(), 5)
        await connection.close(4001)
        await asyncio.wait_for(world.live.drain(), 5)

    assert world.live.end_of("CA1") is End.LINE_LOST


#: More than all buffers between two sockets of one machine hold.
FLOOD = 64


@pytest.mark.usefixtures("no_question")
async def test_a_line_that_takes_nothing_makes_the_service_wait_and_then_ends(tmp_path: Path) -> None:
    sent: list[int] = []

    async def script(session: ScriptedSession) -> None:
        await session.open()
        for n in range(FLOOD):
            await session.audio(b"\x00" * 1_000_000)
            sent.append(n)

    hasty = Timing(send=0.3, close=0.3)
    async with scripted(script) as service, server_for(project(tmp_path, a=AGENT), service.url, timing=hasty) as world:
        async with stream(world, "/bin") as connection:
            connection.transport.pause_reading()
            await connection.send(start({}))
            await asyncio.wait_for(service.opened.wait(), 5)
            await asyncio.wait_for(world.live.drain(), 10)
            connection.transport.abort()

    assert len(sent) < FLOOD
    assert world.live.end_of("CA1") is End.LINE_LOST


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_line_that_stops_for_a_moment_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """On both loops: each keeps what cannot be written in its own way."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_lag(tmp_path, monkeypatch))


async def _lag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = asyncio.Event()
    stall = Session._stall

    def note(session: Session, end: End, on: bool) -> None:
        stall(session, end, on)
        blocked.set()

    monkeypatch.setattr(Session, "_stall", note)
    # Of sizes that picows, uvloop and the kernel each treat in their own way.
    sent = [bytes([n]) * (100_000, 160, 5_000, 7_000, 20)[n % 5] for n in range(250)]

    async def script(session: ScriptedSession) -> None:
        await session.open()
        for audio in sent:
            await session.audio(audio)

    async with scripted(script) as service, server_for(project(tmp_path, a=AGENT), service.url) as world:
        async with stream(world, "/bin") as connection:
            connection.transport.pause_reading()
            await connection.send(start({}))
            await asyncio.wait_for(blocked.wait(), 10)
            connection.transport.resume_reading()
            heard = [json.loads(await connection.recv())["media"]["payload"] for _ in sent]

    assert [base64.b64decode(payload) for payload in heard] == sent


@pytest.mark.usefixtures("no_question")
async def test_a_service_that_takes_nothing_ends_the_call(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        session.connection.transport.pause_reading()
        await gone.wait()
        session.connection.transport.abort()

    gone = asyncio.Event()
    hasty = Timing(send=0.3, close=0.3)
    payload = base64.b64encode(b"\x7f" * 45_000).decode()
    media = json.dumps({"event": "media", "media": {"track": "inbound", "payload": payload}})
    async with scripted(script) as service, server_for(project(tmp_path, a=AGENT), service.url, timing=hasty) as world:
        async with stream(world, "/bin") as connection:
            await connection.send(start({}))
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await connection.send(media)
            await asyncio.wait_for(world.live.drain(), 5)
        gone.set()

    assert world.live.end_of("CA1") is End.SPEECH_LOST


@pytest.mark.parametrize("where", ["in a callback", "in a task"])
async def test_a_mistake_of_ours_ends_one_call_and_no_other(tmp_path: Path, where: str) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        prompt = session.settings["agent"]["think"]["prompt"]
        if where == "in a callback":
            await session.send("ConversationText", role="user", content=prompt)
        else:
            await session.request("tell", json.dumps({"what": prompt}))
        await session.hear(320)
        heard.set()

    heard = asyncio.Event()

    def observe(call: Call, entry: Entry) -> None:
        if "CA1" in str(entry):
            raise RuntimeError("a mistake")

    plugin = 'def tell(what: str) -> str:\n    """Tell."""\n    return what\n'
    agent = 'streams: [/bin]\nprompt: "{{ call.id }}"\nplugins: [plugins.test]\nfunctions: [tell]\n'
    loading = project(tmp_path, plugin, a=agent)
    async with scripted(script) as service, server_for(loading, service.url, observe=observe) as world:
        async with stream(world, "/bin") as broken, stream(world, "/bin") as whole:
            await whole.send(start({}, "CA2"))
            await broken.send(start({}, "CA1"))
            assert await closed_with(broken) == 1000
            payload = base64.b64encode(b"\x7f" * 320).decode()
            await whole.send(json.dumps({"event": "media", "media": {"track": "inbound", "payload": payload}}))
            await asyncio.wait_for(heard.wait(), 5)
            assert world.live.find("CA2") is not None

    assert world.live.end_of("CA1") is End.FAULT
