"""What a call does when time passes: the quiet, the length of a call, keeping the service awake."""

import pytest

from dialplan.call.actions import (
    Clear,
    HangUp,
    Inject,
    KeepAlive,
    Redial,
    Remember,
    SendSilence,
)
from dialplan.call.conversation import GOODBYE_LIMIT, GOODBYE_QUIET, STILL_THERE, Conversation
from dialplan.call.record import End
from dialplan.config.model import Limits
from dialplan.wire.deepgram import (
    AgentAudioDone,
    Behavior,
    FunctionCallCancelled,
    InjectionRefused,
    SettingsApplied,
    UserStartedSpeaking,
)
from tests.conversing import FRAME, SECOND, call, dialled, flowing, kinds, request, say, talking, ticks

# Quiet


def test_after_a_quiet_time_the_agent_asks_and_after_another_it_says_goodbye() -> None:
    conversation = talking(Limits(silence=10))

    done = flowing(conversation, 1.0, 40.0)

    assert [(round(now), action) for now, action in done] == [
        (11, Inject(STILL_THERE, Behavior.DEFAULT)),
        (21, Inject(GOODBYE_QUIET, Behavior.DEFAULT)),
        (36, HangUp(End.SILENCE)),
    ]


def quiet_goodbye() -> Conversation:
    """Nobody has said a word; the agent has just begun its goodbye, at 21."""
    conversation = talking(Limits(silence=10))
    flowing(conversation, 1.0, 21.1)
    return conversation


def test_the_goodbye_of_the_quiet_is_heard_to_its_mark() -> None:
    conversation = quiet_goodbye()
    conversation.agent_audio(SECOND, 21.5)
    conversation.speech_event(AgentAudioDone(), 21.5)

    assert conversation.marked("0-1", 22.5) == [HangUp(End.SILENCE)]


def test_a_caller_who_is_there_after_all_is_not_hung_up_on() -> None:
    conversation = quiet_goodbye()
    conversation.agent_audio(SECOND, 21.5)
    conversation.speech_event(AgentAudioDone(), 21.5)
    conversation.speech_event(UserStartedSpeaking(), 22.0)

    assert conversation.marked("0-1", 22.1) == []
    assert flowing(conversation, 22.1, 31.9) == []


def test_the_quiet_is_counted_from_the_end_of_the_agents_words() -> None:
    conversation = talking(Limits(silence=10))
    for _ in range(20):
        conversation.agent_audio(SECOND, 2.0)  # to be heard until 22
    conversation.speech_event(AgentAudioDone(), 2.0)

    assert flowing(conversation, 2.0, 31.9) == []
    assert [action for _, action in flowing(conversation, 31.9, 32.1)] == [Inject(STILL_THERE, Behavior.DEFAULT)]


def test_the_quiet_is_counted_from_the_mark_where_the_line_is_slower_than_the_clock() -> None:
    conversation = talking(Limits(silence=10))
    conversation.agent_audio(SECOND, 2.0)
    conversation.speech_event(AgentAudioDone(), 2.0)
    conversation.marked("0-1", 8.0)

    assert flowing(conversation, 8.0, 17.9) == []
    assert len(flowing(conversation, 17.9, 18.1)) == 1


def test_a_caller_who_speaks_begins_the_quiet_anew() -> None:
    conversation = talking(Limits(silence=10))
    conversation.speech_event(UserStartedSpeaking(), 8.0)
    conversation.speech_event(say(), 9.0)

    assert flowing(conversation, 9.0, 18.9) == []
    assert len(flowing(conversation, 18.9, 19.1)) == 1


def test_there_is_no_quiet_while_a_function_runs() -> None:
    conversation = talking(Limits(silence=10))
    conversation.speech_event(request(call("lookup")), 2.0)

    assert flowing(conversation, 2.0, 60.0) == []
    conversation.function_finished("fc_1", "{}", 60.0)
    assert flowing(conversation, 60.0, 69.9) == []
    assert len(flowing(conversation, 69.9, 70.1)) == 1


def test_a_caller_in_the_middle_of_a_long_sentence_is_not_taken_for_quiet() -> None:
    """The service knows who speaks: it refuses the question, and that begins the quiet anew."""
    conversation = talking(Limits(silence=10))
    conversation.speech_event(UserStartedSpeaking(), 1.5)

    asked = flowing(conversation, 1.5, 11.6)
    conversation.speech_event(InjectionRefused("The user is speaking."), 11.7)
    again = flowing(conversation, 11.7, 21.8)

    assert [action for _, action in asked] == [Inject(STILL_THERE, Behavior.DEFAULT)]
    assert [action for _, action in again] == [Inject(STILL_THERE, Behavior.DEFAULT)]


def test_a_goodbye_that_is_refused_ends_nothing() -> None:
    conversation = quiet_goodbye()
    conversation.speech_event(InjectionRefused("The user is speaking."), 21.2)

    done = flowing(conversation, 21.2, 31.3)

    assert [action for _, action in done] == [Inject(STILL_THERE, Behavior.DEFAULT)]


def test_words_that_come_late_answer_the_question_too() -> None:
    conversation = talking(Limits(silence=10))
    flowing(conversation, 1.0, 11.1)
    conversation.speech_event(say(words="Yes, I am."), 12.0)

    done = flowing(conversation, 12.0, 22.1)

    assert [action for _, action in done] == [Inject(STILL_THERE, Behavior.DEFAULT)]


def test_a_question_that_is_answered_is_asked_again_before_the_goodbye() -> None:
    conversation = talking(Limits(silence=10))
    flowing(conversation, 1.0, 11.1)
    conversation.speech_event(UserStartedSpeaking(), 12.0)
    conversation.speech_event(say(), 13.0)

    done = flowing(conversation, 13.0, 23.1)

    assert [action for _, action in done] == [Inject(STILL_THERE, Behavior.DEFAULT)]


