"""Every way in, each with what holds for any bytes that come by it.

One server stands for all of them, with a caller on the line: after each input the caller is heard and hears, the
log shows no traceback, and what the input has begun is over, for a reason that is no fault of ours.
"""

import asyncio
import base64
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import httpx
import websockets
from websockets.asyncio.client import ClientConnection, connect

from dialplan.call import attempts
from dialplan.call.record import End
from dialplan.call.results import MAX_RESULT
from dialplan.call.session import Session
from dialplan.call.settings import template_names
from dialplan.call.timing import Timing
from dialplan.cli.project import read_dotenv
from dialplan.config.jinja.mistakes import filling_mistakes, mistakes
from dialplan.config.jinja.templates import Template
from dialplan.config.loading import Loader
from dialplan.errors import ConfigError
from dialplan.facts import Call
from dialplan.journal.address import Database
from dialplan.journal.journal import Journal
from dialplan.metrics import Metrics
from dialplan.server import streams
from dialplan.wire import twiml
from tests.config.test_any_file import assert_told_well, check_of
from tests.world import AUTH_TOKEN, NUMBER, ScriptedSession, World, project, server_for, speech_service

PUBLIC = "https://voice.example.com"

AGENT = f"""
numbers: ["{NUMBER}", "+1800*"]
streams: [/bin]
notice: For {{{{ call.caller_name }}}} in {{{{ call.city }}}}.
greeting: Hello {{{{ call.from }}}}.
prompt: "{{{{ call.params }}}} {{{{ call.caller_name }}}}"
plugins: [plugins.test]
functions:
  - end_call
  - name: repeat
    description: Repeat.
    parameters:
      type: object
      properties:
        text: {{type: string, pattern: "^[a-z ]*$"}}
        number: {{type: integer, minimum: 0}}
        list: {{type: array, uniqueItems: true, items: {{$ref: "#/properties/number"}}}}
        any: {{}}
limits: {{silence: 6000, minutes: 115}}
"""

PLUGIN = '''
def repeat(text: str = "", number: int = 0, list: list = (), any: object = None) -> object:
    """Repeat."""
    return text
'''

#: What ends a call or a stream from outside; `FAULT` would be a mistake of ours.
ENDS = frozenset(End) - {End.FAULT}

#: Close codes that a stream may end with (RFC 6455 §7.4.1).
CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013})

#: Seconds after which a stranger who got no answer goes away, and one who waits for a promise has waited in vain.
IMPATIENT, PATIENT = 0.3, 20.0

WITNESS = "CAwitness"

HASTY = Timing(line=5.0, close=0.5, send=1.0)


