"""Starlette's WebSocket as a call's line: directly where the server offers it, else by ASGI's messages."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.websockets import WebSocket, WebSocketDisconnect

from dialplan.call.pumped import Gone, Message, Pumped, pumping
from dialplan.call.sockets import Socket

#: The ASGI extension of a server that hands the socket over once it is accepted: a function without parameters.
EXTENSION = "dialplan.direct"


@asynccontextmanager
async def accepted(websocket: WebSocket) -> AsyncIterator[Socket]:
    """Accept a stream; its line, until this is left. The body must not raise."""
    await websocket.accept()
    # Nothing was awaited that could have let a frame in between: it would have become an ASGI message.
    hand_over = websocket.scope.get("extensions", {}).get(EXTENSION)
    if hand_over is not None:
        yield hand_over()
        return
    async with pumping(_pumped(websocket)) as socket:
        yield socket


def _pumped(websocket: WebSocket) -> Pumped:
    async def receive() -> Message:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise Gone(message.get("code", 1006))
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def send(message: Message) -> None:
        try:
            await websocket.send({"type": "websocket.send", "text": message})
        except (WebSocketDisconnect, RuntimeError) as exc:
            raise Gone(1006) from exc

    async def shut(code: int) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # Gone already was the aim.
            await websocket.close(code)

    # The server closes it at the latest when the application returns.
    return Pumped(receive, send, shut, abort=lambda: None)
