"""The two sockets of a call: the line to the phone network, and the speech service.

What each can do, and how the speech service is dialled. What travels on them is in wire/.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import websockets
from websockets.asyncio.client import ClientConnection, connect

from dialplan import __version__
from dialplan.errors import SpeechLost, SpeechRefused


class Line(Protocol):
    """The phone network's socket, its stream started."""

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            LineLost: there will be none.
        """
        ...

    async def send(self, message: str) -> None:
        """Send a message; messages go out in the order of the calls.

        Raises:
            LineLost: it cannot be sent.
        """
        ...

    async def close(self) -> None:
        """Close it in good order; Twilio goes on with what stands after `<Connect>`."""
        ...


class Speech(Protocol):
    """The speech service's socket."""

    async def receive(self) -> str | bytes:
        """The next message: an event, or audio.

        Raises:
            SpeechLost: there will be none.
        """
        ...

    async def send(self, message: str | bytes) -> None:
        """Send a command, or audio; messages go out in the order of the calls.

        Raises:
            SpeechLost: it cannot be sent.
        """
        ...


#: Opens a socket to the speech service: address, API key.
Dial = Callable[[str, str], AbstractAsyncContextManager[Speech]]


@dataclass(frozen=True, slots=True)
class _DeepgramSocket:
    connection: ClientConnection = field(repr=False)

    async def receive(self) -> str | bytes:
        try:
            return await self.connection.recv()
        except websockets.ConnectionClosed as exc:
            raise _lost(exc) from exc

    async def send(self, message: str | bytes) -> None:
        try:
            await self.connection.send(message)
        except websockets.ConnectionClosed as exc:
            raise _lost(exc) from exc


def dialler(close_seconds: float) -> Dial:
    """How the speech service is dialled. All calls share a TLS context, since making one holds up everybody's audio."""
    tls = ssl.create_default_context()

    @asynccontextmanager
    async def dial(url: str, api_key: str) -> AsyncIterator[Speech]:
        """Raises SpeechRefused or SpeechLost where it does not open."""
        connection = await _opened(url, api_key, tls, close_seconds)
        try:
            yield _DeepgramSocket(connection)
        finally:
            # Its own time limit does not hold where the other side has stopped reading.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(close_seconds):
                    await connection.close()
            connection.transport.abort()

    return dial


async def _opened(url: str, api_key: str, tls: ssl.SSLContext, close_seconds: float) -> ClientConnection:
    try:
        return await connect(
            url,
            additional_headers={"Authorization": f"Token {api_key}"},
            user_agent_header=f"dialplan/{__version__}",
            ssl=tls if url.startswith("wss:") else None,
            # Speech does not shrink, and deflating it in both directions costs more than carrying it.
            compression=None,
            close_timeout=close_seconds,
        )
    except websockets.InvalidStatus as exc:
        status = exc.response.status_code
        reason = _REASONS.get(status, "")
        raise SpeechRefused(f"the speech service refused the call with status {status}{reason}", str(status)) from exc
    except (OSError, ValueError, websockets.InvalidHandshake, websockets.InvalidURI) as exc:
        raise SpeechLost(f"the speech service at {urlsplit(url).netloc} does not answer: {exc}", "unreachable") from exc


_REASONS = {401: " (the API key is wrong)", 403: " (the API key may not do this)", 429: " (too many sessions at once)"}


def _lost(exc: websockets.ConnectionClosed) -> SpeechLost:
    code = exc.rcvd.code if exc.rcvd else 1006
    return SpeechLost(f"the speech service closed the connection ({code})", f"closed_{code}")
