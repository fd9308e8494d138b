"""What a call does when the speech service is lost: it is dialled again, told what was said, and goes on."""

from dataclasses import replace

import pytest

from dialplan.call.actions import (
    Action,
    Answer,
    Ask,
    Clear,
    HangUp,
    Inject,
    Opening,
    Play,
    Redial,
    Remember,
    Run,
    SendSettings,
    SetMark,
    StartListening,
)
from dialplan.call.conversation import FINISHED, GO_ON, GOODBYE_LIMIT, STILL_AT_WORK, UNKNOWN, Conversation
from dialplan.call.history import Called, Recollection, Spoken
from dialplan.call.record import End, Lost, Ran, Recovered
from dialplan.config.model import Limits
from dialplan.wire.deepgram import (
    AgentAudioDone,
    Behavior,
    Error,
    FunctionCall,
    FunctionCallCancelled,
    Role,
    SettingsApplied,
    UserStartedSpeaking,
    Welcome,
)
from tests.conversing import FRAME, LOOKUP, SECOND, call, dialled, hung_up, kinds, request, say, talking, ticks


def greeted() -> Conversation:
    """The agent has said its greeting, and the caller has heard it."""
    conversation = talking()
    speak(conversation, "Hello, this is the shop.", 1.0)
    return conversation


def speak(conversation: Conversation, words: str, now: float) -> None:
    """A whole utterance of the agent's."""
    conversation.speech_event(say(Role.ASSISTANT, words), now)
    conversation.agent_audio(FRAME, now)
    conversation.speech_event(AgentAudioDone(), now)


def again(conversation: Conversation, now: float) -> tuple[SendSettings, list[Action]]:
    """The next session opens; its Settings, and what happens when they are applied."""
    (settings,) = conversation.speech_event(Welcome("id"), now)
    assert isinstance(settings, SendSettings)
    return settings, conversation.speech_event(SettingsApplied(), now)


# It is dialled again.


@pytest.mark.parametrize("code", ["SERVER_GOING_AWAY", "INTERNAL_SERVER_ERROR", "CLIENT_MESSAGE_TIMEOUT"])
def test_an_error_that_passes_is_a_reason_to_dial_at_once(code: str) -> None:
    assert greeted().speech_event(Error(code, "Oh."), 5.0) == [Redial(0.0)]


def test_the_next_session_knows_what_was_said_and_greets_nobody() -> None:
    conversation = greeted()
    conversation.speech_event(say(Role.USER, "Good day."), 3.0)
    speak(conversation, "How can I help?", 4.0)

    conversation.speech_lost(5.0)
    settings, then = again(conversation, 5.3)

    said = (Spoken(Role.ASSISTANT, "Hello, this is the shop."), Spoken(Role.USER, "Good day."))
    assert settings == SendSettings(Opening.NONE, (*said, Spoken(Role.ASSISTANT, "How can I help?")))
    assert then == [Remember(Recovered(pytest.approx(0.3))), StartListening()]  # type: ignore[arg-type]


def test_a_caller_who_was_not_answered_yet_is_answered_by_the_next_session() -> None:
    conversation = greeted()
    for words in ("How much", "is it?"):
        conversation.speech_event(say(Role.USER, words), 3.0)

    conversation.speech_lost(3.5)
    settings, then = again(conversation, 3.9)

    assert settings.past == (Spoken(Role.ASSISTANT, "Hello, this is the shop."),)
    assert then[-1] == Ask("How much is it?")
    # The service repeats what it was asked; nobody has said that again.
    assert conversation.speech_event(say(Role.USER, "How much is it?"), 4.0) == []
    assert kinds(conversation.speech_event(say(Role.USER, "How much is it?"), 5.0)) == [Remember]


def test_a_sentence_that_broke_off_is_taken_up_again() -> None:
    conversation = greeted()
    conversation.speech_event(say(Role.ASSISTANT, "It costs"), 3.0)
    conversation.agent_audio(SECOND, 3.0)

    conversation.speech_lost(3.5)

    assert again(conversation, 3.9)[1][-1] == Ask(GO_ON)


def test_a_greeting_that_broke_off_is_heard_once_and_whole() -> None:
    conversation = talking()
    conversation.agent_audio(SECOND, 1.5)

    assert conversation.speech_lost(1.6) == [Redial(0.0), Clear()]
    assert again(conversation, 2.0)[0] == SendSettings(Opening.GREETING, ())


