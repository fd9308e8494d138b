"""How fast the product answers a call: the webhook while many calls come in, and the first word once a stream is open.

Only the product has these: it dials the speech service when the webhook comes, so the greeting waits for the caller.
"""

import asyncio
import json
import secrets
from array import array
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import picows
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from bench import servers
from bench.calls import now
from bench.measure import Bench
from bench.servers import PRODUCT, Server
from bench.stamps import Spread, spread

#: Calls that come in each second, and for how long.
RATE = 50
SECONDS = 10

#: A caller who has heard nothing hangs up after this.
RINGING_SECONDS = 1.0

#: Greetings that are timed, how far apart the calls come in, and what the phone network needs until its stream opens.
GREETINGS = 50
APART_SECONDS = 0.1
STREAM_SECONDS = 1.0

#: What the speech service says first: a second of audio, in pieces as it would send them.
GREETING = (b"\x55" * 960,) * 8


@dataclass(frozen=True, slots=True)
class Webhook:
    """Calls that come in at a fixed rate, whether or not the ones before are answered."""

    rate: int
    requests: int
    failed: int
    latency: Spread
    """From dialling the server to the last byte of its answer."""
    lateness: Spread
    """Of the requests themselves."""
    cpu_ms: float
    """Of the server for each call: the webhook, the session that it dials, and its end."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """From the stream's `start` to the first audio on the wire."""

    calls: int
    """On the line meanwhile."""
    latency: Spread


async def webhook(bench: Bench) -> Webhook:
    """Twilio's POST, again and again by an absolute schedule; each of the callers gives up after a second."""
    bench.service.calls = ()
    with servers.running(PRODUCT, bench.service.url, bench.server_core) as server:
        await _answered(server, _call_id())  # The first request of a process is nobody's measure.
        latencies: array[float] = array("d")
        lateness: array[float] = array("d")

        async def ring(due: float) -> None:
            call_id = _call_id()
            began = now()
            lateness.append(began - due)
            with suppress(OSError, RuntimeError):
                await _answered(server, call_id)
                latencies.append(now() - began)
            await asyncio.sleep(RINGING_SECONDS)
            await _post(server, "/twilio/status", {"CallSid": call_id, "CallStatus": "completed"})

        cpu, began = server.cpu(), now()
        async with asyncio.TaskGroup() as group:
            for number in range(RATE * SECONDS):
                due = began + number / RATE
                await asyncio.sleep(due - now())
                group.create_task(ring(due))
        requests = RATE * SECONDS
        cpu_ms = 1000 * (server.cpu() - cpu) / requests
        return Webhook(RATE, requests, requests - len(latencies), spread(latencies), spread(lateness), cpu_ms)


async def greeting(bench: Bench, calls: int) -> Greeting:
    """Calls that come in one after another, while others are on the line."""
    with servers.running(PRODUCT, bench.service.url, bench.server_core) as server:
        async with bench.calling(server, calls):
            bench.service.calls, bench.service.greeting = (), GREETING
            try:
                return Greeting(calls, spread(await _greetings(server)))
            finally:
                bench.service.greeting = ()


async def _greetings(server: Server) -> "array[float]":
    latencies: array[float] = array("d")

    async def call() -> None:
        call_id = _call_id()
        url, parameters = _stream(await _answered(server, call_id))
        await asyncio.sleep(STREAM_SECONDS)
        latencies.append(await _first_word(url, call_id, parameters))

    async with asyncio.TaskGroup() as group:
        for _ in range(GREETINGS):
            group.create_task(call())
            await asyncio.sleep(APART_SECONDS)
    return latencies


class Caller(WSListener):
    """The phone network's end of a stream, until the first word."""

    def __init__(self, start: bytes, waited: "asyncio.Future[float]") -> None:
        self._start = start
        self._started_at = 0.0
        self._waited = waited

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b'{"event":"connected","protocol":"Call","version":"1.0.0"}')
        self._started_at = now()
        transport.send(WSMsgType.TEXT, self._start)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if not self._waited.done() and b'"media"' in frame.get_payload_as_bytes():
            self._waited.set_result(now() - self._started_at)


async def _first_word(url: str, call_id: str, parameters: dict[str, str]) -> float:
    stream_id = call_id.replace("CA", "MZ")
    start = {"streamSid": stream_id, "callSid": call_id, "accountSid": "AC", "customParameters": parameters}
    message = json.dumps({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": stream_id})
    waited: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    transport, _ = await picows.ws_connect(lambda: Caller(message.encode(), waited), url)
    try:
        async with asyncio.timeout(5):
            return await waited
    finally:
        transport.send(WSMsgType.TEXT, json.dumps({"event": "stop", "streamSid": stream_id}).encode())
        transport.send_close(WSCloseCode.OK)
        transport.disconnect()


async def _answered(server: Server, call_id: str) -> str:
    """The webhook's TwiML."""
    form = {"CallSid": call_id, "AccountSid": "AC", "From": "+15550109999", "To": "+15550100001"}
    return await _post(server, "/twilio/voice", {**form, "CallStatus": "ringing", "Direction": "inbound"})


def _stream(twiml: str) -> tuple[str, dict[str, str]]:
    """Address and parameters of the stream that an answer asks for."""
    stream = ElementTree.fromstring(twiml).find("Connect/Stream")
    if stream is None:
        raise RuntimeError("the webhook asks for no stream")
    return stream.attrib["url"], {child.attrib["name"]: child.attrib["value"] for child in stream}


async def _post(server: Server, path: str, form: dict[str, str]) -> str:
    """As Twilio does it: a connection of its own for each request."""
    parts = urlsplit(server.http)
    body = urlencode(form)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
    )
    answer = await reader.read()
    writer.close()
    head, _, body = answer.decode().partition("\r\n\r\n")
    if not head.startswith("HTTP/1.1 2"):
        raise RuntimeError(f"{path} answers {head.splitlines()[:1]}")
    return body


def _call_id() -> str:
    return f"CA{secrets.token_hex(16)}"
