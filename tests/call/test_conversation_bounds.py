"""One call takes so much memory and no more, whatever the speech service sends, how often, and when."""

from collections.abc import Callable, Iterable

import pytest

from dialplan.call.actions import Answer, Run
from dialplan.call.conversation import MOST_AT_ONCE, MOST_IDS, Conversation
from dialplan.call.results import BUSY
from dialplan.wire.deepgram import (
    AgentAudioDone,
    ConversationText,
    Event,
    FunctionCall,
    FunctionCallCancelled,
    FunctionCallRequest,
    InjectionRefused,
    Role,
    SettingsApplied,
    UserStartedSpeaking,
    Welcome,
)
from tests.conversing import FRAME, call, dialled, request, talking
from tests.weights import weight

#: Events, and bytes that a conversation may weigh after them.
MANY, HEAVY = 20_000, 1_000_000


def called(name: str, n: int) -> FunctionCallRequest:
    return FunctionCallRequest((FunctionCall(f"{n:0100}", name, "{}", True),))


#: What comes again and again: events, or audio.
FLOODS: dict[str, Callable[[int], Iterable[Event | bytes]]] = {
    "audio": lambda n: [FRAME],
    "audio byte by byte": lambda n: [b"\x7f"],
    "ends of utterances": lambda n: [AgentAudioDone()],
    "utterances of a byte": lambda n: [b"\x7f", AgentAudioDone()],
    "words": lambda n: [ConversationText(Role.USER, "x" * 500)],
    "no words": lambda n: [ConversationText(Role.ASSISTANT, "")],
    "interruptions": lambda n: [UserStartedSpeaking()],
    "welcomes": lambda n: [Welcome(str(n)), SettingsApplied()],
    "refusals": lambda n: [InjectionRefused("x" * 500)],
    "unknown functions": lambda n: [called("x" * 100, n)],
    "functions": lambda n: [called("lookup", n)],
    "functions that are cancelled": lambda n: [called("lookup", n), FunctionCallCancelled((f"{n:0100}",))],
    "functions that are interrupted": lambda n: [called("search", n), UserStartedSpeaking()],
    "goodbyes": lambda n: [called("end_call", n)],
}


@pytest.mark.parametrize("begun", [dialled, talking], ids=["before the line opens", "in the middle"])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_leaves_a_conversation_no_heavier(
    begun: Callable[[], Conversation], flood: Callable[[int], Iterable[Event | bytes]]
) -> None:
    conversation = begun()

    for n in range(MANY):
        for event in flood(n):
            if isinstance(event, bytes):
                conversation.agent_audio(event, 2.0)
            else:
                conversation.speech_event(event, 2.0)

    assert weight(conversation) < HEAVY


def test_one_call_has_so_many_functions_at_work_and_hears_of_the_others_that_it_is_too_much() -> None:
    conversation = talking()

    first = conversation.speech_event(request(*(call("lookup", f"fc_{n}") for n in range(MOST_AT_ONCE + 5))), 2.0)
    runs, answers = ([a for a in first if isinstance(a, kind)] for kind in (Run, Answer))
    conversation.function_finished("fc_0", "{}", 3.0)
    again = conversation.speech_event(request(call("lookup", "next")), 4.0)

    assert len(runs) == MOST_AT_ONCE
    assert [a.request.id for a in answers] == [f"fc_{n}" for n in range(MOST_AT_ONCE, MOST_AT_ONCE + 5)]
    assert all(isinstance(a, Answer) and BUSY in a.content for a in answers)
    assert any(isinstance(a, Run) for a in again)


def test_a_request_is_remembered_while_it_is_at_work_and_for_a_long_time_after() -> None:
    conversation = talking()
    conversation.speech_event(request(call("lookup", "slow")), 2.0)

    for n in range(MOST_IDS + 5):
        conversation.speech_event(request(call("nonsense", f"fc_{n}")), 2.0)

    assert conversation.speech_event(request(call("lookup", "slow"), call("lookup", "fc_99")), 3.0) == []