class Rubbish:
    """A running server with a caller on the line. Made by `standing`.

    Args:
        world: the server.
        script: what the speech service says to every call but the witness's.
        log: tracebacks, as they are logged.
        witness: the line of the caller who must go on hearing.
        folder: for files.
    """

    def __init__(
        self, world: World, script: list[str | bytes], log: list[str], witness: ClientConnection, folder: Path
    ) -> None:
        self._world = world
        self._script = script
        self._log = log
        self._witness = witness
        self._folder = folder
        self._calls = 0
        self.ways: Mapping[str, Callable[[bytes], Awaitable[None]]] = {
            "http": self.http,
            "webhook": self.webhook,
            "stream": self.stream,
            "speech": self.speech,
            "arguments": self.arguments,
            "agent": self.agent,
            "dotenv": self.dotenv,
            "template": self.template,
        }

    async def feed(self, way: str, data: bytes) -> None:
        """Let these bytes come in.

        Raises:
            AssertionError: what must hold for any bytes does not.
        """
        async with asyncio.timeout(PATIENT):
            await self.ways[way](data)
            await self._all_is_well()

    async def _all_is_well(self) -> None:
        for session in self._sessions():
            session.end(End.CALLER)
            await session.ended.wait()
            assert session.record.end in ENDS, session.record
        await self._witness_hears()
        logged = "\n".join(self._log)
        self._log.clear()
        assert not logged, logged

    def _sessions(self) -> list[Session]:
        return [one for one in self._world.live._tasks.values() if one.call.id != WITNESS]

    async def _witness_hears(self) -> None:
        """A word goes to the speech service and comes back."""
        self._calls += 1
        word = self._calls.to_bytes(4, "big") * 40
        await self._witness.send(media(word))
        heard = b""
        while word not in heard:
            fields = json.loads(await self._witness.recv())
            assert fields["event"] in ("media", "mark"), fields
            if fields["event"] == "media":
                heard = (heard + base64.b64decode(fields["media"]["payload"]))[-1000:]

    # HTTP.

    async def http(self, data: bytes) -> None:
        """On the server's TCP socket: whatever is answered, no answer is the server's own fault."""
        host, _, port = self._world.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        answered = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(IMPATIENT):
                # Whoever has taken the rest for a message answers this too, and closes.
                writer.write(data + b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                await writer.drain()
                while more := await reader.read(65_536):
                    answered += more
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        statuses = [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3})", answered, re.MULTILINE)]
        assert not [status for status in statuses if status >= 500], answered
        assert not answered or statuses, answered

    async def webhook(self, data: bytes) -> None:
        """As a form with Twilio's signature: a refusal, or TwiML that is XML."""
        try:
            fields = parse_qsl(data.decode(), keep_blank_values=True)
        except ValueError:
            fields = []
        async with httpx.AsyncClient() as client:
            for path in ("/twilio/voice", "/twilio/next?attempt=1", "/twilio/status"):
                signature = twiml.signature(AUTH_TOKEN, PUBLIC + path, fields)
                headers = {
                    "x-twilio-signature": signature,
                    "content-type": "application/x-www-form-urlencoded",
                }
                answer = await client.post(self._world.url + path, content=data, headers=headers)
                assert answer.status_code in (200, 204, 400, 403, 413), answer
                if answer.status_code == 200:
                    assert ET.fromstring(answer.text).tag == "Response"

    # Sockets.

    async def stream(self, data: bytes) -> None:
        """As messages on a stream, line by line: it ends with a close code of the protocol."""
        async with line_to(self._world, "/bin") as line:
            with contextlib.suppress(websockets.ConnectionClosed):
                for message in messages(data):
                    await line.send(message)
                # Before start this ends the stream, after it the call.
                await line.send('{"event":"stop"}')
            await drained(line)
            assert line.close_code in CODES, line.close_code

    async def speech(self, data: bytes) -> None:
        """As messages of the speech service, line by line: the call goes on, or ends for a reason."""
        self._script[:] = messages(data)
        self._calls += 1
        call_sid = f"CA{self._calls}"
        async with line_to(self._world, "/bin") as line:
            await line.send(started(call_sid))
            listening = asyncio.create_task(drained(line))
            while self._script and self._world.live.end_of(call_sid) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            with contextlib.suppress(websockets.ConnectionClosed):
                await line.send('{"event":"stop"}')
            await listening
        assert self._world.live.end_of(call_sid) in ENDS

    # Functions.

    async def arguments(self, data: bytes) -> None:
        """As a model's arguments: an answer in JSON, of a bounded length."""
        agent = next(iter(self._world.live.dialplan.agents.values()))
        call = Call("CA1", from_="+1555")
        run = self._world.live.functions.run
        answer = await run(
            agent.functions["repeat"], data.decode("utf-8", "replace"), call, lambda: template_names(agent, call)
        )
        answer.encode()
        json.loads(answer)
        assert len(answer) <= 8 * MAX_RESULT

    # Files.

    async def agent(self, data: bytes) -> None:
        """As an agent's file: problems, each with its place."""
        await asyncio.to_thread(lambda: assert_told_well(check_of(self._folder, data)))

    async def dotenv(self, data: bytes) -> None:
        """As `.env`: values, or why there are none."""
        folder = self._folder / "dotenv"
        folder.mkdir(exist_ok=True)
        (folder / ".env").write_bytes(data)
        with mock.patch.dict("os.environ"), mock.patch("click.echo"), contextlib.suppress(ConfigError):
            read_dotenv(folder)
        Loader(folder, {}).load()

    async def template(self, data: bytes) -> None:
        """As a template's source: mistakes, a text, or an error that says so."""
        source = data.decode("utf-8", "replace")
        variables: dict[str, Any] = {"store": "Corner", "menu": {"items": ["tea"]}, "count": 3}
        await asyncio.to_thread(_fill, source, variables)


