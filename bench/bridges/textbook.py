"""A bridge as tutorials write it: two tasks per call, `json.loads` and `json.dumps` for every frame, a `function_map`.

Starlette under `uvicorn.run` and `websockets.connect`, both with all their defaults. Each frame is passed on when it
comes; nothing is collected into larger buffers, which would save work at the price of up to 400 ms.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection

from bench.bridges import options
from bench.bridges.settings import SETTINGS


def lookup(name: str) -> dict[str, str]:
    return {"name": name, "phone": "+15550100001"}


function_map = {"lookup": lookup}


async def from_twilio(websocket: WebSocket, deepgram: ClientConnection) -> None:
    """The caller's voice."""
    while True:
        data = json.loads(await websocket.receive_text())
        if data["event"] == "media":
            await deepgram.send(base64.b64decode(data["media"]["payload"]))
        elif data["event"] == "stop":
            return


async def from_deepgram(websocket: WebSocket, deepgram: ClientConnection, stream_sid: str) -> None:
    """The agent's voice, and everything else that the service has to say."""
    async for message in deepgram:
        if isinstance(message, bytes):
            payload = base64.b64encode(message).decode("ascii")
            media = {"event": "media", "streamSid": stream_sid, "media": {"payload": payload}}
            await websocket.send_text(json.dumps(media))
            continue
        event = json.loads(message)
        if event["type"] == "UserStartedSpeaking":
            await websocket.send_text(json.dumps({"event": "clear", "streamSid": stream_sid}))
        elif event["type"] == "FunctionCallRequest":
            for call in event["functions"]:
                await deepgram.send(json.dumps(answer(call)))


def answer(call: dict[str, Any]) -> dict[str, str]:
    try:
        result = function_map[call["name"]](**json.loads(call["arguments"]))
    except (KeyError, TypeError, ValueError) as exc:
        result = {"error": str(exc)}
    return {"type": "FunctionCallResponse", "id": call["id"], "name": call["name"], "content": json.dumps(result)}


async def started(websocket: WebSocket) -> str:
    """The id of the stream, once it has one."""
    while True:
        data = json.loads(await websocket.receive_text())
        if data["event"] == "start":
            return str(data["start"]["streamSid"])


async def handle_call(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        stream_sid = await started(websocket)
        async with websockets.connect(websocket.app.state.service) as deepgram:
            await deepgram.recv()  # Welcome
            await deepgram.send(SETTINGS.decode())
            tasks = [
                asyncio.create_task(from_twilio(websocket, deepgram)),
                asyncio.create_task(from_deepgram(websocket, deepgram, stream_sid)),
            ]
            _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    except (WebSocketDisconnect, websockets.ConnectionClosed):
        pass


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    print("ready", flush=True)
    yield


if __name__ == "__main__":
    told = options(__doc__)
    app = Starlette(routes=[WebSocketRoute("/{path:path}", handle_call)], lifespan=lifespan)
    app.state.service = told.service
    uvicorn.run(app, port=told.port)
