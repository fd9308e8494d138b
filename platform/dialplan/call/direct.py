"""A socket on picows: its parser, written in C, calls us for each frame, and what we send is written at once.

This carries the audio where picows is installed; pumped.py is the portable way. docs/performance.md has what the
difference is. One class serves both sides: picows frames and masks as a client or a server, whichever it is.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Any, cast
from urllib.parse import urlsplit

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined] # as public as `ws=`, but not in its stubs

from dialplan.call.sockets import DEAF, SPEECH_PING_SECONDS, Early, Flow, Listener

# It tells of every connection at INFO; log.py keeps that out.
_picows_logger = logging.getLogger("picows")

#: The same for the line, on which media come all the time.
LINE_PING_SECONDS = 20.0

#: Seconds that a server has to answer the handshake.
HANDSHAKE_SECONDS = 5.0

#: Bytes of a buffer that a connection begins with; it grows when a message is larger.
BUFFER_BYTES = 4096

#: A close frame without a code is heard as this one (RFC 6455 §7.1.5), a connection without a close frame as the other.
NO_CODE, NO_GOODBYE = 1005, 1006

_TEXT, _BINARY, _CONTINUATION, _CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION, WSMsgType.CLOSE


class Direct(WSListener):
    """See `Socket`. It may be used once it is connected.

    Args:
        max_bytes: of one message, in all of its frames.
        over: is called when the connection is gone, whoever closed it.
    """

    def __init__(self, max_bytes: int, over: Callable[[], None] | None = None) -> None:
        self.max_bytes = max_bytes
        self._over = over
        self._early: Early | None = Early()
        self._set(self._early.listener)
        self._transport: WSTransport | None = None
        self._flow = Flow(self._reading)
        self._parts = bytearray()  # Of a message that comes in several frames.
        self._parts_of: WSMsgType | None = None

    # Socket. What is sent a hundred times a second goes into picows without a step in between.

    send_text: Callable[[str | bytes], None]
    send_binary: Callable[[bytes], None]

    def listen(self, listener: Listener) -> None:
        self._set(listener)
        early, self._early = self._early, None
        if early is not None:
            early.tell(lambda: self._listener)

    def _set(self, listener: Listener) -> None:
        self._listener, self._text, self._binary = listener, listener.text, listener.binary

    def hold(self, on: bool) -> None:
        self._flow.hold(on)

    def _reading(self, on: bool) -> None:
        if self._transport is None or self._transport.underlying_transport.is_closing():
            return
        if on:
            self._transport.underlying_transport.resume_reading()
        else:
            self._transport.underlying_transport.pause_reading()

    async def close(self, code: int = 1000) -> None:
        self._set(DEAF)
        self.hold(False)
        if self._transport is not None:
            self._transport.send_close(WSCloseCode(code))
            # Also what went wrong before: somebody must have asked, or asyncio complains.
            with contextlib.suppress(WSError):
                await self._transport.wait_disconnected()

    def leave(self, code: int) -> None:
        """Say goodbye and go, without waiting for an answer."""
        if self._transport is not None:
            self._transport.send_close(WSCloseCode(code))
            self._transport.disconnect()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(False)

    # What picows calls.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.send_text = functools.partial(transport.send, _TEXT)
        self.send_binary = functools.partial(transport.send, _BINARY)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        # Asking a frame what it is takes as long as all the rest of this.
        kind = frame.msg_type
        if kind is _BINARY and frame.fin:
            self._binary(frame.get_payload_as_bytes())
        elif kind is _TEXT and frame.fin:
            self._text(frame.get_payload_as_bytes())
        elif kind is _CLOSE:
            self._answer_close(transport, frame)
        elif kind is not WSMsgType.PING and kind is not WSMsgType.PONG:
            self._collect(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        handshake = transport.close_handshake
        said = handshake.recv if handshake is not None else None
        self._listener.lost(_number(said.code) or NO_CODE if said is not None else NO_GOODBYE)
        if self._over is not None:
            self._over()

    def pause_writing(self) -> None:
        self._flow.blocked(True)
        self._listener.blocked(True)

    def resume_writing(self) -> None:
        self._flow.blocked(False)
        self._listener.blocked(False)

    def _collect(self, frame: WSFrame) -> None:
        """A message in several frames. Neither vendor is known to send one; whoever may, can."""
        kind = frame.msg_type
        if (kind is _CONTINUATION) is (self._parts_of is None):
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "a frame that does not belong here")
        self._parts_of = self._parts_of or kind
        self._parts += frame.get_payload_as_bytes()
        if len(self._parts) > self.max_bytes:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "a message too big")
        if frame.fin:
            kind, self._parts_of = self._parts_of, None
            whole = bytes(self._parts)
            self._parts.clear()
            tell = self._text if kind is _TEXT else self._binary
            tell(whole)

    def _answer_close(self, transport: WSTransport, frame: WSFrame) -> None:
        if not transport.is_close_frame_sent:
            transport.send_close(frame.get_close_code() if _number(frame.get_close_code()) else WSCloseCode.OK)
        transport.disconnect()


def _number(code: WSCloseCode) -> int:
    """An IntEnum, whatever its stub says; 0 where a close frame had no code."""
    return cast("int", code)


async def connect(url: str, headers: Mapping[str, str], tls: SSLContext, max_bytes: int) -> Direct:
    """Open a socket as a client. Cancelling it closes what was opened.

    Raises:
        WSInvalidStatusError: the server answered, and not with 101.
        WSError, OSError: there is no server, or it is none for WebSockets.
    """
    parts = urlsplit(url)
    socket = Direct(max_bytes)
    target = f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}"
    transport, protocol = await asyncio.get_running_loop().create_connection(
        lambda: _protocol(socket, parts.netloc, target, headers),
        parts.hostname or "",
        parts.port or (443 if parts.scheme == "wss" else 80),
        ssl=tls if parts.scheme == "wss" else None,
    )
    opened = False
    try:
        await protocol.wait_until_handshake_complete()
        opened = protocol.listener is not None
    finally:
        if not opened:
            transport.abort()
    if not opened:
        raise ConnectionError("it closed the connection before it answered")
    return socket


def take_over(socket: Direct, transport: asyncio.Transport) -> None:
    """Take over a connection whose handshake is done, as a server."""
    protocol = _protocol(socket)
    protocol.connection_made(_Answered(transport))
    protocol.get_buffer(-1)[: len(_HANDSHAKE)] = _HANDSHAKE
    protocol.buffer_updated(len(_HANDSHAKE))
    transport.set_protocol(protocol)


def _protocol(
    socket: Direct, host: str | None = None, target: str | None = None, headers: Mapping[str, str] | None = None
) -> Any:
    """picows' own, which its `ws_connect` and `ws_create_server` make in just this way."""
    pinged = LINE_PING_SECONDS if host is None else SPEECH_PING_SECONDS
    return WSProtocol(
        host,
        target,
        host is not None,
        lambda *handshake: socket,
        _picows_logger,
        True,  # A mistake of the listener's closes the connection.
        HANDSHAKE_SECONDS,
        True,
        pinged,
        pinged,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        True,
        socket.max_bytes,
        headers,
        BUFFER_BYTES,
    )


#: What a server's protocol must have heard before it takes frames; whoever accepted the real one has answered it.
_HANDSHAKE = b"""\
GET / HTTP/1.1\r
Host: -\r
Connection: Upgrade\r
Upgrade: websocket\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r
\r
"""


class _Answered:
    """A transport as picows may see it: its answer to the handshake goes nowhere."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._answered = False

    def write(self, data: bytes) -> None:
        if self._answered:
            self._transport.write(data)
        self._answered = True

    def writelines(self, parts: list[bytes | memoryview]) -> None:
        # picows goes on to write into the memory that it gives us here, and a transport may keep it unsent.
        self._transport.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
