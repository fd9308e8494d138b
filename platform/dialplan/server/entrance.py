"""uvicorn's HTTP, with an end to its patience: a request comes whole within some seconds, and its head is no book.

uvicorn itself waits for ever for a request that was begun, and keeps every header that comes. A connection that opens
and says nothing, or a byte now and then (slow loris), would hold its descriptor as long as it likes.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Seconds in which a request must be there, its body too. Twilio's come in one piece.
REQUEST_SECONDS = 10.0

#: Bytes before the body: the address and all headers. Twilio's are some two thousand.
MAX_HEAD = 32_768


class Entrance(HttpToolsProtocol):
    """For uvicorn's `http=`."""

    _late: asyncio.TimerHandle | None = None
    _head: int | None = 0
    """Bytes so far; None where it is complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head is None:  # Not the connection's first one.
            self._head = 0
            self._wait()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._be_content()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._be_content()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_content()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Nobody asks for more. Whoever has not read its answer by now does not want it."""
        self.transport.abort()

    def _wait(self) -> None:
        self._be_content()
        self._late = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _be_content(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self.transport.abort()