def test_a_service_that_is_lost_before_the_line_opens_greets_once() -> None:
    conversation = dialled()
    conversation.speech_event(Welcome("id"), 0.1)
    conversation.speech_event(SettingsApplied(), 0.2)
    conversation.agent_audio(SECOND, 0.3)

    assert conversation.speech_lost(0.4) == [Redial(0.0)]
    again(conversation, 0.6)
    conversation.agent_audio(FRAME, 0.7)
    assert len(conversation.line_opened(1.0)) == 1


def test_a_greeting_is_told_before_it_is_heard_and_begins_anew_all_the_same() -> None:
    conversation = talking()
    conversation.speech_event(say(Role.ASSISTANT, "Hello, this is the shop."), 1.4)
    conversation.agent_audio(SECOND, 1.5)

    assert conversation.speech_lost(1.6) == [Redial(0.0), Clear()]
    assert again(conversation, 2.0)[0] == SendSettings(Opening.GREETING, ())


def test_a_greeting_that_was_told_before_the_line_opens_greets_once_and_whole() -> None:
    conversation = dialled()
    conversation.speech_event(Welcome("id"), 0.1)
    conversation.speech_event(SettingsApplied(), 0.2)
    conversation.speech_event(say(Role.ASSISTANT, "Hello, this is the shop."), 0.2)
    conversation.agent_audio(SECOND, 0.3)

    assert conversation.speech_lost(0.4) == [Redial(0.0)]
    assert again(conversation, 0.6)[0] == SendSettings(Opening.GREETING, ())
    speak(conversation, "Hello, this is the shop.", 0.7)
    assert kinds(conversation.line_opened(1.0)) == [Play, SetMark]
    assert conversation.speech_lost(1.1) == [Redial(0.0)]
    assert again(conversation, 1.4)[0] == SendSettings(
        Opening.NONE, (Spoken(Role.ASSISTANT, "Hello, this is the shop."),)
    )


def test_an_answer_of_which_nothing_was_heard_is_given_again() -> None:
    """The words come before the audio: who is lost in between has said nothing."""
    conversation = greeted()
    conversation.speech_event(say(Role.USER, "How much is it?"), 3.0)
    conversation.speech_event(say(Role.ASSISTANT, "It costs a dollar."), 3.2)

    conversation.speech_lost(3.3)
    settings, then = again(conversation, 3.6)

    assert settings.past == (Spoken(Role.ASSISTANT, "Hello, this is the shop."),)
    assert then[-1] == Ask("How much is it?")


def test_a_sentence_that_broke_off_is_taken_up_by_whichever_session_comes() -> None:
    conversation = greeted()
    conversation.speech_event(say(Role.ASSISTANT, "It costs"), 3.0)
    conversation.agent_audio(SECOND, 3.0)

    conversation.speech_lost(3.5)
    conversation.speech_lost(3.6)  # Refused.
    assert again(conversation, 4.3)[1][-1] == Ask(GO_ON)
    conversation.speech_lost(4.4)
    assert again(conversation, 4.8)[1][-1] == Ask(GO_ON)
    speak(conversation, "a dollar.", 5.0)
    conversation.speech_lost(70.0)
    assert again(conversation, 70.3)[1][-1] == StartListening()


def test_a_caller_who_interrupted_the_greeting_is_not_greeted_again() -> None:
    conversation = talking()
    conversation.speech_event(say(Role.ASSISTANT, "Hello, this is the shop."), 1.4)
    conversation.agent_audio(SECOND, 1.5)
    conversation.speech_event(UserStartedSpeaking(), 1.7)

    conversation.speech_lost(1.8)

    assert again(conversation, 2.1)[0].opening is Opening.NONE


def test_a_goodbye_that_broke_off_with_the_service_is_said_by_the_next() -> None:
    conversation = talking(Limits(minutes=1))
    goodbye = Inject(GOODBYE_LIMIT, Behavior.INTERRUPT)
    assert goodbye in conversation.tick(61.0)

    conversation.speech_lost(61.2)
    again(conversation, 61.5)

    assert goodbye in conversation.tick(conversation.deadline())
    assert conversation.deadline() < 70.0


# How often.


def test_it_is_dialled_thrice_in_a_minute_and_not_in_one_breath() -> None:
    conversation = greeted()

    pauses = [conversation.speech_lost(now) for now in (10.0, 10.1, 10.7)]

    assert pauses == [[Redial(0.0)], [Redial(0.5)], [Redial(1.0)]]
    assert conversation.speech_lost(12.0) == [HangUp(End.SPEECH_LOST)]
    assert hung_up(conversation)


def test_after_a_minute_it_may_be_lost_again() -> None:
    conversation = greeted()
    for now in (10.0, 30.0, 50.0):
        assert conversation.speech_lost(now) == [Redial(0.0)]
        again(conversation, now + 0.2)

    assert conversation.speech_lost(70.1) == [Redial(0.0)]


