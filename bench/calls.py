"""Both ends of a call in one process: what the phone network and the speech service say, and what they hear.

The messages are byte for byte those of Twilio and Deepgram. Nothing here has a task or a timer: load.py says when.
"""

import binascii
import json
import time
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import picows
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from bench.stamps import (
    FILLING_TEXT,
    FRAME_BYTES,
    FRAME_TEXT,
    MARK,
    STAMP_BYTES,
    STAMP_TEXT,
    Direction,
    stamped,
    stamps,
)

now = time.perf_counter

_PAYLOAD = b'"payload":'
_MEDIA = (
    b'{"event":"media","sequenceNumber":"%%d","media":{"track":"inbound","chunk":"%%d","timestamp":"%%d",'
    b'"payload":"%s%04o%%08o%s"},"streamSid":"MZ%s"}'
)
_START = (
    b'{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC%(id)s","streamSid":"MZ%(id)s",'
    b'"callSid":"CA%(id)s","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,'
    b'"channels":1},"customParameters":{}},"streamSid":"MZ%(id)s"}'
)
_STOP = b'{"event":"stop","sequenceNumber":"2","stop":{},"streamSid":"MZ%s"}'
_CONNECTED = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'
_TURN = (
    b'{"type":"UserStartedSpeaking"}',
    b'{"type":"EndOfTurn"}',
    b'{"type":"ConversationText","role":"user","content":"Is the pharmacy open today?"}',
)
_REQUEST = (
    b'{"type":"FunctionCallRequest","functions":[{"id":"fc-%d-%d","name":"lookup",'
    b'"arguments":"{\\"name\\": \\"Anna\\"}","client_side":true}]}'
)
_ANSWER = b'{"type":"ConversationText","role":"assistant","content":"Yes, we are open until six."}'
_DONE = b'{"type":"AgentAudioDone"}'


class Tally:
    """What all calls count together."""

    def __init__(self, calls: int) -> None:
        self.up = Direction(calls)
        self.down = Direction(calls)
        self.barge_ins: array[float] = array("d")
        self.barge_ins_sent = self.functions_requested = self.functions_answered = 0

    def open(self, at: float) -> None:
        """What happens from now on counts."""
        self.barge_ins = array("d")
        self.barge_ins_sent = self.functions_requested = self.functions_answered = 0
        self.up.open(at)
        self.down.open(at)

    def close(self, at: float) -> None:
        """Frames that are sent from now on do not count."""
        self.up.close(at)
        self.down.close(at)


class Call:
    """Both ends of one call."""

    __slots__ = ("_id", "_media", "interrupted_at", "line", "number", "session", "tally", "turns")

    def __init__(self, tally: Tally, load_id: bytes, number: int) -> None:
        self.tally = tally
        self.number = number
        self.line: WSTransport | None = None
        self.session: WSTransport | None = None
        self.interrupted_at = 0.0
        self.turns = 0
        self._id = b"%s%08x" % (load_id, number)
        self._media = _MEDIA % (MARK, number, FILLING_TEXT, self._id)

    def start(self, line: WSTransport) -> None:
        """The stream is open."""
        line.send(WSMsgType.TEXT, _CONNECTED)
        line.send(WSMsgType.TEXT, _START % {b"id": self._id})
        self.line = line

    def hang_up(self) -> None:
        """The caller goes."""
        if self.line is not None:
            self.line.send(WSMsgType.TEXT, _STOP % self._id)
            self.line.send_close(picows.WSCloseCode.OK)

    def caller_speaks(self, at: float) -> None:
        """A frame goes up."""
        if self.line is not None:
            n = self.tally.up.send(self.number, at)
            self.line.send(WSMsgType.TEXT, self._media % (n + 2, n + 1, 20 * n, n))

    def agent_speaks(self, at: float) -> None:
        """A frame comes down."""
        if self.session is not None:
            self.session.send(WSMsgType.BINARY, stamped(self.number, self.tally.down.send(self.number, at)))

    def turn(self) -> None:
        """The caller interrupts and has said something; the agent looks something up and answers."""
        session = self.session
        if session is None:
            return
        self.turns += 1
        self.interrupted_at = now()
        self.tally.barge_ins_sent += 1
        self.tally.down.interrupt(self.number)
        for message in _TURN:
            session.send(WSMsgType.TEXT, message)
        self.tally.functions_requested += 1
        session.send(WSMsgType.TEXT, _REQUEST % (self.number, self.turns))
        session.send(WSMsgType.TEXT, _ANSWER)

    def cleared(self, at: float) -> None:
        """The phone network is told that the caller interrupts."""
        if self.interrupted_at:
            self.tally.barge_ins.append(at - self.interrupted_at)
            self.interrupted_at = 0.0

    def turn_is_over(self) -> None:
        """The agent has said everything."""
        if self.session is not None and self.turns:
            self.session.send(WSMsgType.TEXT, _DONE)


