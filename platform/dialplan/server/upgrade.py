"""uvicorn's WebSocket, which hands its connection over to call/direct.py once it is accepted.

uvicorn does the handshake: scope, 403 and shutdown are those of every ASGI server. From then on frames come by a call
instead of as ASGI messages, each of which costs a dict, a queue and a switch of tasks. An application that does not ask
for the connection gets ASGI messages as ever.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from dialplan.call.direct import Direct, take_over
from dialplan.server.line import EXTENSION


class Upgrade(WebSocketsSansIOProtocol):
    """For uvicorn's `ws=`."""

    _socket: Direct | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code != 101:  # It was no handshake, and has got its 400.
            return
        self.scope["extensions"][EXTENSION] = self._hand_over  # type: ignore[assignment] # ASGI leaves open what it is

    def shutdown(self) -> None:
        if self._socket is None or self.disconnected:
            super().shutdown()
        else:
            self._socket.leave(1012)

    def _hand_over(self) -> Direct:
        self.stop_keepalive()  # picows has its own.
        assert self.config.ws_max_size is not None
        self._socket = Direct(self.config.ws_max_size, over=lambda: self.connection_lost(None))
        take_over(self._socket, self.transport)
        return self._socket
