"""Deepgram's Voice Agent messages (v1): its events as values, our commands as text.

Pure. Fields as in Deepgram's asyncapi.yml (github.com/deepgram/deepgram-api-specs), and what live calls showed beyond
it. An event that is not known, or lacks what it should have, is a value (`Unknown`). The one large message, Settings,
is rendered in call/settings.py.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dialplan.wire.fields import MALFORMED, fields_of, identifier, legible, text

DEFAULT_URL = "wss://agent.deepgram.com/v1/agent/converse"

#: Errors after which a new session, with the history, may well succeed.
RETRYABLE = frozenset(
    {
        "INTERNAL_SERVER_ERROR",
        "ASR_CONNECTION_CLOSED",
        "ASR_DRIVER_TIMEOUT",
        "SERVER_GOING_AWAY",
        "FAILED_TO_START_LISTENING",
        "CLIENT_MESSAGE_TIMEOUT",
    }
)

#: Functions of one request. A model asks for a few; to answer all that fit into a message holds up everybody's audio.
MOST_FUNCTIONS = 1_000

#: Every code of an Error or Warning that Deepgram's documentation names.
CODES = RETRYABLE | {
    "UNPARSABLE_CLIENT_MESSAGE",
    "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
    "SETTINGS_ALREADY_APPLIED",
    "INVALID_SETTINGS",
    "USER_AUDIO_FORMAT",
    "FAILED_TO_THINK",
    "FAILED_TO_SPEAK",
    "NON_EXISTENT_FUNCTION_CALLED",
    "AGENT_ID_NOT_SUPPORTED",
    "INVALID_AGENT_ID",
    "INJECT_AGENT_MESSAGE_DURING_USER_SPEECH",
    "INJECT_AGENT_MESSAGE_DURING_AGENT_SPEECH",
    "PROMPT_TOO_LONG",
    "THINK_REQUEST_FAILED",
    "SPEAK_REQUEST_FAILED",
    "FUNCTION_CALL_FAILED",
    "SLOW_THINK_REQUEST",
    "SLOW_SPEAK_REQUEST",
    "GPT_4O_STREAM_END_ERROR",
    "FORCE_END_TURN_UNSUPPORTED",
    "VOICE_PROMPT_ADDED",
}


def known_code(code: str) -> str:
    """The code, or `other`: what a stranger sends is no label for a metric."""
    return code if code in CODES else "other"


class Role(StrEnum):
    """Who said something."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Welcome:
    """The session exists; Settings may be sent. Deepgram's support asks for the id."""

    request_id: str


@dataclass(frozen=True, slots=True)
class SettingsApplied:
    """Audio may flow."""


@dataclass(frozen=True, slots=True)
class ConversationText:
    """Something was said. The caller's comes once the turn is certain; the agent's may come sentence by sentence."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class UserStartedSpeaking:
    """The caller began to speak, or went on after a pause. Deepgram has stopped thinking and speaking."""


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The caller's turn is over. Not in the specification, but seen live."""


@dataclass(frozen=True, slots=True)
class AgentThinking:
    """The model is at work; not sent on every turn."""


@dataclass(frozen=True, slots=True)
class AgentStartedSpeaking:
    """Speech begins; not sent in every mode, so the first audio is the surer sign."""


@dataclass(frozen=True, slots=True)
class AgentAudioDone:
    """The agent's audio was all *sent*. The caller may hear it seconds later; it may never come after a barge-in."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One function that the model wants called."""

    id: str
    name: str
    arguments: str
    """JSON text, or nothing at all; whoever runs the function checks it."""
    client_side: bool
    """False: Deepgram calls the endpoint itself and wants no answer from us."""
    thought_signature: str = ""
    """Some models want it back unchanged with the answer."""


@dataclass(frozen=True, slots=True)
class FunctionCallRequest:
    """The model wants one or several functions; every client-side one must be answered."""

    functions: tuple[FunctionCall, ...]


