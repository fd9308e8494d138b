"""Twilio's side of the server: the webhook, what follows a stream, status events, and both kinds of stream.

Who may come in is decided here, before any speech session is opened; what happens on a call is decided in call/.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from urllib.parse import parse_qsl

from starlette.datastructures import URL
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocket

from dialplan.call import settings
from dialplan.call.history import Recollection
from dialplan.call.record import UNTOLD, End
from dialplan.call.session import Session
from dialplan.call.sockets import Listener, Socket, closed
from dialplan.config.jinja.templates import Template
from dialplan.config.model import Agent
from dialplan.errors import ConfigError, LineBusy, LineError, LineLost, LineRefused
from dialplan.facts import CARRIED, Call
from dialplan.hosts import neighbourhood
from dialplan.log import call_id
from dialplan.server.line import accepted
from dialplan.server.live import Live
from dialplan.wire import twilio, twiml
from dialplan.wire.fields import is_identifier

logger = logging.getLogger(__name__)

#: Bytes of a webhook's body; Twilio's are some hundred.
MAX_BODY = 65_536
MAX_FIELDS = 200

#: Seconds that a stream has from its handshake to `start`.
START_SECONDS = 5.0

#: How often a call whose stream broke is connected again.
MAX_ATTEMPTS = 3

#: Characters that Twilio speaks in a second, at the slowest.
SPOKEN_PER_SECOND = 8

UNKNOWN_NUMBER = "The number that you have dialled is not in service. Goodbye."
SORRY = "We are sorry, we cannot take your call at the moment. Please try again later. Goodbye."

#: Ends after which the caller is still on the line, and somebody is to carry the call on.
GOES_ON = (End.LINE_LOST, End.MOVED, End.NEVER_CAME)

#: Parameters of a stream that are our own.
_OURS = ("token", "attempt")

_OVER = ("completed", "busy", "failed", "no-answer", "canceled")

#: Twilio's form fields → the names of a call's facts.
_FORM_FACTS: Mapping[str, str] = MappingProxyType(
    {
        "From": "from",
        "To": "to",
        "Direction": "direction",
        "CallerName": "caller_name",
        "FromCity": "city",
        "FromState": "state",
        "FromCountry": "country",
    }
)


@dataclass(frozen=True, slots=True)
class Phone:
    """The endpoints that Twilio speaks to."""

    live: Live

    # HTTP.

    async def voice(self, request: Request) -> Response:
        """A call comes in: who answers, and where the stream goes."""
        form = await self._form(request)
        return form if isinstance(form, Response) else _twiml(self._answer(request, form, attempt=1))

    async def next(self, request: Request) -> Response:
        """The stream has ended, for whatever reason: what now?"""
        form = await self._form(request)
        if isinstance(form, Response):
            return form
        answer = _twiml(await self._after_stream(request, form))
        self.live.asked(form["CallSid"])
        return answer

    async def status(self, request: Request) -> Response:
        """A call's status changed. One that is over is over here too, though its stream may not have said so."""
        form = await self._form(request)
        if isinstance(form, Response):
            return form
        if form.get("CallStatus") in _OVER:
            if session := self.live.find(form["CallSid"]):
                session.end(End.CALLER)
            self.live.asked(form["CallSid"])
        return Response(status_code=204)

    async def _form(self, request: Request) -> dict[str, str] | Response:
        """The fields of a signed request; else the refusal."""
        body = await _body(request)
        if body is None:
            return self._refused(request, "too large", PlainTextResponse("too large", 413))
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return self._refused(request, "not a form", PlainTextResponse("a form is expected", 415))
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError:
            return self._refused(request, "not a form", PlainTextResponse("a form is expected", 400))
        if not self._signed(request, fields, scheme="http"):
            return self._refused(request, "signature", PlainTextResponse("the signature is missing or wrong", 403))
        form = dict(fields)
        if not is_identifier(form.get("CallSid", "")):
            return self._refused(request, "no CallSid", PlainTextResponse("CallSid is missing", 400))
        call_id.set(form["CallSid"])
        return form

    def _signed(self, connection: HTTPConnection, fields: list[tuple[str, str]], scheme: str) -> bool:
        token = self.live.environment.auth_token
        given = connection.headers.get("x-twilio-signature", "")
        return not token or twiml.is_signed(token, self._dialled_url(connection, scheme), fields, given)

    def _dialled_url(self, connection: HTTPConnection, scheme: str) -> str:
        """The address as Twilio dialled it. A proxy in between rewrites the host, so the operator's word counts."""
        url = connection.url
        path = connection.scope.get("raw_path", b"").decode("ascii", "replace") or url.path
        query = f"?{url.query}" if url.query else ""
        return f"{self._public(connection, scheme)}{path}{query}"

    def _public(self, connection: HTTPConnection, scheme: str) -> str:
        """`https://host` or `wss://host`, without a slash at the end."""
        base = URL(self.live.environment.public_url or str(connection.url.replace(path="", query="", fragment="")))
        secure = base.scheme in ("https", "wss")
        return str(base.replace(scheme=scheme + "s" * secure)).rstrip("/")

    def _refused(self, connection: HTTPConnection, reason: str, response: Response) -> Response:
        """The answer to a stranger. One who asks too often is told just that, and fills no log."""
        if too_many := self._too_many(connection):
            return too_many
        what = "a stream" if connection.scope["type"] == "websocket" else "a webhook"
        logger.warning("%s was refused: %s", what, reason)
        self.live.metrics.calls_refused.labels(reason).inc()
        return response

    def _too_many(self, connection: HTTPConnection) -> Response | None:
        """The answer to one stranger too many from where this one comes from."""
        host = connection.client.host if connection.client else ""
        if self.live.admission.strangers.allow(neighbourhood(host)):
            return None
        self.live.metrics.calls_refused.labels("rate").inc()
        return PlainTextResponse("too many requests", 429, {"retry-after": "10"})

    def _answer(
        self, request: Request, form: Mapping[str, str], attempt: int, known: Recollection | None = None
    ) -> str:
        """The TwiML of an answer. A request that is repeated gets the same one again."""
        key = f"answer {attempt} {form['CallSid']}"
        given = self.live.ledger.get(key)
        if given is None:
            given = self._fresh_answer(request, form, attempt, known)
            self.live.ledger.put(key, given)
        return given

    def _fresh_answer(self, request: Request, form: Mapping[str, str], attempt: int, known: Recollection | None) -> str:
        session = self.live.awaited(form["CallSid"], attempt if known and known.heard else 1)
        if session is not None and session.waiting:
            return self._connect(request, session.agent, session.call, attempt)
        if session is not None:
            return self._replayed("the caller is on the line")
        if self.live.moving and attempt == 1:
            return twiml.redirect(f"{self._public(request, 'http')}/twilio/voice{twiml.RETRIED}")
        agent = self._agent(form, attempt, known)
        if agent is None:
            logger.warning("nobody answers the number that was called")
            self.live.metrics.calls_refused.labels("unknown number").inc()
            return twiml.say_and_hang_up(UNKNOWN_NUMBER if attempt == 1 else SORRY)
        call = _call_of(form, agent)
        try:
            if attempt == 1:
                self._admit(form.get("AccountSid", ""))
            if not self.live.moving:  # Else its stream goes elsewhere: nobody listens here any more.
                self._begin_answered(agent, call, attempt, known)
        except LineBusy as exc:
            return self._turned_away(exc, agent, call)
        return self._connect(request, agent, call, attempt)

    def _replayed(self, why: str) -> str:
        """Twilio's signature bears no time: somebody may have kept what it once signed, and get a stream by it."""
        logger.warning("a webhook was refused that was signed for an earlier moment: %s", why)
        self.live.metrics.calls_refused.labels("replayed").inc()
        return twiml.hang_up()

    def _admit(self, account: str) -> None:
        """Whether new calls of an account are taken at all. Who was answered before is on the line, and is not asked.

        Raises:
            LineBusy: they are not.
        """
        if self.live.draining:
            raise LineBusy("draining")
        if not self.live.admission.accounts.allow(account):
            raise LineBusy("rate")

    def _agent(self, form: Mapping[str, str], attempt: int, known: Recollection | None) -> Agent | None:
        """Who answers: by the number; when a call is connected again, whoever did before."""
        before = self.live.agent_of(form["CallSid"]) if attempt > 1 else None
        if before is None and known is not None:
            before = self.live.dialplan.agents.get(known.agent)
        route = self.live.dialplan.answer(form.get("To", ""))
        return before or (route.agent if route else None)

    def _begin_answered(self, agent: Agent, call: Call, attempt: int, known: Recollection | None) -> None:
        logger.info("a call comes in for %s", agent.name)
        # The stream opens when the notice has been spoken.
        notice_seconds = len(_rendered(agent.notice, agent, call)) / SPOKEN_PER_SECOND if attempt == 1 else 0.0
        self.live.begin(agent, call, self.live.timing.line + notice_seconds, attempt, known)

    def _turned_away(self, reason: LineBusy, agent: Agent, call: Call) -> str:
        logger.warning("%s", reason)
        self.live.metrics.calls_refused.labels(reason.reason).inc()
        text = _rendered(agent.busy, agent, call)
        return twiml.say_and_hang_up(text, agent.language) if text else twiml.reject()

    def _connect(self, request: Request, agent: Agent, call: Call, attempt: int) -> str:
        # With the attempt in it, no two tokens of a call are the same: each opens one stream.
        expires = int(time.time()) + twiml.TOKEN_SECONDS + attempt
        token = twiml.stream_token(self.live.environment.secret, call.id, agent.name, expires)
        facts = {name: str(value) for name, value in call.for_templates().items() if name in CARRIED and value}
        return twiml.connect(
            stream_url=f"{self._public(request, 'ws')}/twilio/stream",
            action_url=f"{self._public(request, 'http')}/twilio/next?attempt={attempt}{twiml.RETRIED}",
            parameters={"token": token, "attempt": str(attempt), **facts},
            notice=_rendered(agent.notice, agent, call) if attempt == 1 else "",
            language=agent.language,
        )

    async def _after_stream(self, request: Request, form: Mapping[str, str]) -> str:
        if form.get("CallStatus", "in-progress") != "in-progress":
            return twiml.hang_up()
        asked = request.query_params.get("attempt")
        session = self.live.find(form["CallSid"])
        if session is not None and asked is not None and _number(asked) < session.attempt:
            return self._answer(request, form, _number(asked) + 1)  # That stream ended long ago, and this was answered.
        end, known = await self.live.settled_end(form["CallSid"]), None
        if end is None or end in GOES_ON:
            known = await self.live.recall(form["CallSid"])
            # What this process knows may be of an earlier stream than the last one.
            end = known.end if known else end
        if end in UNTOLD:
            return self._fallback(form, known)
        if end is not None and end not in GOES_ON:
            return twiml.hang_up()
        # The caller is still there and was not said goodbye to: the stream broke or never came through, or the process
        # was lost that led the call.
        before = max(_number(asked or "1"), known.attempt if known else 0)
        # Streams that never came through count too: they are all since the caller was last on the line.
        broken = known.broken + before - known.heard if known else before
        return self._answer(request, form, before + 1, known) if broken < MAX_ATTEMPTS else self._fallback(form, known)

    def _fallback(self, form: Mapping[str, str], known: Recollection | None) -> str:
        """The agent cannot speak: what its file says for that."""
        agent = self._agent(form, 2, known)
        if agent is None:
            return twiml.say_and_hang_up(SORRY)
        text = _rendered(agent.fallback.say, agent, _call_of(form, agent))
        if agent.fallback.transfer:
            return twiml.say_and_dial(text, agent.language, agent.fallback.transfer)
        return twiml.say_and_hang_up(text or SORRY, agent.language if text else "")

    # Streams.

    async def stream(self, websocket: WebSocket) -> None:
        """The stream of a call that the webhook has answered; its `start` must show the call's token."""
        if not self._signed(websocket, [], scheme="ws"):
            if too_many := self._too_many(websocket):
                await websocket.send_denial_response(too_many)
                return
            logger.info("a stream's handshake is not signed by Twilio; its token will tell")
        await self._serve(websocket, self._by_token)

    async def bin_stream(self, websocket: WebSocket) -> None:
        """A stream that a TwiML Bin opened, on a path of an agent's; here the handshake must be signed."""
        if not self._signed(websocket, [], scheme="ws"):
            refusal = PlainTextResponse("the signature is missing or wrong", 403)
            await websocket.send_denial_response(self._refused(websocket, "signature", refusal))
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
        attempt = _number(started.parameters.get("attempt", "1"))
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
            self._admit(started.account_sid)
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
        call = _call(started.call_sid, facts, params, agent)
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