def test_a_sound_after_the_question_is_a_sign_of_life() -> None:
    conversation = talking(Limits(silence=10))
    flowing(conversation, 1.0, 11.1)
    conversation.speech_event(UserStartedSpeaking(), 12.0)

    done = flowing(conversation, 12.0, 22.1)

    assert [action for _, action in done] == [Inject(STILL_THERE, Behavior.DEFAULT)]


def test_nothing_is_asked_of_a_service_that_does_not_listen_yet() -> None:
    conversation = dialled(Limits(silence=2, minutes=0.05))
    conversation.line_opened(0.5)

    assert {type(action) for _, action in flowing(conversation, 0.5, 6.9)} == {Remember, Redial}


def test_the_quiet_begins_when_the_service_can_speak() -> None:
    conversation = dialled(Limits(silence=2))
    conversation.line_opened(0.5)
    conversation.speech_event(SettingsApplied(), 6.0)

    assert flowing(conversation, 6.0, 7.9) == []
    assert len(flowing(conversation, 7.9, 8.1)) == 1


# The length of a call


def limit_reached() -> Conversation:
    """The call has been a minute long, at 61, and the goodbye was sent with its mark 1-1."""
    conversation = talking(Limits(minutes=1, silence=1000))
    done = flowing(conversation, 1.0, 61.1)
    assert [action for _, action in done] == [Clear(), Inject(GOODBYE_LIMIT, Behavior.INTERRUPT)]
    conversation.agent_audio(SECOND, 61.5)
    conversation.speech_event(AgentAudioDone(), 61.5)
    return conversation


def test_a_call_that_is_as_long_as_it_may_be_ends_after_a_goodbye() -> None:
    conversation = limit_reached()

    assert conversation.marked("1-1", 62.5) == [HangUp(End.LIMIT)]


def test_the_time_limit_cannot_be_interrupted_away() -> None:
    conversation = limit_reached()
    conversation.speech_event(UserStartedSpeaking(), 61.8)
    conversation.speech_event(say(words="But I"), 62.5)
    conversation.speech_event(InjectionRefused(""), 62.6)

    flushed = conversation.marked("1-1", 62.7)
    done = flowing(conversation, 62.7, 80.0)

    assert flushed == []
    assert [(round(now), action) for now, action in done] == [(76, HangUp(End.LIMIT))]


def test_cancelling_a_function_does_not_take_back_the_time_limit() -> None:
    conversation = limit_reached()
    conversation.speech_event(FunctionCallCancelled(("", "fc_1")), 61.8)

    assert conversation.marked("1-1", 62.5) == [HangUp(End.LIMIT)]


def test_the_goodbye_of_the_time_limit_is_heard_right_after_a_barge_in() -> None:
    conversation = talking(Limits(minutes=1, silence=1000))
    flowing(conversation, 1.0, 60.0)
    conversation.speech_event(UserStartedSpeaking(), 60.5)
    flowing(conversation, 60.5, 61.1)

    assert conversation.agent_audio(FRAME, 61.2)


def test_an_end_call_that_was_taken_back_does_not_take_back_the_time_limit() -> None:
    conversation = talking(Limits(minutes=1, silence=1000))
    flowing(conversation, 1.0, 60.0)
    conversation.speech_event(request(call("end_call")), 60.5)

    pending = flowing(conversation, 60.5, 61.5)
    conversation.speech_event(UserStartedSpeaking(), 61.5)
    done = flowing(conversation, 61.5, 61.6)

    assert pending == []
    assert [action for _, action in done] == [Clear(), Inject(GOODBYE_LIMIT, Behavior.INTERRUPT)]


# Keeping the service awake


def test_neither_keep_alive_nor_silence_is_sent_while_the_caller_is_heard() -> None:
    assert flowing(talking(), 1.0, 29.0) == []


def test_a_stalled_line_is_replaced_by_silence_after_a_second() -> None:
    conversation = talking()
    conversation.heard_at = 2.0

    done = ticks(conversation, 3.49)

    times = [now for now, _ in done]
    assert kinds(action for _, action in done) == [SendSilence] * len(done)
    assert times == [pytest.approx(3.0 + 0.08 * n) for n in range(len(times))]
    assert {action.length for _, action in done if isinstance(action, SendSilence)} == {640}
    assert len(done) == 7


def test_a_line_has_a_second_to_bring_its_first_frame() -> None:
    conversation = dialled()
    conversation.speech_event(SettingsApplied(), 0.5)
    conversation.line_opened(4.0)

    assert [now for now, _ in ticks(conversation, 5.05)] == [5.0]


def test_silence_stops_when_the_caller_is_heard_again() -> None:
    conversation = talking()
    ticks(conversation, 3.0)
    conversation.heard_at = 3.0

    assert ticks(conversation, 3.99) == []


def test_the_service_is_told_every_five_seconds_that_we_are_there() -> None:
    conversation = talking()
    conversation.heard_at = 2.0

    done = ticks(conversation, 20.0)

    assert [now for now, action in done if action == KeepAlive()] == [7.0, 12.0, 17.0]


def test_the_service_is_kept_awake_while_the_line_is_awaited() -> None:
    conversation = dialled()
    conversation.speech_event(SettingsApplied(), 0.5)

    assert ticks(conversation, 9.9) == [(5.5, KeepAlive())]


def test_nothing_is_sent_to_a_service_that_does_not_listen_yet() -> None:
    conversation = dialled()
    conversation.line_opened(0.1)

    assert {type(action) for _, action in ticks(conversation, 6.9)} == {Remember, Redial}
