"""The two ends of a call for tests: a speech service that follows a script, and a server between it and the phone
network's stand-in. Everything runs over real sockets on free ports."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.server import ServerConnection, serve

from dialplan.call.timing import Timing
from dialplan.config.loading import Loading, load
from dialplan.rehearsal.phone import Account
from dialplan.server.app import answering
from dialplan.server.environment import LOOPBACK, Environment
from dialplan.server.live import Live
from dialplan.server.serve import Server, listen
from tests.prompt import Prompt

AUTH_TOKEN = "12345678901234567890123456789012"
NUMBER = "+15550100001"
CALLER = "+15550109999"

#: Whether sockets are picows'; see tests/server/conftest.py.
DIRECTLY = True

AGENT = f"""
numbers: ["{NUMBER}"]
streams: [/bin]
greeting: Hello.
prompt: You are a test.
functions: [end_call]
"""


class ScriptedSession:
    """One session of the scripted speech service, as the script sees it."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.settings: dict[str, Any] = {}
        self.heard = b""
        """The caller's audio so far."""
        self.frames: list[int] = []
        """The lengths of its frames."""

    async def open(self) -> None:
        """Welcome, Settings, SettingsApplied."""
        await self.send("Welcome", request_id="r1")
        self.settings = await self.message("Settings")
        await self.send("SettingsApplied")

    async def send(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def audio(self, audio: bytes) -> None:
        await self.connection.send(audio)

    async def say(self, audio: bytes) -> None:
        """A whole utterance."""
        await self.audio(audio)
        await self.send("AgentAudioDone")

    async def request(self, name: str, arguments: str = "{}", id: str = "fc1", client_side: bool = True) -> None:
        function = {"id": id, "name": name, "arguments": arguments, "client_side": client_side}
        await self.send("FunctionCallRequest", functions=[function])

    async def message(self, kind: str) -> dict[str, Any]:
        """The next message of this type; audio before it is heard, other messages are passed over."""
        while True:
            message = await self.connection.recv()
            if isinstance(message, bytes):
                self.heard += message
                self.frames.append(len(message))
                continue
            fields: dict[str, Any] = json.loads(message)
            if fields["type"] == kind:
                return fields

    async def hear(self, length: int) -> bytes:
        """Wait until so many bytes of audio were heard."""
        while len(self.heard) < length:
            message = await self.connection.recv()
            if isinstance(message, bytes):
                self.heard += message
                self.frames.append(len(message))
        return self.heard

    async def until_closed(self) -> None:
        """Read on until the other side closes."""
        try:
            while True:
                message = await self.connection.recv()
                if isinstance(message, bytes):
                    self.heard += message
        except websockets.ConnectionClosed:
            pass


Script = Callable[[ScriptedSession], Awaitable[None]]


@dataclass
class ScriptedService:
    """A speech service; every session follows the script, then reads on until it is closed."""

    script: Script
    url: str = ""
    sessions: list[ScriptedSession] = field(default_factory=list)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, connection: ServerConnection) -> None:
        session = ScriptedSession(connection)
        self.sessions.append(session)
        self.opened.set()
        try:
            await self.script(session)
            await session.until_closed()
        except websockets.ConnectionClosed:
            pass


@asynccontextmanager
async def speech_service(script: Script) -> AsyncIterator[ScriptedService]:
    service = ScriptedService(script)
    async with serve(service.handle, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        service.url = f"ws://127.0.0.1:{port}/v1/agent/converse"
        yield service


@dataclass
class World:
    """A running server."""

    url: str
    live: Live
    account: Account
    server: Server


class _Server(Prompt, Server):
    """The server, but for uvicorn's way of waiting for its end."""


@asynccontextmanager
async def server_for(
    loading: Loading,
    speech_url: str,
    *,
    timing: Timing | None = None,
    auth_token: str = AUTH_TOKEN,
    trusted_proxies: tuple[str, ...] = LOOPBACK,
    **options: Any,
) -> AsyncIterator[World]:
    public_url = "https://voice.example.com"
    environment = Environment(auth_token, "secret", "dg-key", speech_url, public_url, trusted_proxies=trusted_proxies)
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with answering(loading, environment, timing=timing, directly=DIRECTLY, **options) as live:
        server = _Server(live, directly=DIRECTLY)
        serving = asyncio.create_task(server.run_on(listener))
        await server.ready.wait()
        try:
            yield World(url, live, Account(url, auth_token, environment.public_url), server)
        finally:
            server.leave.set()
            await serving


def project(root: Path, plugin: str = "", **agents: str) -> Loading:
    """A project with these agent files (and plugins/test.py), loaded without a problem."""
    (root / "agents").mkdir(exist_ok=True)
    for name, text in agents.items():
        (root / "agents" / f"{name}.yaml").write_text(text)
    if plugin:
        (root / "plugins").mkdir(exist_ok=True)
        (root / "plugins" / "test.py").write_text(plugin)
    loading = load(root, {})
    assert not loading.set_aside, loading.problems
    return loading


class Ear:
    """Notes what a caller notices, and can wait for it."""

    def __init__(self) -> None:
        self.utterances: list[bytes] = []
        self.cuts: list[bytes] = []
        self.announcements: list[str] = []
        self._changed = asyncio.Event()

    def began(self) -> None:
        self._changed.set()

    def heard(self, utterance: bytes) -> None:
        self.utterances.append(utterance)
        self._changed.set()

    def cut_off(self, utterance: bytes) -> None:
        self.cuts.append(utterance)
        self._changed.set()

    def announced(self, text: str) -> None:
        self.announcements.append(text)
        self._changed.set()

    async def until(self, condition: Callable[["Ear"], bool]) -> None:
        while not condition(self):
            self._changed.clear()
            await self._changed.wait()
