"""What a call does next: its beginning, barge-in, the goodbye, its end."""

import pytest

from dialplan.call.actions import (
    Answer,
    Cancel,
    Clear,
    HangUp,
    Play,
    Remember,
    SendSettings,
    SetMark,
    StartListening,
)
from dialplan.call.conversation import HELD_BYTES, Conversation
from dialplan.call.record import BargedIn, End, Said
from dialplan.wire.deepgram import (
    AgentAudioDone,
    AgentStartedSpeaking,
    AgentThinking,
    EndOfTurn,
    Error,
    Event,
    FunctionCallCancelled,
    LatencyReport,
    Role,
    SettingsApplied,
    Unknown,
    UserStartedSpeaking,
    Warning,
    Welcome,
)
from tests.conversing import FRAME, SECOND, call, dialled, hung_up, request, say, talking, ticks

# The beginning


def test_settings_are_sent_when_the_service_says_welcome() -> None:
    assert dialled().speech_event(Welcome("id"), 0.2) == [SendSettings()]


def test_audio_may_flow_when_the_settings_are_applied() -> None:
    conversation = dialled()
    conversation.speech_event(Welcome("id"), 0.2)

    assert conversation.speech_event(SettingsApplied(), 0.5) == [StartListening()]


def test_a_greeting_that_is_early_waits_for_the_line() -> None:
    conversation = dialled()
    first, second = SECOND, FRAME

    early = [
        conversation.agent_audio(first, 0.6),
        conversation.speech_event(say(Role.ASSISTANT), 0.6),
        conversation.agent_audio(second, 0.7),
        conversation.speech_event(AgentAudioDone(), 0.8),
    ]

    assert early == [False, [Remember(Said(Role.ASSISTANT, "Hello."))], False, []]
    assert conversation.line_opened(1.0) == [Play(first), Play(second), SetMark("0-1")]


def test_a_greeting_half_arrived_goes_on_when_the_line_opens() -> None:
    conversation = dialled()
    conversation.agent_audio(SECOND, 0.6)

    assert conversation.line_opened(1.0) == [Play(SECOND)]
    assert conversation.agent_audio(FRAME, 1.1)
    assert conversation.speech_event(AgentAudioDone(), 1.2) == [SetMark("0-1")]


def test_a_line_without_a_greeting_opens_in_silence() -> None:
    assert dialled().line_opened(1.0) == []


