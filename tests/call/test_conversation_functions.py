"""What a call does with the functions that the model wants called."""

import pytest

from dialplan.call.actions import (
    Answer,
    Cancel,
    Clear,
    Inject,
    Remember,
    Run,
)
from dialplan.call.record import Ran, Stopped
from dialplan.wire.deepgram import (
    Behavior,
    FunctionCallCancelled,
    UserStartedSpeaking,
)
from tests.conversing import LOOKUP, SLOW, call, flowing, kinds, request, talking

# Functions


def test_a_function_runs_and_its_result_is_the_answer() -> None:
    conversation = talking()

    started = conversation.speech_event(request(call("lookup")), 2.0)
    answered = conversation.function_finished("fc_1", '{"a": 1}', 3.0)

    assert started == [Run(call("lookup"), LOOKUP)]
    assert answered == [Answer(call("lookup"), '{"a": 1}')]


def test_every_function_of_a_request_runs_and_is_answered_when_it_is_done() -> None:
    conversation = talking()
    first, second, third = call("lookup", "a"), call("slow", "b"), call("lookup", "c")

    started = conversation.speech_event(request(first, second, third), 2.0)
    answered = [conversation.function_finished(id_, id_, 3.0) for id_ in ("b", "c", "a")]

    assert started == [Run(first, LOOKUP), Run(second, SLOW), Run(third, LOOKUP)]
    assert answered == [[Answer(second, "b")], [Answer(third, "c")], [Answer(first, "a")]]


def test_a_request_is_answered_once_however_often_it_is_made() -> None:
    conversation = talking()
    twice = [
        *conversation.speech_event(request(call("lookup"), call("lookup")), 2.0),
        *conversation.speech_event(request(call("lookup")), 2.1),
        *conversation.function_finished("fc_1", "{}", 3.0),
        *conversation.function_finished("fc_1", "{}", 3.1),
        *conversation.speech_event(request(call("lookup")), 3.2),
    ]

    assert kinds(twice) == [Run, Answer]


def test_a_function_that_deepgram_calls_itself_is_not_answered() -> None:
    conversation = talking()

    assert conversation.speech_event(request(call("remote", client_side=False)), 2.0) == []
    assert conversation.speech_event(request(call("end_call", "fc_2", client_side=False)), 2.0) == []
    assert conversation.speech_event(request(call("nonsense", "fc_3", client_side=False)), 2.0) == []


@pytest.mark.parametrize("name", ["nonsense", "", "remote"])
def test_a_function_that_cannot_be_run_here_is_answered_with_an_error(name: str) -> None:
    actions = talking().speech_event(request(call(name)), 2.0)

    content = f'{{"error": "Unknown function: {name}"}}'
    assert actions == [Answer(call(name), content), Remember(Ran(name, "{}", content, 0.0, "fc_1"))]


def test_a_cancelled_function_is_stopped_and_its_late_result_is_dropped() -> None:
    conversation = talking()
    conversation.speech_event(request(call("lookup", "a"), call("lookup", "b")), 2.0)

    cancelled = conversation.speech_event(FunctionCallCancelled(("a", "unheard of")), 2.5)

    assert cancelled == [Cancel("a"), Remember(Stopped("a"))]
    assert conversation.function_finished("a", "{}", 3.0) == []
    assert conversation.function_finished("b", "{}", 3.0) == [Answer(call("lookup", "b"), "{}")]


def test_cancelling_what_is_finished_or_cancelled_already_does_nothing() -> None:
    conversation = talking()
    conversation.speech_event(request(call("lookup", "a"), call("lookup", "b")), 2.0)
    conversation.function_finished("a", "{}", 2.1)
    conversation.speech_event(FunctionCallCancelled(("b",)), 2.2)

    assert conversation.speech_event(FunctionCallCancelled(("a", "b")), 2.3) == []


def test_a_barge_in_stops_what_is_meant_to_be_stopped_and_lets_the_rest_finish() -> None:
    conversation = talking()
    conversation.speech_event(request(call("lookup", "a"), call("search", "b")), 2.0)

    actions = conversation.speech_event(UserStartedSpeaking(), 2.5)

    assert kinds(actions) == [Clear, Cancel, Answer, Remember]
    assert actions[1] == Cancel("b")
    assert isinstance(actions[2], Answer)
    assert actions[2].request.id == "b"
    assert "error" in actions[2].content
    assert actions[3] == Remember(Stopped("b"))
    assert conversation.function_finished("b", "{}", 3.0) == []
    assert conversation.speech_event(FunctionCallCancelled(("b",)), 3.0) == []
    assert conversation.function_finished("a", "{}", 3.0) == [Answer(call("lookup", "a"), "{}")]


def test_a_function_that_takes_long_gets_its_filler_said_once() -> None:
    conversation = talking()
    conversation.speech_event(request(call("slow")), 2.0)

    done = flowing(conversation, 2.0, 12.0)

    assert [(round(now, 1), action) for now, action in done] == [(3.2, Inject("One moment, please.", Behavior.QUEUE))]


def test_the_filler_is_due_after_exactly_its_time() -> None:
    conversation = talking()
    conversation.heard_at = 3.0
    conversation.speech_event(request(call("slow")), 2.0)

    assert conversation.deadline() == pytest.approx(3.2)


def test_a_function_that_is_quick_or_has_no_filler_says_nothing() -> None:
    conversation = talking()
    conversation.speech_event(request(call("slow", "a"), call("lookup", "b")), 2.0)
    conversation.function_finished("a", "{}", 3.0)

    assert flowing(conversation, 3.0, 12.0) == []


def test_a_cancelled_function_says_nothing() -> None:
    conversation = talking()
    conversation.speech_event(request(call("slow")), 2.0)
    conversation.speech_event(FunctionCallCancelled(("fc_1",)), 3.0)

    assert flowing(conversation, 3.0, 12.0) == []
