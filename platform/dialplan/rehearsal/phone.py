"""The phone network's stand-in: Twilio's side of a call, over real HTTP and a real WebSocket.

It signs what it sends, follows the TwiML that it is given, plays audio by a clock (20 ms per 160 bytes, or faster than
life) and is as strict about messages as Twilio is: what Twilio would warn of is noted in `Caller.warnings`. Facts as
measured and documented for Twilio's Media Streams; no speech is made or understood here.
"""

import asyncio
import base64
import contextlib
import functools
import json
import secrets
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, urljoin, urlsplit
from xml.etree import ElementTree as ET

import httpx
import websockets
from websockets.asyncio.client import ClientConnection, connect

from dialplan.wire import twiml

#: One frame of μ-law at 8 kHz.
FRAME_BYTES = 160
FRAME_SECONDS = 0.02
SILENCE = b"\xff" * FRAME_BYTES

#: Seconds that Twilio waits for a webhook.
WEBHOOK_SECONDS = 15.0

#: Before a webhook is tried again, and so much longer each time. How long Twilio waits is not documented.
RETRY_SECONDS = 0.3

#: Milliseconds on the first frame of a stream, as measured.
FIRST_TIMESTAMP = 155


class Listener(Protocol):
    """What a caller notices. Called in the order of the events, from the line's clock."""

    def began(self) -> None:
        """The agent begins to speak, after silence."""

    def heard(self, utterance: bytes) -> None:
        """The agent has said something to its end: all audio up to a mark."""

    def cut_off(self, utterance: bytes) -> None:
        """The agent was interrupted after this much of an utterance."""

    def announced(self, text: str) -> None:
        """The network itself spoke (`<Say>`)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where the network finds a server, and how it signs.

    Args:
        server: the address that is really dialled, such as `http://127.0.0.1:5000`.
        auth_token: signs every request.
        public: the address that the server believes it has; it is what is signed.
    """

    server: str
    auth_token: str = ""
    public: str = ""

    @property
    def base(self) -> str:
        """The address that requests are signed over."""
        return self.public or self.server

    def dialled(self, url: str) -> str:
        """The real address behind a public one."""
        parts, server = urlsplit(url), urlsplit(self.server)
        scheme = server.scheme.replace("http", "ws") if parts.scheme in ("ws", "wss") else server.scheme
        return parts._replace(scheme=scheme, netloc=server.netloc, fragment="").geturl()


@dataclass(slots=True)
class Recording:
    """Both sides of a line, frame by frame: what the caller said, and what the caller heard."""

    caller: bytearray = field(default_factory=bytearray)
    agent: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Mark:
    name: str