@dataclass(frozen=True, slots=True)
class FunctionCallCancelled:
    """The caller went on speaking; these requests are void and must not be answered."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InjectionRefused:
    """An InjectAgentMessage came at a moment when it could not be spoken."""

    message: str


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """How long the service took, by stage, in seconds."""

    seconds: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Error:
    """The session is over."""

    code: str
    description: str

    @property
    def retryable(self) -> bool:
        """Whether a new session may fare better."""
        return self.code in RETRYABLE


@dataclass(frozen=True, slots=True)
class Warning:
    """Something went wrong that the session survives."""

    code: str
    description: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An echo or a confirmation that asks nothing of us (History, PromptUpdated, FunctionCallResponse, …)."""

    type: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message that fits nothing we know; `what` says in a few words why."""

    what: str


Event = (
    Welcome
    | SettingsApplied
    | ConversationText
    | UserStartedSpeaking
    | EndOfTurn
    | AgentThinking
    | AgentStartedSpeaking
    | AgentAudioDone
    | FunctionCallRequest
    | FunctionCallCancelled
    | InjectionRefused
    | LatencyReport
    | Error
    | Warning
    | Acknowledged
    | Unknown
)


def parse(message: str | bytes) -> Event:
    """One text message of the service as a value; never raises, whatever was sent."""
    try:
        fields = fields_of(message)
    except ValueError:
        return Unknown("not a JSON object")
    kind = fields.get("type")
    if not isinstance(kind, str):
        return Unknown("without a type")
    if kind in _ACKNOWLEDGEMENTS:
        return Acknowledged(kind)
    parser = _PARSERS.get(kind)
    if parser is None:
        return Unknown(f"type {kind!a:.40}")
    try:
        return parser(fields)
    except MALFORMED:
        return Unknown(f"a malformed {kind}")


class Behavior(StrEnum):
    """When an injected message is spoken. `QUEUE` is refused while the caller speaks; `INTERRUPT` never is."""

    DEFAULT = "default"
    QUEUE = "queue"
    INTERRUPT = "interrupt"


def keep_alive() -> str:
    """Shows that we are still there while no audio flows."""
    return json.dumps({"type": "KeepAlive"})


def inject(text: str, behavior: Behavior) -> str:
    """Make the agent say something, word for word."""
    return json.dumps({"type": "InjectAgentMessage", "message": text, "behavior": behavior.value})


def ask(text: str) -> str:
    """Make the agent answer something, as if the caller had said it; it comes back as ConversationText."""
    return json.dumps({"type": "InjectUserMessage", "content": text})


def spoken(role: Role, text: str) -> dict[str, Any]:
    """One entry of `agent.context.messages`: words."""
    return {"type": "History", "role": role.value, "content": text}


def called(id: str, name: str, arguments: str, response: str) -> dict[str, Any]:
    """One entry of `agent.context.messages`: a function that was called here, and what came of it."""
    call = {"id": id, "name": name, "client_side": True, "arguments": arguments, "response": response}
    return {"type": "History", "function_calls": [call]}


def function_response(function: FunctionCall, content: str) -> str:
    """The answer to one requested function; `content` is text, by custom JSON."""
    fields = {"type": "FunctionCallResponse", "id": function.id, "name": function.name, "content": content}
    if function.thought_signature:
        fields["thought_signature"] = function.thought_signature
    return json.dumps(fields)


def error_content(text: str) -> str:
    """The content of an answer when a function has no result, in words that the model can pass on."""
    return json.dumps({"error": text}, ensure_ascii=False)


def is_error_content(content: str) -> bool:
    """Whether a content is one of those."""
    return content.startswith('{"error":')


def _function_call(fields: dict[str, Any]) -> FunctionCall:
    arguments = fields.get("arguments", "")
    return FunctionCall(
        id=identifier(fields["id"]),
        name=identifier(fields["name"]),
        arguments=legible(arguments) if isinstance(arguments, str) else json.dumps(arguments),
        client_side=fields.get("client_side", True) is not False,
        thought_signature=text(fields.get("thought_signature") or ""),
    )


def _function_call_request(fields: dict[str, Any]) -> FunctionCallRequest:
    """Each function by itself: one that is malformed must not leave the others without an answer."""
    functions = []
    if len(fields["functions"]) > MOST_FUNCTIONS:
        raise ValueError("more functions than any model asks for")
    for entry in fields["functions"]:
        with contextlib.suppress(*MALFORMED):
            functions.append(_function_call(entry))
    if not functions:
        raise ValueError("no function in it")
    return FunctionCallRequest(tuple(functions))


def _latency_report(fields: dict[str, Any]) -> LatencyReport:
    stages = ((name.removesuffix("_latency"), value) for name, value in fields.items() if name.endswith("_latency"))
    return LatencyReport(tuple((stage, float(value)) for stage, value in stages))


_ACKNOWLEDGEMENTS = frozenset(
    {
        "FunctionCallResponse",
        "History",
        "ListenUpdated",
        "PromptUpdated",
        "SpeakUpdated",
        "ThinkUpdated",
    }
)

_PARSERS: dict[str, Callable[[dict[str, Any]], Event]] = {
    "Welcome": lambda f: Welcome(legible(f.get("request_id", ""))),
    "SettingsApplied": lambda f: SettingsApplied(),
    "ConversationText": lambda f: ConversationText(Role(f["role"]), text(f["content"])),
    "UserStartedSpeaking": lambda f: UserStartedSpeaking(),
    "EndOfTurn": lambda f: EndOfTurn(),
    "AgentThinking": lambda f: AgentThinking(),
    "AgentStartedSpeaking": lambda f: AgentStartedSpeaking(),
    "AgentAudioDone": lambda f: AgentAudioDone(),
    "FunctionCallRequest": _function_call_request,
    "FunctionCallCancelled": lambda f: FunctionCallCancelled(tuple(text(x["id"]) for x in f["functions"])),
    "InjectionRefused": lambda f: InjectionRefused(legible(f.get("message", ""))),
    "LatencyReport": _latency_report,
    "Error": lambda f: Error(legible(f.get("code", "")), legible(f.get("description", ""))),
    "Warning": lambda f: Warning(legible(f.get("code", "")), legible(f.get("description", ""))),
}
