"""Streams: that of a call which the webhook has answered, and those that a TwiML Bin opens on a path of an agent's.

Who may come in is decided here, before any speech session is opened; what happens on a call is decided in call/.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from dialplan.call.record import End
from dialplan.call.session import Session
from dialplan.call.sockets import Listener, Socket, closed
from dialplan.config.model import Agent
from dialplan.errors import LineBusy, LineError, LineLost, LineRefused
from dialplan.facts import CARRIED
from dialplan.log import call_id
from dialplan.server.gate import Gate
from dialplan.server.line import accepted
from dialplan.server.live import Live
from dialplan.server.phone import attempt_number, call_of_facts
from dialplan.wire import twilio, twiml

logger = logging.getLogger(__name__)

#: Seconds that a stream has from its handshake to `start`.
START_SECONDS = 5.0

#: Parameters of a stream that are our own.
_OURS = ("token", "attempt")


@dataclass(frozen=True, slots=True)
class Streams:
    """The WebSockets that Twilio opens."""

    live: Live
    gate: Gate

    async def of_call(self, websocket: WebSocket) -> None:
        """The stream of a call that the webhook has answered; its `start` must show the call's token."""
        if not self.gate.is_signed(websocket, [], scheme="ws"):
            if too_many := self.gate.too_many(websocket):
                await websocket.send_denial_response(too_many)
                return
            logger.info("a stream's handshake is not signed by Twilio; its token will tell")
        await self._serve(websocket, self._by_token)

    async def of_path(self, websocket: WebSocket) -> None:
        """A stream that a TwiML Bin opened, on a path of an agent's; here the handshake must be signed."""
        if not self.gate.is_signed(websocket, [], scheme="ws"):
            refusal = PlainTextResponse("the signature is missing or wrong", 403)
            await websocket.send_denial_response(self.gate.refused(websocket, "signature", refusal))
            return
        await self._serve(websocket, self._by_path)

    async def _serve(self, websocket: WebSocket, admit: Callable[[WebSocket, twilio.Started], Session]) -> None:
        async with accepted(websocket) as line:
            door = _Door(line, lambda started: admit(websocket, started))
            try:
                session = await door.opened
            except LineRefused as exc:
                call_id.set(door.call_sid)
                await self._turn_away(line, exc)
            except LineLost:
                self.live.metrics.calls_refused.labels("stream").inc()
            else:
                await session.ended.wait()

    async def _turn_away(self, line: Socket, reason: LineRefused) -> None:
        logger.warning("a stream was refused: %s", reason)
        self.live.metrics.calls_refused.labels(reason.reason).inc()
        await closed(line, reason.code, within=self.live.timing.close)

    def _by_token(self, websocket: WebSocket, started: twilio.Started) -> Session:
        secret = self.live.environment.secret
        token = started.parameters.get("token", "")
        name = twiml.token_agent(secret, started.call_sid, token, time.time())
        if not self.live.ledger.claim(f"token {token}"):
            raise LineRefused("the stream's token was used before")
        attempt = attempt_number(started.parameters.get("attempt", "1"))
        session = self.live.awaited(started.call_sid, attempt)
        if session is not None and session.waiting:
            return session
        if self.live.end_of(started.call_sid) is End.CALLER:
            raise LineRefused("the caller has hung up already")
        if self.live.moving:  # Nobody would move a call that begins only now. Twilio asks another process what is next.
            raise LineBusy("draining")
        agent = self.live.dialplan.agents.get(name)
        if agent is None:
            raise LineRefused(f"there is no agent {name} any more")
        # It landed in another process, or came late: the call, which was let in there, begins here.
        return self._begin(agent, started, attempt, admitted=True)

    def _by_path(self, websocket: WebSocket, started: twilio.Started) -> Session:
        route = self.live.dialplan.answer_stream(websocket.url.path, started.parameters.get("to", ""))
        if route is None:
            raise LineRefused("no agent on this path answers the number in its parameter to")
        admitted = self.live.find(started.call_sid) is not None
        if not admitted:
            self.gate.admit(started.account_sid)
        return self._begin(route.agent, started, attempt=1, admitted=admitted, signed=False)

    def _begin(
        self, agent: Agent, started: twilio.Started, attempt: int, *, admitted: bool, signed: bool = True
    ) -> Session:
        if older := self.live.find(started.call_sid):
            # Twilio has given the older stream up, though its socket does not know yet: a call has one at a time.
            attempt = max(attempt, older.attempt + 1)
            older.end(End.LINE_LOST)
        facts = {name: started.parameters.get(name, "") for name in CARRIED}
        params = {name: value for name, value in started.parameters.items() if name not in (*CARRIED, *_OURS)}
        call = call_of_facts(started.call_sid, facts, params, agent)
        return self.live.begin(agent, call, attempt=attempt, admitted=admitted, signed=signed)


class _Door:
    """Listens to a stream until its `start` is let in, or not.

    Args:
        line: the stream's.
        admit: begins the call, or finds it; raises LineRefused.
    """

    def __init__(self, line: Socket, admit: Callable[[twilio.Started], Session]) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[Session] = loop.create_future()
        """Whose call it is, once the line is the session's; or LineRefused, or LineLost."""
        self.call_sid = ""
        self._line = line
        self._admit = admit
        late = loop.call_later(START_SECONDS, self._refuse, LineRefused(f"no start within {START_SECONDS:g} s"))
        self.opened.add_done_callback(lambda opened: late.cancel())
        line.listen(Listener(self._heard, self._heard_binary, self._lost, lambda on: None))

    def _refuse(self, reason: LineError) -> None:
        if not self.opened.done():
            self.opened.set_exception(reason)

    def _heard_binary(self, message: bytes) -> None:
        self._refuse(LineRefused("before start came a binary message", 1003))

    def _heard(self, message: bytes) -> None:
        if self.opened.done():
            return
        try:
            match twilio.parse(message):
                case twilio.Connected():
                    pass
                case twilio.Started() as started:
                    self.call_sid = started.call_sid
                    _check_format(started)
                    session = self._admit(started)
                    session.attach(self._line, started.stream_sid)
                    self.opened.set_result(session)
                case other:
                    raise LineRefused(f"before start came {type(other).__name__}", 1003)
        except LineRefused as exc:
            self._refuse(exc)

    def _lost(self, code: int) -> None:
        self._refuse(LineLost(f"the phone network's socket closed ({code})"))


def _check_format(started: twilio.Started) -> None:
    if (started.encoding, started.sample_rate) != ("audio/x-mulaw", 8000):
        carried = f"{started.encoding!a:.40} at {started.sample_rate} Hz"
        raise LineRefused(f"the stream carries {carried}, not μ-law at 8000", 1003)