class Caller:
    """One call, from the caller's end. Made by `placed`."""

    def __init__(
        self, account: Account, to: str, from_: str, extra: Mapping[str, str], listener: Listener, pace: float
    ) -> None:
        self.call_sid = "CA" + secrets.token_hex(16)
        self.account_sid = "AC" + "0" * 32
        self.to, self.from_ = to, from_
        self.frame_seconds = FRAME_SECONDS / pace
        self.recording = Recording()
        self.warnings: list[str] = []
        """What Twilio would warn of: 31950 a binary frame, 31951 a message that is not exactly as documented."""
        self.documents: list[str] = []
        """Every TwiML document that the server answered with."""
        self.rejected = False
        self.put_through = ""
        """Whom the caller was put through to by `<Dial>`; the call goes on there, out of sight."""
        self.over = asyncio.Event()
        self.connected = asyncio.Event()
        """Set while a stream is open."""
        self._account = account
        self._extra = extra
        self._listener = listener
        self._stream: _Stream | None = None
        self._speaking: deque[bytes] = deque()
        self._spoken = asyncio.Event()
        self._spoken.set()

    # What a caller can do.

    def speak(self, audio: bytes) -> None:
        """Say something: μ-law, spoken by the clock after what is being said already."""
        for start in range(0, len(audio), FRAME_BYTES):
            self._speaking.append(audio[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\xff"))
        self._spoken.clear()

    async def spoken(self) -> None:
        """Wait until everything is said."""
        await self._spoken.wait()

    async def press(self, digit: str) -> None:
        """Press a key."""
        if self._stream is not None:
            await self._stream.send("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    async def hang_up(self) -> None:
        """Put the receiver down: Twilio says `stop` and closes."""
        if self._stream is not None:
            await self._stream.stop()
        self.over.set()

    async def vanish(self) -> None:
        """Lose the stream without a word, as a broken network does; the caller stays on the line."""
        if self._stream is not None:
            self._stream.abort()

    # What the network does.

    async def run(self) -> None:
        """The whole call: the webhook, and whatever the server answers, until there is nothing left to do."""
        async with httpx.AsyncClient(timeout=WEBHOOK_SECONDS, verify=_tls()) as client:
            # The number's fallback is asked where its voice URL cannot be had, as `dialplan doctor --fix` sets it.
            document = await self._post(client, "/twilio/voice", "ringing")
            if document is None and self.warnings:
                document = await self._post(client, f"/twilio/voice{twiml.RETRIED}", "ringing")
            while document is not None and not self.over.is_set():
                document = await self._follow(client, document)
            await self._post(client, "/twilio/status", "completed")
        self.over.set()

    async def _post(self, client: httpx.AsyncClient, url: str, status: str) -> str | None:
        url = urljoin(self._account.base, url)
        form = {
            "CallSid": self.call_sid,
            "AccountSid": self.account_sid,
            "From": self.from_,
            "To": self.to,
            "Caller": self.from_,
            "Called": self.to,
            "CallStatus": status,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            "FromCity": "",
            **self._extra,
        }
        headers = {"x-twilio-signature": self._signature(url.partition("#")[0], form), "user-agent": "TwilioProxy/1.1"}
        retries = int(dict(parse_qsl(urlsplit(url).fragment)).get("rc", 1))
        for retry in range(retries + 1):
            try:
                response = await client.post(self._account.dialled(url), data=form, headers=headers)
                response.raise_for_status()
            except httpx.HTTPError as exc:
                failure = f"11200: {urlsplit(url).path} did not answer: {exc!r}"
                await self._stay(RETRY_SECONDS * retry)
            else:
                return response.text or None
        self.warnings.append(failure)
        return None

    async def _stay(self, seconds: float) -> None:
        """Wait for so long, or until the caller has hung up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()

    def _signature(self, url: str, form: Mapping[str, str]) -> str:
        return twiml.signature(self._account.auth_token, url, form.items())

    async def _follow(self, client: httpx.AsyncClient, document: str) -> str | None:
        """Do what a TwiML document says; the next document, where there is one."""
        self.documents.append(document)
        for verb in ET.fromstring(document):  # noqa: S314 -- our own server's
            match verb.tag:
                case "Say":
                    self._listener.announced(verb.text or "")
                case "Connect":
                    await self._connect(verb[0])
                    if self.over.is_set():
                        return None
                    return await self._post(client, verb.attrib["action"], "in-progress")
                case "Dial":
                    self.put_through = verb[0].text or ""
                    return None
                case "Redirect":
                    return await self._post(client, verb.text or "", "ringing")
                case "Reject":
                    self.rejected = True
                    return None
                case "Hangup":
                    return None
        return None

    async def _connect(self, stream: ET.Element) -> None:
        url = stream.attrib["url"]
        parameters = {parameter.attrib["name"]: parameter.attrib["value"] for parameter in stream}
        try:
            async with _opened(self._account, url) as connection:
                if self.over.is_set():  # Hung up meanwhile.
                    return
                self._stream = _Stream(self, connection, parameters)
                self.connected.set()
                await self._stream.run()
        except (OSError, websockets.InvalidHandshake) as exc:
            self.warnings.append(f"31920: the stream's handshake failed: {exc}")
        finally:
            self.connected.clear()
            self._stream = None

    # What the stream tells.

    def next_frame(self) -> bytes:
        """The caller's next 20 ms: silence where nothing is being said."""
        frame = self._speaking.popleft() if self._speaking else SILENCE
        if not self._speaking:
            self._spoken.set()
        self.recording.caller += frame
        return frame

    def played(self, frame: bytes) -> None:
        """The next 20 ms that the caller hears."""
        self.recording.agent += frame.ljust(FRAME_BYTES, b"\xff")

    @property
    def listener(self) -> Listener:
        """Who is told of what is heard."""
        return self._listener


@asynccontextmanager
async def placed(
    account: Account,
    to: str,
    from_: str,
    listener: Listener,
    extra: Mapping[str, str] | None = None,
    pace: float = 1.0,
) -> AsyncIterator[Caller]:
    """Place a call. Leaving it hangs up.

    Args:
        account: where the server is.
        to: the number that is called.
        from_: the caller's.
        listener: notices what the caller notices.
        extra: further fields of the webhook's form.
        pace: how much faster than life everything is said and heard.
    """
    caller = Caller(account, to, from_, extra or {}, listener, pace)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(caller.run())
        try:
            yield caller
        finally:
            await caller.hang_up()
            await asyncio.wait([running], timeout=WEBHOOK_SECONDS)
            running.cancel()


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all callers: making it takes as long as a frame, on everybody's clock."""
    return ssl.create_default_context()


@asynccontextmanager
async def _opened(account: Account, url: str) -> AsyncIterator[ClientConnection]:
    headers = {"x-twilio-signature": twiml.signature(account.auth_token, url)}
    async with connect(
        account.dialled(url), additional_headers=headers, user_agent_header="Twilio.TmeWs/1.0", compression=None
    ) as connection:
        yield connection


class _Stream:
    """A media stream: the caller's frames out, the agent's audio in, both by one clock."""

    def __init__(self, caller: Caller, connection: ClientConnection, parameters: Mapping[str, str]) -> None:
        self.sid = "MZ" + secrets.token_hex(16)
        self._caller = caller
        self._connection = connection
        self._parameters = parameters
        self._sequence = 0
        self._chunk = 0
        self._buffer: deque[bytes | _Mark] = deque()
        self._utterance = bytearray()

    async def run(self) -> None:
        """Until either side closes."""
        await self._start()
        clock = asyncio.create_task(self._clock())
        try:
            async for message in self._connection:
                await self._receive(message)
        except websockets.ConnectionClosed:
            pass
        finally:
            clock.cancel()
            with contextlib.suppress(asyncio.CancelledError, websockets.ConnectionClosed):
                await clock

    async def stop(self) -> None:
        """The end of the call, as Twilio says it."""
        with contextlib.suppress(websockets.ConnectionClosed):
            await self.send("stop", stop={"accountSid": self._caller.account_sid, "callSid": self._caller.call_sid})
        await self._connection.close()

    def abort(self) -> None:
        """No stop, no closing handshake."""
        self._connection.transport.abort()

    async def send(self, event: str, **fields: Any) -> None:
        """One message with its sequence number; Twilio writes numbers as strings."""
        self._sequence += 1
        message = {"event": event, "sequenceNumber": str(self._sequence), **fields, "streamSid": self.sid}
        await self._connection.send(json.dumps(message))

    async def _start(self) -> None:
        await self._connection.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        start = {
            "accountSid": self._caller.account_sid,
            "streamSid": self.sid,
            "callSid": self._caller.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(self._parameters),
        }
        await self.send("start", start=start)

    async def _clock(self) -> None:
        """Every 20 ms of the line, by an absolute clock: one frame from the caller, 160 bytes of the agent played."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._caller.frame_seconds
            await asyncio.sleep(due - loop.time())
            await self._send_frame(self._caller.next_frame())
            await self._play()

    async def _send_frame(self, frame: bytes) -> None:
        self._chunk += 1
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(FIRST_TIMESTAMP + 20 * (self._chunk - 1)),
            "payload": base64.b64encode(frame).decode(),
        }
        await self.send("media", media=media)

    async def _play(self) -> None:
        room = FRAME_BYTES
        frame = b""
        while self._buffer:
            item = self._buffer.popleft()
            if isinstance(item, _Mark):
                await self._echo(item)
                continue
            frame += item[:room]
            if len(item) > room:
                self._buffer.appendleft(item[room:])
            room = FRAME_BYTES - len(frame)
            if not room:
                break
        self._utterance += frame
        self._caller.played(frame)

    async def _echo(self, mark: _Mark) -> None:
        """Everything before the mark was heard."""
        if self._utterance:
            self._caller.listener.heard(bytes(self._utterance))
            self._utterance.clear()
        await self.send("mark", mark={"name": mark.name})

    async def _receive(self, message: str | bytes) -> None:
        fields = self._understood(message)
        match fields.get("event"):
            case "media":
                if not self._buffer:
                    self._caller.listener.began()
                self._buffer.append(base64.b64decode(fields["media"]["payload"]))
            case "mark":
                self._buffer.append(_Mark(fields["mark"]["name"]))
                if len(self._buffer) == 1:  # Nothing is left to play: echoed at once.
                    await self._play_marks()
            case "clear":
                await self._clear()

    async def _play_marks(self) -> None:
        while self._buffer and isinstance(self._buffer[0], _Mark):
            mark = self._buffer.popleft()
            assert isinstance(mark, _Mark)
            await self._echo(mark)

    async def _clear(self) -> None:
        """The buffer is emptied, and every mark in it echoed though nobody heard what was before it."""
        marks = [item for item in self._buffer if isinstance(item, _Mark)]
        unheard = len(marks) < len(self._buffer)
        self._buffer.clear()
        if unheard:
            self._caller.listener.cut_off(bytes(self._utterance))
        self._utterance.clear()
        for mark in marks:
            await self.send("mark", mark={"name": mark.name})

    def _understood(self, message: str | bytes) -> dict[str, Any]:
        """The message's fields, where Twilio would take it; else a warning, and nothing."""
        if isinstance(message, bytes):
            self._caller.warnings.append("31950: a binary message")
            return {}
        try:
            fields = json.loads(message)
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or not _as_documented(fields, self.sid):
            self._caller.warnings.append(f"31951: {message[:200]}")
            return {}
        return fields


#: Exactly these fields, and no other (errors/31951).
_DOCUMENTED: Mapping[str, Sequence[str]] = {"media": ("payload",), "mark": ("name",), "clear": ()}


def _as_documented(fields: dict[str, Any], stream_sid: str) -> bool:
    event = str(fields.get("event"))
    inner = _DOCUMENTED.get(event)
    if inner is None or fields.get("streamSid") != stream_sid:
        return False
    allowed = {"event", "streamSid", *([event] if inner else [])}
    if set(fields) != allowed:
        return False
    return not inner or (isinstance(fields[event], dict) and set(fields[event]) == set(inner))
