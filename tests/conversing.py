"""A conversation for tests, with a clock of plain numbers: the speech service is dialled at 0, the line opens at 1."""

from collections.abc import Iterable

from jsonschema import Draft7Validator

from dialplan.call.actions import Action
from dialplan.call.conversation import Conversation
from dialplan.call.record import End
from dialplan.call.timing import Timing
from dialplan.config.jinja.templates import Template
from dialplan.config.model import Builtin, Endpoint, Function, Http, Limits, OnInterrupt
from dialplan.wire.deepgram import (
    AgentAudioDone,
    ConversationText,
    Event,
    FunctionCall,
    FunctionCallRequest,
    Role,
    SettingsApplied,
    UserStartedSpeaking,
    Welcome,
)

SECOND = b"\x7f" * 8000
FRAME = b"\x7f" * 160
EXAMPLE = Http("GET", Template("https://example.com"), {}, {}, None)


def function(
    name: str,
    runs: Http | Endpoint | Builtin = EXAMPLE,
    filler: str = "",
    on_interrupt: OnInterrupt = OnInterrupt.FINISH,
) -> Function:
    return Function(name, "", {}, runs, Draft7Validator({}), filler=filler, on_interrupt=on_interrupt)


LOOKUP = function("lookup")
SLOW = function("slow", filler="One moment, please.")
SEARCH = function("search", on_interrupt=OnInterrupt.CANCEL)
END_CALL = function("end_call", Builtin.END_CALL)
REMOTE = function("remote", Endpoint("https://example.com"))
ORDER = function("order", Http("POST", Template("https://example.com"), {}, {}, None))
DEFAULT = Limits()
FUNCTIONS = {f.name: f for f in (LOOKUP, SLOW, SEARCH, END_CALL, REMOTE, ORDER)}


def dialled(limits: Limits = DEFAULT) -> Conversation:
    return Conversation(FUNCTIONS, limits, 0.0, Timing())


def talking(limits: Limits = DEFAULT) -> Conversation:
    """A call in the middle: the line open since 1, the service listening, nothing said yet."""
    conversation = dialled(limits)
    conversation.speech_event(Welcome("id"), 0.2)
    conversation.speech_event(SettingsApplied(), 0.5)
    conversation.line_opened(1.0)
    return conversation


def call(name: str, id_: str = "fc_1", client_side: bool = True) -> FunctionCall:
    return FunctionCall(id_, name, "{}", client_side)


def request(*calls: FunctionCall) -> FunctionCallRequest:
    return FunctionCallRequest(calls)


def say(role: Role = Role.USER, words: str = "Hello.") -> ConversationText:
    return ConversationText(role, words)


def ticks(conversation: Conversation, until: float) -> list[tuple[float, Action]]:
    """Let time pass as the session does, from deadline to deadline; what happened, and when."""
    done = []
    while (now := conversation.deadline()) <= until:
        done += [(now, action) for action in conversation.tick(now)]
    return done


def flowing(conversation: Conversation, since: float, until: float) -> list[tuple[float, Action]]:
    """Let time pass while the caller's side sends its frames, fifty a second."""
    done, now = [], since
    while now < until:
        now += 0.02
        conversation.heard_at = now
        done += [(now, action) for action in conversation.tick(now)]
    return done


def kinds(actions: Iterable[Action]) -> list[type[Action]]:
    return [type(action) for action in actions]


def hung_up(conversation: Conversation, now: float = 10_000.0) -> bool:
    """Over, and nothing can come of it any more."""
    events: list[Event] = [Welcome("id"), UserStartedSpeaking(), AgentAudioDone(), request(call("lookup", "fc_99"))]
    silent = not any(conversation.speech_event(event, now) for event in events)
    silent = silent and not conversation.agent_audio(FRAME, now) and not conversation.tick(now)
    silent = silent and not conversation.line_opened(now) and not conversation.line_ended(End.CALLER)
    silent = silent and not conversation.speech_lost(now) and not conversation.marked("0-1", now)
    silent = silent and not conversation.function_finished("fc_1", "{}", now)
    return silent and conversation.deadline() == float("inf")