def _fill(source: str, variables: dict[str, Any]) -> None:
    call = Call("CA1", from_="{{ x }}\ud800", caller_name="\x00" * 3 + "{% for %}", params={"tier": "{{ store }}" * 99})
    names = {**variables, "call": call.for_templates(), "now": call.started}
    if not list(mistakes(source, variables)):
        filling_mistakes(source, variables)
    with contextlib.suppress(ConfigError):
        Template(source).render(names)
    for render in (Template(source).render_url, Template(source).render_value):
        with contextlib.suppress(Exception):  # These are for functions, and call/functions.py is their wall.
            render(names)


async def drained(line: ClientConnection) -> None:
    """Read on until the other side closes."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await line.recv()


def messages(data: bytes) -> list[str | bytes]:
    """Text where a line is that, and else binary."""
    told: list[str | bytes] = []
    for line in data.split(b"\n"):
        try:
            told.append(line.decode())
        except UnicodeDecodeError:
            told.append(line)
    return told


def media(audio: bytes) -> str:
    """The caller's voice, as Twilio sends it."""
    fields = {"track": "inbound", "chunk": "1", "timestamp": "1", "payload": base64.b64encode(audio).decode()}
    return json.dumps({"event": "media", "sequenceNumber": "2", "media": fields, "streamSid": "MZ1"})


def started(call_sid: str) -> str:
    """A stream's start."""
    media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    fields = {"accountSid": "AC1", "callSid": call_sid, "mediaFormat": media_format, "customParameters": {"to": NUMBER}}
    return json.dumps({"event": "start", "start": fields, "streamSid": f"MZ{call_sid}"})


def line_to(world: World, path: str) -> connect:
    """A stream, signed as Twilio does it."""
    headers = {"x-twilio-signature": twiml.signature(AUTH_TOKEN, PUBLIC.replace("http", "ws") + path)}
    url = world.url.replace("http", "ws") + path
    return connect(url, additional_headers=headers, max_size=None, close_timeout=1.0)


class _Tracebacks(logging.Handler):
    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self._told = told
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._told.append(self.format(record))


@contextmanager
def tracebacks() -> Iterator[list[str]]:
    """Every traceback that is logged meanwhile."""
    told: list[str] = []
    handler, root = _Tracebacks(told), logging.getLogger()
    root.addHandler(handler)
    try:
        yield told
    finally:
        root.removeHandler(handler)


@asynccontextmanager
async def standing(folder: Path, *, directly: bool = True) -> AsyncIterator[Rubbish]:
    """The server, its speech service, and the caller who must go on hearing."""
    script: list[str | bytes] = []
    sessions = 0

    async def say(session: ScriptedSession) -> None:
        nonlocal sessions
        sessions += 1
        service.sessions.clear()  # Nobody asks for them, and there will be many.
        if sessions > 1:
            while script:
                await session.connection.send(script.pop(0))
            return
        await session.open()
        async for message in session.connection:
            if isinstance(message, bytes):
                await session.audio(message)

    async with AsyncExitStack() as stack:
        log = stack.enter_context(tracebacks())
        stack.enter_context(mock.patch.object(attempts, "PAUSES", (0.0,)))
        stack.enter_context(mock.patch.object(streams, "START_SECONDS", 2.0))
        stack.enter_context(mock.patch("tests.world.DIRECTLY", directly))
        service = await stack.enter_async_context(speech_service(say))
        metrics = Metrics()
        journal = await stack.enter_async_context(Journal(Database("calls.db", folder / "calls.db"), metrics))
        loading = project(folder, PLUGIN, a=AGENT)
        options = {"timing": HASTY, "records": journal, "metrics": metrics}
        world = await stack.enter_async_context(server_for(loading, service.url, **options))
        witness = await stack.enter_async_context(line_to(world, "/bin"))
        await witness.send(started(WITNESS))
        rubbish = Rubbish(world, script, log, witness, folder / "files")
        (folder / "files").mkdir()
        await rubbish._witness_hears()
        yield rubbish
        assert not metrics.registry.get_sample_value("dialplan_journal_lost_total")