class PhoneEnd(WSListener):
    """The phone network's end of a call's stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._down = call.tally.down
        self._rest = b""

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._call.start(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        at = now()
        message = frame.get_payload_as_bytes()
        start = message.find(_PAYLOAD)
        if start < 0:
            self._control(transport, frame, message, at)
            return
        # Some put a space behind the colon.
        start += len(_PAYLOAD) + (2 if message[start + len(_PAYLOAD)] == 0x20 else 1)
        stop = message.find(b'"', start)
        if stop - start == FRAME_TEXT and not self._rest:
            stamp = message[start : start + STAMP_TEXT]
            if stamp.startswith(MARK):
                self._down.find(stamp, at)
            return
        self._audio(binascii.a2b_base64(message[start:stop]), at)

    def _audio(self, audio: bytes, at: float) -> None:
        """A bridge has put frames together, or cut them elsewhere."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        for stamp in stamps(audio[:whole]):
            self._down.find(stamp, at)

    def _control(self, transport: WSTransport, frame: WSFrame, message: bytes, at: float) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        elif b'"clear"' in message:
            self._call.cleared(at)
        elif b'"mark"' in message:
            # What was sent before it has been played: the agent's audio comes no faster than it is heard.
            fields = json.loads(message)
            transport.send(WSMsgType.TEXT, json.dumps({**fields, "sequenceNumber": "1"}).encode())
        elif b'"media"' in message:  # Spelled in a way that nobody expects.
            self._audio(binascii.a2b_base64(json.loads(message)["media"]["payload"]), at)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._call.line = None


class ServiceEnd(WSListener):
    """The speech service's end of a session. Whose it is, the first frame that arrives says."""

    def __init__(self, calls: Sequence[Call], greeting: Sequence[bytes]) -> None:
        self._calls = calls
        self._greeting = greeting
        self._call: Call | None = None
        self._set = False
        self._rest = b""

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b'{"type":"Welcome","request_id":"bench"}')

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        at = now()
        message = frame.get_payload_as_bytes()
        if len(message) == FRAME_BYTES and not self._rest:
            stamp = binascii.b2a_base64(message[:STAMP_BYTES], newline=False)
            if stamp.startswith(MARK):
                self._found(transport, stamp, at)
            return
        if frame.msg_type == WSMsgType.BINARY:
            self._audio(transport, message, at)
        elif frame.msg_type == WSMsgType.TEXT:
            self._command(transport, message)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()

    def _audio(self, transport: WSTransport, audio: bytes, at: float) -> None:
        audio = self._rest + audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        for stamp in stamps(audio[:whole]):
            self._found(transport, stamp, at)

    def _found(self, transport: WSTransport, stamp: bytes, at: float) -> None:
        if self._call is None:
            if not self._calls:
                return
            self._call = self._calls[int(stamp[4:8], 8)]
            self._call.session = transport
        self._call.tally.up.find(stamp, at)

    def _command(self, transport: WSTransport, message: bytes) -> None:
        if not self._set:
            self._set = True
            transport.send(WSMsgType.TEXT, b'{"type":"SettingsApplied"}')
            for audio in self._greeting:
                transport.send(WSMsgType.BINARY, audio)
        elif self._call is not None and b"FunctionCallResponse" in message:
            self._call.tally.functions_answered += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._call is not None:
            self._call.session = None


class Service:
    """The speech service, for one load after another."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: Sequence[Call] = ()
        """Whose sessions are to come."""
        self.greeting: Sequence[bytes] = ()
        """Sent as soon as a session's settings are applied."""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Service"]:
        """While it can be dialled."""
        server = await picows.ws_create_server(self._session, "127.0.0.1", 0, backlog=4096)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/agent"
        try:
            yield self
        finally:
            server.close()

    def _session(self, request: WSUpgradeRequest) -> ServiceEnd:
        return ServiceEnd(self.calls, self.greeting)
