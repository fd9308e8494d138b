"""The least that carries a call: no framework, no task, no state but the two sockets. The practical limit of Python.

Frames are cut out of the text and put into it without a look at anything else; settings are sent, and an interruption
clears the buffer. No function is run, nothing is checked, recorded or counted, and a failure is nobody's concern.
"""

import asyncio
from binascii import a2b_base64, b2a_base64

import picows
import uvloop
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from bench.bridges import options
from bench.bridges.settings import SETTINGS

TEXT, BINARY, CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE

PAYLOAD = b'"payload":"'

#: What stands behind the payload: `"},"streamSid":"MZ…"}` with 34 characters in it.
TAIL = -len('"},"streamSid":""}') - 34


class Line(WSListener):
    """The phone network's end."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._speech: WSTransport | None = None
        self._dialling: asyncio.Task[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._line = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        start = message.find(PAYLOAD)
        if start > 0:
            if self._speech is not None:
                self._speech.send(BINARY, a2b_base64(message[start + 11 : TAIL]))
        elif b'"start"' in message:
            stream_sid = message[-36:-2]
            self._dialling = asyncio.get_running_loop().create_task(self._dial(stream_sid))
        elif frame.msg_type == CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    async def _dial(self, stream_sid: bytes) -> None:
        self._speech, _ = await picows.ws_connect(lambda: Speech(self._line, stream_sid), self._service)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._speech is not None:
            self._speech.send_close(WSCloseCode.OK)
            self._speech.disconnect()


class Speech(WSListener):
    """The speech service's end."""

    def __init__(self, line: WSTransport, stream_sid: bytes) -> None:
        self._line = line
        self._before = b'{"event":"media","streamSid":"%s","media":{"payload":"' % stream_sid
        self._clear = b'{"event":"clear","streamSid":"%s"}' % stream_sid

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if not message.startswith(b'{"type"'):
            self._line.send(TEXT, self._before + b2a_base64(message, newline=False) + b'"}}')
        elif message.startswith(b'{"type":"UserStartedSpeaking"'):
            self._line.send(TEXT, self._clear)
        elif message.startswith(b'{"type":"Welcome"'):
            transport.send(TEXT, SETTINGS)


async def serve(port: int, service: str) -> None:
    def line(request: WSUpgradeRequest) -> Line:
        return Line(service)

    server = await picows.ws_create_server(line, "127.0.0.1", port, backlog=2048)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    told = options(__doc__)
    uvloop.run(serve(told.port, told.service))
