"""How the speech service is dialled, and in which words it fails."""

import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import websockets
from websockets.asyncio.client import ClientConnection, connect

from dialplan import __version__
from dialplan.call.pumped import Gone, Message, Pumped, pumping
from dialplan.call.sockets import SPEECH_PING_SECONDS, Dial, Socket, closed
from dialplan.errors import SpeechError, SpeechLost, SpeechRefused

try:
    from picows import WSError, WSHandshakeError

    from dialplan.call import direct
except ImportError:  # There is no picows for this platform.
    direct = None  # type: ignore[assignment]

#: Bytes of one message; Deepgram's audio comes in messages of some kilobytes.
MAX_MESSAGE = 1_048_576


def dialler(close_seconds: float, *, directly: bool = True) -> Dial:
    """How the speech service is dialled. All calls share a TLS context, since making one holds up everybody's audio.

    Args:
        close_seconds: for closing in good order.
        directly: by picows where there is one, and no proxy in between; else by websockets.
    """
    tls = ssl.create_default_context()

    @asynccontextmanager
    async def dial(url: str, api_key: str) -> AsyncIterator[Socket]:
        """Raises SpeechRefused or SpeechLost where it does not open."""
        headers = {"Authorization": f"Token {api_key}", "User-Agent": f"dialplan/{__version__}"}
        opened = _direct if directly and direct is not None and not _is_proxied(url) else _awaited
        async with opened(url, headers, tls) as socket:
            try:
                yield socket
            finally:
                await closed(socket, within=close_seconds)

    return dial


@asynccontextmanager
async def _direct(url: str, headers: Mapping[str, str], tls: ssl.SSLContext) -> AsyncIterator[Socket]:
    try:
        socket = await direct.connect(url, headers, tls, MAX_MESSAGE)
    except (OSError, ValueError, WSError) as exc:
        status = _status(exc.raw_header) if isinstance(exc, WSHandshakeError) else 0
        raise (_refused(status) if status else _unreachable(url, exc)) from exc
    yield socket


@asynccontextmanager
async def _awaited(url: str, headers: Mapping[str, str], tls: ssl.SSLContext) -> AsyncIterator[Socket]:
    try:
        connection = await connect(
            url,
            additional_headers=headers,
            user_agent_header=None,
            ssl=tls if url.startswith("wss:") else None,
            # Speech does not shrink, and deflating it in both directions costs more than carrying it.
            compression=None,
            max_size=MAX_MESSAGE,
            ping_interval=SPEECH_PING_SECONDS,
            ping_timeout=SPEECH_PING_SECONDS,
        )
    except websockets.InvalidStatus as exc:
        raise _refused(exc.response.status_code) from exc
    except (OSError, ValueError, websockets.InvalidHandshake, websockets.InvalidURI) as exc:
        raise _unreachable(url, exc) from exc
    async with pumping(_pumped(connection)) as socket:
        yield socket


def _pumped(connection: ClientConnection) -> Pumped:
    async def receive() -> Message:
        try:
            return await connection.recv()
        except websockets.ConnectionClosed as exc:
            raise Gone(exc.rcvd.code if exc.rcvd else 1006) from exc

    async def send(message: Message) -> None:
        try:
            await connection.send(message)
        except websockets.ConnectionClosed as exc:
            raise Gone(1006) from exc

    return Pumped(receive, send, connection.close, connection.transport.abort)


def _is_proxied(url: str) -> bool:
    """As websockets decides it: by the environment, and by the settings of macOS and Windows."""
    host = urlsplit(url).hostname or ""
    return bool(urllib.request.getproxies()) and not urllib.request.proxy_bypass(host)


_REASONS = {401: " (the API key is wrong)", 403: " (the API key may not do this)", 429: " (too many sessions at once)"}


def _status(answer: bytes | None) -> int:
    """Of an answer that is no handshake; 0 where it is no HTTP. picows knows registered ones only."""
    version, _, rest = (answer or b"").partition(b" ")
    digits = rest[:3]
    return int(digits) if version.startswith(b"HTTP/") and digits.isdigit() and digits != b"101" else 0


#: Statuses that may be others in a moment (RFC 9110 §15): too early, too many, and the server's own trouble.
_PASSING = (408, 425, 429)


def _refused(status: int) -> SpeechError:
    kind = SpeechLost if status in _PASSING or status >= 500 else SpeechRefused
    reason = _REASONS.get(status, "")
    return kind(f"the speech service refused the call with status {status:d}{reason}", f"{status:d}")


def _unreachable(url: str, exc: Exception) -> SpeechLost:
    return SpeechLost(f"the speech service at {urlsplit(url).netloc} does not answer: {exc}", "unreachable")