def test_a_service_that_does_not_get_ready_is_given_up_after_seven_seconds() -> None:
    conversation = dialled()
    conversation.line_opened(1.0)

    late = Remember(Lost("late"))
    assert ticks(conversation, 100.0) == [
        *[(3.0, late), (3.0, Redial(0.0))],
        *[(6.0, late), (6.0, Redial(0.5))],
        *[(7.0, late), (7.0, HangUp(End.SPEECH_LOST))],
    ]
    assert hung_up(conversation)


def test_a_service_that_says_nothing_to_a_caller_who_has_spoken_hangs() -> None:
    conversation = greeted()
    conversation.speech_event(UserStartedSpeaking(), 5.0)
    conversation.speech_event(say(Role.USER, "How much is it?"), 6.0)

    assert [(now, a) for now, a in ticks(conversation, 30.0) if kinds([a])[0] in (Remember, Redial)] == [
        (26.0, Remember(Lost("hanging"))),
        (26.0, Redial(0.0)),
        (29.0, Remember(Lost("late"))),
        (29.0, Redial(0.5)),
    ]


def test_a_caller_who_speaks_for_long_is_listened_to_and_a_cough_is_no_question() -> None:
    conversation = greeted()
    conversation.speech_event(UserStartedSpeaking(), 5.0)

    happened = [(now, action) for now, action in ticks(conversation, 70.0) if isinstance(action, Redial)]

    assert happened[0][0] == 65.0


def test_a_service_that_answers_does_not_hang_however_long_it_is_quiet_then() -> None:
    conversation = greeted()
    conversation.speech_event(say(Role.USER, "How much is it?"), 6.0)
    speak(conversation, "A dollar.", 10.0)

    assert Redial not in kinds([action for _, action in ticks(conversation, 60.0)])


# Functions.


def test_a_function_at_work_goes_on_and_the_next_session_is_told_of_its_result() -> None:
    conversation = greeted()
    conversation.speech_event(say(Role.USER, "Look it up."), 2.0)
    assert conversation.speech_event(request(call("lookup", "a")), 2.1) == [Run(call("lookup", "a"), LOOKUP)]

    conversation.speech_lost(2.5)
    settings, then = again(conversation, 2.9)

    assert settings.past[-2:] == (Spoken(Role.USER, "Look it up."), Called("a", "lookup", "{}", STILL_AT_WORK))
    assert kinds(then) == [Remember, StartListening]
    told = FINISHED.format(name="lookup", content='{"price": 1}')
    assert conversation.function_finished("a", '{"price": 1}', 3.0) == [Ask(told)]


def test_a_result_that_comes_before_the_next_session_is_in_its_history() -> None:
    conversation = greeted()
    conversation.speech_event(say(Role.USER, "Look it up."), 2.0)
    conversation.speech_event(request(call("lookup", "a")), 2.1)
    conversation.speech_lost(2.5)

    assert conversation.function_finished("a", "1", 2.6) == []
    settings, then = again(conversation, 2.9)

    assert settings.past[-1] == Called("a", "lookup", "{}", "1")
    assert then[-1] == Ask(GO_ON)


def test_a_result_that_comes_while_the_settings_are_on_their_way_is_told_afterwards() -> None:
    conversation = greeted()
    conversation.speech_event(request(call("lookup", "a")), 2.1)
    conversation.speech_lost(2.5)
    conversation.speech_event(Welcome("id"), 2.8)

    assert conversation.function_finished("a", "1", 2.9) == []
    assert conversation.speech_event(SettingsApplied(), 3.0)[-1] == Ask(FINISHED.format(name="lookup", content="1"))


def test_a_barge_in_answers_nobody_who_does_not_wait() -> None:
    conversation = greeted()
    conversation.speech_event(request(call("search", "a")), 2.1)
    conversation.speech_lost(2.5)
    again(conversation, 2.9)

    assert Answer not in kinds(conversation.speech_event(UserStartedSpeaking(), 3.0))
    assert conversation.function_finished("a", "1", 3.1) == []


def test_a_result_is_answered_as_usual_where_nothing_was_lost_since() -> None:
    conversation = greeted()
    conversation.speech_lost(2.5)
    again(conversation, 2.9)
    conversation.speech_event(request(call("lookup", "b")), 3.0)

    assert conversation.function_finished("b", "1", 3.1) == [Answer(call("lookup", "b"), "1")]