def test_no_more_than_a_minute_of_greeting_is_held() -> None:
    conversation = dialled()

    for _ in range(61):
        conversation.agent_audio(SECOND, 0.6)

    assert conversation.line_opened(1.0) == [Play(SECOND)] * (HELD_BYTES // len(SECOND))


def test_audio_without_a_sound_is_not_played() -> None:
    assert not talking().agent_audio(b"", 2.0)


def test_what_is_said_is_remembered() -> None:
    conversation = talking()

    assert conversation.speech_event(say(Role.USER, "Hi."), 2.0) == [Remember(Said(Role.USER, "Hi."))]
    assert conversation.speech_event(say(Role.ASSISTANT, "Oh."), 3.0) == [Remember(Said(Role.ASSISTANT, "Oh."))]


@pytest.mark.parametrize(
    "event", [Unknown("a type"), Warning("SLOW_THINK_REQUEST", ""), LatencyReport((("total", 1.0),))]
)
def test_what_asks_nothing_of_us_is_left_at_that(event: Event) -> None:
    assert talking().speech_event(event, 2.0) == []


# Barge-in


def test_barge_in_clears_what_twilio_has_buffered() -> None:
    conversation = talking()
    conversation.agent_audio(SECOND, 2.0)

    assert conversation.speech_event(UserStartedSpeaking(), 2.5) == [Clear(), Remember(BargedIn())]


def test_a_caller_who_speaks_into_the_quiet_interrupts_nobody() -> None:
    conversation = talking()
    conversation.agent_audio(SECOND, 2.0)

    assert conversation.speech_event(UserStartedSpeaking(), 3.0) == [Clear()]


def test_a_reply_that_was_heard_to_its_mark_cannot_be_interrupted() -> None:
    conversation = talking()
    conversation.agent_audio(SECOND, 2.0)
    conversation.speech_event(AgentAudioDone(), 2.1)
    conversation.marked("0-1", 2.9)

    assert conversation.speech_event(UserStartedSpeaking(), 2.95) == [Clear()]


def test_a_reply_whose_first_part_was_heard_can_still_be_interrupted() -> None:
    conversation = talking()
    for _ in range(2):
        conversation.agent_audio(SECOND, 2.0)
        conversation.speech_event(AgentAudioDone(), 2.0)
    conversation.marked("0-1", 3.0)

    assert conversation.speech_event(UserStartedSpeaking(), 3.1) == [Clear(), Remember(BargedIn())]


def test_late_frames_of_a_reply_that_was_cut_are_dropped() -> None:
    conversation = talking()
    conversation.agent_audio(SECOND, 2.0)
    conversation.speech_event(UserStartedSpeaking(), 2.5)

    assert not conversation.agent_audio(FRAME, 2.6)
    assert conversation.speech_event(AgentAudioDone(), 2.7) == []
    assert not conversation.agent_audio(FRAME, 5.49)


@pytest.mark.parametrize(
    "event",
    [say(Role.USER), EndOfTurn(), AgentThinking(), AgentStartedSpeaking(), request(call("lookup"))],
    ids=lambda event: type(event).__name__,
)
def test_the_next_reply_passes_once_the_service_shows_that_it_is_one(event: Event) -> None:
    conversation = talking()
    conversation.speech_event(UserStartedSpeaking(), 2.5)
    conversation.speech_event(event, 2.6)

    assert conversation.agent_audio(FRAME, 2.7)
    assert conversation.speech_event(AgentAudioDone(), 2.8) == [SetMark("1-1")]


def test_the_words_of_a_reply_that_was_cut_let_none_of_it_pass() -> None:
    conversation = talking()
    conversation.speech_event(UserStartedSpeaking(), 2.5)
    conversation.speech_event(say(Role.ASSISTANT), 2.6)

    assert not conversation.agent_audio(FRAME, 2.7)


def test_after_three_seconds_audio_passes_in_any_case() -> None:
    conversation = talking()
    conversation.speech_event(UserStartedSpeaking(), 2.5)

    assert conversation.agent_audio(FRAME, 5.5)


def test_a_greeting_that_is_cut_before_the_line_opens_is_never_heard() -> None:
    conversation = dialled()
    conversation.agent_audio(SECOND, 0.6)
    conversation.speech_event(AgentAudioDone(), 0.6)

    interrupted = conversation.speech_event(UserStartedSpeaking(), 0.7)

    assert interrupted == []
    assert conversation.line_opened(1.0) == []


def test_a_cut_greeting_leaves_its_room_to_the_next_one() -> None:
    conversation = dialled()
    for _ in range(60):
        conversation.agent_audio(SECOND, 0.6)
    conversation.speech_event(UserStartedSpeaking(), 0.7)
    conversation.speech_event(say(), 0.8)

    for _ in range(60):
        conversation.agent_audio(SECOND, 0.9)

    assert len(conversation.line_opened(1.0)) == 60


def test_a_mark_carries_the_number_of_clears_before_it() -> None:
    conversation = talking()

    marks = []
    for now in (2.0, 3.0):
        marks += conversation.speech_event(AgentAudioDone(), now)
        conversation.speech_event(UserStartedSpeaking(), now)
        conversation.speech_event(say(), now)
    marks += conversation.speech_event(AgentAudioDone(), 4.0)

    assert marks == [SetMark("0-1"), SetMark("1-2"), SetMark("2-3")]


# The goodbye


def saying_goodbye(now: float = 2.0) -> Conversation:
    """The model has called end_call, and its goodbye of one second was sent, with its mark 0-1."""
    conversation = talking()
    conversation.speech_event(request(call("end_call", "fc_end")), now)
    conversation.agent_audio(SECOND, now)
    conversation.speech_event(AgentAudioDone(), now)
    return conversation


def test_end_call_is_answered_so_that_the_model_says_goodbye() -> None:
    actions = talking().speech_event(request(call("end_call", "fc_end")), 2.0)

    assert [type(action) for action in actions] == [Answer, Remember]
    assert isinstance(actions[0], Answer)
    assert actions[0].request.id == "fc_end"
    assert "goodbye" in actions[0].content


def test_an_utterance_that_is_only_now_complete_is_no_goodbye() -> None:
    conversation = talking()
    conversation.agent_audio(SECOND, 1.0)
    conversation.speech_event(request(call("end_call", "fc_end")), 1.5)

    late = conversation.speech_event(AgentAudioDone(), 1.6)
    heard = conversation.marked("0-1", 2.0)

    assert late == [SetMark("0-1")]
    assert heard == []


def test_the_goodbye_is_waited_for_behind_what_the_caller_has_still_to_hear() -> None:
    conversation = talking()
    conversation.agent_audio(SECOND * 20, 1.0)
    conversation.speech_event(request(call("end_call", "fc_end")), 2.0)

    before, after = conversation.tick(17.5), conversation.tick(36.5)

    assert HangUp(End.AGENT) not in before
    assert after == [HangUp(End.AGENT)]


def test_the_line_closes_when_the_goodbye_was_heard() -> None:
    conversation = saying_goodbye()

    assert conversation.marked("0-1", 3.0) == [HangUp(End.AGENT)]
    assert hung_up(conversation)


def test_a_mark_from_before_the_goodbye_does_not_close_the_line() -> None:
    conversation = talking()
    conversation.agent_audio(SECOND, 1.5)
    conversation.speech_event(AgentAudioDone(), 1.5)
    conversation.speech_event(request(call("end_call")), 2.0)

    assert conversation.marked("0-1", 2.5) == []


def test_a_goodbye_in_two_parts_is_heard_to_its_second_mark() -> None:
    conversation = saying_goodbye()
    conversation.agent_audio(SECOND, 2.5)

    assert conversation.marked("0-1", 3.0) == []
    assert conversation.speech_event(AgentAudioDone(), 3.1) == [SetMark("0-2")]
    assert conversation.marked("0-2", 4.0) == [HangUp(End.AGENT)]


def test_a_goodbye_of_two_marks_is_heard_to_the_newer_one() -> None:
    conversation = saying_goodbye()
    conversation.agent_audio(SECOND, 2.5)
    conversation.speech_event(AgentAudioDone(), 2.6)

    assert conversation.marked("0-1", 3.0) == []
    assert conversation.marked("0-2", 4.0) == [HangUp(End.AGENT)]


def test_nobody_waits_longer_than_fifteen_seconds_for_a_goodbye() -> None:
    conversation = talking()
    conversation.speech_event(request(call("end_call")), 2.0)

    done = ticks(conversation, 100.0)

    assert done[-1] == (17.0, HangUp(End.AGENT))
    assert hung_up(conversation)


def test_interrupting_the_goodbye_takes_back_the_hang_up() -> None:
    conversation = saying_goodbye()
    conversation.speech_event(UserStartedSpeaking(), 2.5)

    assert conversation.marked("0-1", 2.6) == []
    assert HangUp(End.AGENT) not in [action for _, action in ticks(conversation, 25.0)]


def test_the_next_reply_after_an_interrupted_goodbye_does_not_end_the_call() -> None:
    conversation = saying_goodbye()
    conversation.speech_event(UserStartedSpeaking(), 2.5)
    conversation.speech_event(say(words="One more thing."), 3.5)
    conversation.agent_audio(SECOND, 4.0)
    conversation.speech_event(AgentAudioDone(), 4.1)

    assert conversation.marked("1-2", 5.0) == []


def test_a_mark_that_a_clear_flushed_is_no_proof_that_the_goodbye_was_heard() -> None:
    conversation = saying_goodbye()
    conversation.speech_event(UserStartedSpeaking(), 2.5)
    conversation.speech_event(request(call("end_call", "fc_again")), 2.55)

    assert conversation.marked("0-1", 2.6) == []


def test_a_cancelled_end_call_ends_nothing() -> None:
    conversation = saying_goodbye()

    assert conversation.speech_event(FunctionCallCancelled(("fc_end",)), 2.5) == []
    assert conversation.marked("0-1", 3.0) == []
    assert HangUp(End.AGENT) not in [action for _, action in ticks(conversation, 25.0)]


def test_cancelling_something_else_leaves_the_goodbye_as_it_is() -> None:
    conversation = saying_goodbye()
    conversation.speech_event(FunctionCallCancelled(("fc_7", "")), 2.5)

    assert conversation.marked("0-1", 3.0) == [HangUp(End.AGENT)]


def test_what_is_said_while_another_function_runs_is_no_goodbye_yet() -> None:
    conversation = talking()
    conversation.speech_event(request(call("slow", "fc_slow"), call("end_call", "fc_end")), 2.0)
    conversation.tick(3.2)  # "One moment, please."
    conversation.agent_audio(FRAME, 3.3)
    conversation.speech_event(AgentAudioDone(), 3.3)

    filler_heard = conversation.marked("0-1", 3.4)
    conversation.function_finished("fc_slow", "{}", 4.0)
    conversation.agent_audio(SECOND, 5.0)
    conversation.speech_event(AgentAudioDone(), 5.1)

    assert filler_heard == []
    assert conversation.marked("0-2", 6.0) == [HangUp(End.AGENT)]


def test_calling_end_call_again_does_not_wait_any_longer() -> None:
    conversation = talking()
    conversation.speech_event(request(call("end_call", "fc_1")), 2.0)
    conversation.speech_event(request(call("end_call", "fc_2")), 12.0)

    assert ticks(conversation, 100.0)[-1] == (17.0, HangUp(End.AGENT))


# The end


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("INVALID_SETTINGS", End.SPEECH_REFUSED),
        ("UNPARSABLE_CLIENT_MESSAGE", End.SPEECH_REFUSED),
        ("FAILED_TO_THINK", End.SPEECH_REFUSED),
        ("", End.SPEECH_REFUSED),
    ],
)
def test_an_error_of_the_service_ends_the_call(code: str, end: End) -> None:
    conversation = talking()

    assert conversation.speech_event(Error(code, "Oh."), 2.0) == [HangUp(end)]
    assert hung_up(conversation)


def test_a_caller_who_hangs_up_ends_the_call() -> None:
    conversation = talking()

    assert conversation.line_ended(End.CALLER) == [HangUp(End.CALLER)]
    assert hung_up(conversation)


def test_what_still_runs_is_stopped_before_the_line_closes() -> None:
    conversation = talking()
    conversation.speech_event(request(call("lookup", "a"), call("slow", "b")), 2.0)

    assert conversation.speech_refused() == [Cancel("a"), Cancel("b"), HangUp(End.SPEECH_REFUSED)]
    assert conversation.function_finished("a", "{}", 3.0) == []
    assert hung_up(conversation)


def test_a_line_that_never_came_is_not_awaited_longer_than_ten_seconds() -> None:
    conversation = dialled()
    conversation.speech_event(SettingsApplied(), 0.5)

    assert ticks(conversation, 100.0)[-1] == (10.0, HangUp(End.NEVER_CAME))
    assert hung_up(conversation)


def test_a_line_that_opens_too_late_hears_nothing() -> None:
    conversation = dialled()
    conversation.agent_audio(SECOND, 0.6)
    ticks(conversation, 100.0)

    assert conversation.line_opened(101.0) == []
