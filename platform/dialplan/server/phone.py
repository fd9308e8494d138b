"""Twilio's webhooks: a call comes in, its stream has ended, its status has changed. Streams are in streams.py."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from dialplan.call import settings
from dialplan.call.history import Recollection
from dialplan.call.record import UNTOLD, End
from dialplan.config.jinja.templates import Template
from dialplan.config.model import Agent
from dialplan.errors import ConfigError, LineBusy
from dialplan.facts import CARRIED, Call
from dialplan.log import call_id
from dialplan.server.gate import Gate
from dialplan.server.live import Live
from dialplan.wire import twiml
from dialplan.wire.fields import is_identifier

logger = logging.getLogger(__name__)

#: Bytes of a webhook's body; Twilio's are some hundred.
MAX_BODY = 65_536
MAX_FIELDS = 200

#: How often a call whose stream broke is connected again.
MAX_ATTEMPTS = 3

#: Characters that Twilio speaks in a second, at the slowest.
SPOKEN_PER_SECOND = 8

UNKNOWN_NUMBER = "The number that you have dialled is not in service. Goodbye."
SORRY = "We are sorry, we cannot take your call at the moment. Please try again later. Goodbye."

#: Ends after which the caller is still on the line, and somebody is to carry the call on.
GOES_ON = (End.LINE_LOST, End.MOVED, End.NEVER_CAME)

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
    """The endpoints that Twilio asks."""

    live: Live
    gate: Gate

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
            return self.gate.refused(request, "too large", PlainTextResponse("too large", 413))
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return self.gate.refused(request, "not a form", PlainTextResponse("a form is expected", 415))
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError:
            return self.gate.refused(request, "not a form", PlainTextResponse("a form is expected", 400))
        if not self.gate.is_signed(request, fields, scheme="http"):
            return self.gate.refused(request, "signature", PlainTextResponse("the signature is missing or wrong", 403))
        form = dict(fields)
        if not is_identifier(form.get("CallSid", "")):
            return self.gate.refused(request, "no CallSid", PlainTextResponse("CallSid is missing", 400))
        call_id.set(form["CallSid"])
        return form

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
            return twiml.redirect(f"{self.gate.public(request, 'http')}/twilio/voice{twiml.RETRIED}")
        agent = self._agent(form, attempt, known)
        if agent is None:
            logger.warning("nobody answers the number that was called")
            self.live.metrics.calls_refused.labels("unknown number").inc()
            return twiml.say_and_hang_up(UNKNOWN_NUMBER if attempt == 1 else SORRY)
        call = _call_of(form, agent)
        try:
            if attempt == 1:
                self.gate.admit(form.get("AccountSid", ""))
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
            stream_url=f"{self.gate.public(request, 'ws')}/twilio/stream",
            action_url=f"{self.gate.public(request, 'http')}/twilio/next?attempt={attempt}{twiml.RETRIED}",
            parameters={"token": token, "attempt": str(attempt), **facts},
            notice=_rendered(agent.notice, agent, call) if attempt == 1 else "",
            language=agent.language,
        )

    async def _after_stream(self, request: Request, form: Mapping[str, str]) -> str:
        if form.get("CallStatus", "in-progress") != "in-progress":
            return twiml.hang_up()
        asked = request.query_params.get("attempt")
        session = self.live.find(form["CallSid"])
        if session is not None and asked is not None and attempt_number(asked) < session.attempt:
            # That stream ended long ago, and this was answered.
            return self._answer(request, form, attempt_number(asked) + 1)
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
        before = max(attempt_number(asked or "1"), known.attempt if known else 0)
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


def call_of_facts(call_sid: str, facts: Mapping[str, str], params: Mapping[str, str], agent: Agent) -> Call:
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
    return call_of_facts(form["CallSid"], facts, {}, agent)


def _rendered(template: Template | None, agent: Agent, call: Call) -> str:
    """What Twilio is to say; empty where it cannot be told."""
    try:
        return settings.rendered(template, agent, call)
    except ConfigError as exc:
        logger.error("what Twilio is to say for %s cannot be rendered: %s", agent.name, exc)
        return ""


def attempt_number(text: str) -> int:
    """Which attempt it is; too many, where that cannot be told."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else MAX_ATTEMPTS


def _twiml(document: str) -> Response:
    return Response(document, media_type="text/xml")
