"""The phone network's stand-in is as strict as Twilio: a bare WebSocket server is the other side here."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from dialplan.rehearsal.phone import Account, Caller, placed
from dialplan.server.serve import listen
from dialplan.wire import twiml
from tests.prompt import Prompt
from tests.world import Ear

Talk = Callable[[WebSocket, str], Awaitable[None]]


@asynccontextmanager
async def call(talk: Talk, ear: Ear) -> AsyncIterator[Caller]:
    """A call to a server that answers with a stream, talks on it, and has nothing to add afterwards."""
    import uvicorn

    async def voice(request: Request) -> Response:
        url = f"ws://{request.url.netloc}/stream"
        return Response(twiml.connect(url, "/next", {"token": "t"}, notice="Welcome."))

    async def after(request: Request) -> Response:
        return Response(twiml.hang_up())

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        assert json.loads(await websocket.receive_text())["event"] == "connected"
        start = json.loads(await websocket.receive_text())
        assert start["sequenceNumber"] == "1"
        assert start["start"]["customParameters"] == {"token": "t"}
        await talk(websocket, start["streamSid"])

    routes = [
        Route("/twilio/voice", voice, methods=["POST"]),
        Route("/next", after, methods=["POST"]),
        Route("/twilio/status", after, methods=["POST"]),
        WebSocketRoute("/stream", stream),
    ]
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None)
    server = Prompt(config)
    serving = asyncio.create_task(server.run_on(listener))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with placed(Account(url, "token"), "+1", "+2", ear) as caller, asyncio.timeout(10):
            yield caller
    finally:
        server.leave.set()
        await serving


def media(sid: str, audio: bytes, **extra: Any) -> str:
    payload = base64.b64encode(audio).decode()
    return json.dumps({"event": "media", "streamSid": sid, "media": {"payload": payload}, **extra})


def mark(sid: str, name: str) -> str:
    return json.dumps({"event": "mark", "streamSid": sid, "mark": {"name": name}})


async def echoed(websocket: WebSocket, name: str) -> int:
    """Wait for a mark's echo; how many frames of the caller came before it."""
    frames = 0
    while True:
        message = json.loads(await websocket.receive_text())
        if message["event"] == "mark" and message["mark"]["name"] == name:
            return frames
        frames += message["event"] == "media"


async def test_a_mark_is_echoed_when_the_audio_before_it_was_played() -> None:
    frames: list[int] = []

    async def talk(websocket: WebSocket, sid: str) -> None:
        await websocket.send_text(media(sid, b"\x01" * 1600))
        await websocket.send_text(mark(sid, "m"))
        frames.append(await echoed(websocket, "m"))

    ear = Ear()
    async with call(talk, ear) as caller:
        await caller.over.wait()

    assert frames[0] >= 9  # 200 ms at 20 ms for each frame, by the same clock
    assert ear.utterances == [b"\x01" * 1600]
    assert ear.announcements == ["Welcome."]


async def test_a_clear_echoes_every_mark_at_once_and_the_rest_is_never_heard() -> None:
    async def talk(websocket: WebSocket, sid: str) -> None:
        await websocket.send_text(media(sid, b"\x01" * 80_000))
        await websocket.send_text(mark(sid, "a"))
        await websocket.send_text(mark(sid, "b"))
        await websocket.receive_text()
        await websocket.send_text(json.dumps({"event": "clear", "streamSid": sid}))
        await echoed(websocket, "a")
        await echoed(websocket, "b")

    ear = Ear()
    async with call(talk, ear) as caller:
        await caller.over.wait()

    assert ear.utterances == []
    assert len(ear.cuts) == 1
    assert len(ear.cuts[0]) < 80_000


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00", "31950"),
        ("not json", "31951"),
        ('{"event": "media"}', "31951"),
        ('{"event": "media", "streamSid": "MZ-wrong", "media": {"payload": "AA=="}}', "31951"),
        ('{"event": "mark", "streamSid": "%s"}', "31951"),
        ('{"event": "clear", "streamSid": "%s", "extra": 1}', "31951"),
        ('{"event": "media", "streamSid": "%s", "media": {"payload": "AA==", "track": "outbound"}}', "31951"),
        ('{"event": "shout", "streamSid": "%s"}', "31951"),
    ],
)
async def test_a_message_that_is_not_exactly_as_documented_is_warned_of(message: str | bytes, code: str) -> None:
    async def talk(websocket: WebSocket, sid: str) -> None:
        if isinstance(message, bytes):
            await websocket.send_bytes(message)
        else:
            await websocket.send_text(message.replace("%s", sid))
        await websocket.send_text(mark(sid, "done"))
        await echoed(websocket, "done")

    async with call(talk, Ear()) as caller:
        await caller.over.wait()

    assert [warning[:5] for warning in caller.warnings] == [code]


async def test_the_callers_frames_are_counted_and_timed_as_twilio_does() -> None:
    seen: list[dict[str, Any]] = []

    async def talk(websocket: WebSocket, sid: str) -> None:
        while len(seen) < 3:
            seen.append(json.loads(await websocket.receive_text()))

    async with call(talk, Ear()) as caller:
        await caller.over.wait()

    assert [m["sequenceNumber"] for m in seen] == ["2", "3", "4"]
    assert [m["media"]["chunk"] for m in seen] == ["1", "2", "3"]
    assert [m["media"]["timestamp"] for m in seen] == ["155", "175", "195"]
    assert all(len(base64.b64decode(m["media"]["payload"])) == 160 for m in seen)


async def test_a_caller_who_hangs_up_says_stop() -> None:
    events: list[str] = []

    async def talk(websocket: WebSocket, sid: str) -> None:
        try:
            while True:
                events.append(json.loads(await websocket.receive_text())["event"])
        except (websockets.ConnectionClosed, RuntimeError, KeyError):
            pass
        except Exception as exc:
            if type(exc).__name__ != "WebSocketDisconnect":
                raise

    async with call(talk, Ear()) as caller:
        await caller.connected.wait()
        await caller.press("5")
        await caller.hang_up()

    assert "dtmf" in events
    assert events[-1] == "stop"