async def _body(request: Request) -> bytes | None:
    """The request's body; None where it is larger than any of Twilio's."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return None
    except ClientDisconnect:
        return b""  # Nobody waits for the answer.
    return body


def _call(call_sid: str, facts: Mapping[str, str], params: Mapping[str, str], agent: Agent) -> Call:
    return Call(
        id=call_sid,
        from_=facts["from"],
        to=facts["to"],
        direction=facts["direction"] or "inbound",
        started=datetime.now(agent.timezone),
        caller_name=facts["caller_name"],
        city=facts["city"],
        state=facts["state"],
        country=facts["country"],
        params=MappingProxyType(dict(params)),
    )


def _call_of(form: Mapping[str, str], agent: Agent) -> Call:
    facts = {fact: form.get(name, "") for name, fact in _FORM_FACTS.items()}
    return _call(form["CallSid"], facts, {}, agent)


def _rendered(template: Template | None, agent: Agent, call: Call) -> str:
    """What Twilio is to say; empty where it cannot be told."""
    try:
        return settings.rendered(template, agent, call)
    except ConfigError as exc:
        logger.error("what Twilio is to say for %s cannot be rendered: %s", agent.name, exc)
        return ""


def _number(text: str) -> int:
    """Which attempt it is; too many, where that cannot be told."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else MAX_ATTEMPTS


def _check_format(started: twilio.Started) -> None:
    if (started.encoding, started.sample_rate) != ("audio/x-mulaw", 8000):
        carried = f"{started.encoding!a:.40} at {started.sample_rate} Hz"
        raise LineRefused(f"the stream carries {carried}, not μ-law at 8000", 1003)


def _twiml(document: str) -> Response:
    return Response(document, media_type="text/xml")