def test_a_cancelled_function_leaves_no_trace_in_the_next_session() -> None:
    conversation = greeted()
    conversation.speech_event(request(call("lookup", "a")), 2.1)
    conversation.speech_event(FunctionCallCancelled(("a",)), 2.2)
    conversation.speech_lost(2.5)

    assert again(conversation, 2.9)[0].past == (Spoken(Role.ASSISTANT, "Hello, this is the shop."),)


# The end.


def test_a_goodbye_that_is_all_with_twilio_needs_no_speech_service() -> None:
    conversation = greeted()
    conversation.speech_event(request(call("end_call", "e")), 2.0)
    conversation.agent_audio(FRAME, 2.5)
    conversation.speech_event(AgentAudioDone(), 2.6)

    assert conversation.speech_lost(2.7) == []
    assert conversation.speech_refused() == []
    assert conversation.marked("0-2", 3.0) == [HangUp(End.AGENT)]


# Another process has led the call so far.

PAST = (Spoken(Role.USER, "I need aspirin."), Called("a", "lookup", "{}", "1"))


def test_a_call_that_is_carried_on_says_so_first_and_then_goes_on() -> None:
    conversation = dialled()
    assert conversation.carry_on(Recollection("a", 1, None, past=PAST)) == []

    settings, then = again(conversation, 0.3)

    assert settings == SendSettings(Opening.RESUMED, PAST)
    assert then == [StartListening()]
    conversation.line_opened(1.0)
    speak(conversation, "Sorry. Where were we?", 1.5)
    conversation.speech_lost(9.0)
    settings, _ = again(conversation, 9.3)
    assert settings == SendSettings(Opening.NONE, (*PAST, Spoken(Role.ASSISTANT, "Sorry. Where were we?")))


def test_a_call_that_was_moved_goes_on_without_a_word() -> None:
    conversation = dialled()
    past = (Spoken(Role.ASSISTANT, "Good."),)
    conversation.carry_on(Recollection("a", 1, End.MOVED, past=past))

    assert again(conversation, 0.3) == (SendSettings(Opening.NONE, past), [StartListening()])


def test_a_caller_who_has_heard_nothing_yet_is_greeted() -> None:
    conversation = dialled()
    conversation.carry_on(Recollection("a", 1, None, heard=0, past=PAST))

    assert again(conversation, 0.3)[0] == SendSettings(Opening.GREETING, ())


def test_what_may_be_done_twice_is_done_again_and_of_anything_else_nobody_knows() -> None:
    """`lookup` is a GET; `order` is a POST."""
    begun = (Called("a", "lookup", '{"x": 1}', ""), Called("b", "order", "{}", ""), Called("c", "gone", "{}", ""))
    conversation = dialled()

    run = conversation.carry_on(Recollection("a", 1, None, past=PAST, unfinished=begun))

    assert run == [
        Run(FunctionCall("a", "lookup", '{"x": 1}', True), LOOKUP),
        Remember(Ran("order", "{}", UNKNOWN, 0.0, "b")),
        Remember(Ran("gone", "{}", UNKNOWN, 0.0, "c")),
    ]
    settings, _ = again(conversation, 0.3)
    unknown = tuple(replace(one, response=UNKNOWN) for one in begun[1:])
    assert settings.past == (*PAST, *unknown, replace(begun[0], response=STILL_AT_WORK))
    assert conversation.function_finished("a", "7", 0.5) == [Ask(FINISHED.format(name="lookup", content="7"))]


def test_what_is_known_here_can_be_told_to_another_process() -> None:
    conversation = greeted()
    conversation.speech_event(say(Role.USER, "Look it up."), 2.0)
    conversation.speech_event(request(call("lookup", "a")), 2.1)

    past = (Spoken(Role.ASSISTANT, "Hello, this is the shop."), Spoken(Role.USER, "Look it up."))
    assert conversation.recollection("shop", 2, End.LINE_LOST, broken=1) == Recollection(
        "shop", 2, End.LINE_LOST, 2, past, (Called("a", "lookup", "{}", ""),), 1
    )


def test_a_moment_is_quiet_when_nobody_speaks_and_nothing_is_at_work() -> None:
    conversation = talking()
    assert conversation.is_quiet(1.5)
    conversation.agent_audio(SECOND, 2.0)
    assert not conversation.is_quiet(2.5)
    assert conversation.is_quiet(3.1)
    conversation.speech_event(say(Role.USER, "And?"), 4.0)
    assert not conversation.is_quiet(5.0)
    conversation.speech_event(request(call("lookup", "a")), 5.1)
    assert not conversation.is_quiet(6.0)
    conversation.function_finished("a", "1", 6.1)
    conversation.agent_audio(FRAME, 6.2)
    assert conversation.is_quiet(7.0)
    conversation.speech_lost(7.1)
    assert not conversation.is_quiet(7.2)
