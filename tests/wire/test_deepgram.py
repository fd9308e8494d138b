"""Deepgram's messages: its documented events as values, and our commands held against Deepgram's own package."""

import json
import typing
from typing import Any

import pytest
from deepgram.agent.v1.types import (
    AgentV1InjectAgentMessage,
    AgentV1KeepAlive,
    AgentV1SendFunctionCallResponse,
)
from hypothesis import given
from hypothesis import strategies as st

from dialplan.wire import deepgram
from dialplan.wire.deepgram import (
    Acknowledged,
    AgentAudioDone,
    AgentStartedSpeaking,
    AgentThinking,
    Behavior,
    ConversationText,
    EndOfTurn,
    Error,
    FunctionCall,
    FunctionCallCancelled,
    FunctionCallRequest,
    InjectionRefused,
    LatencyReport,
    Role,
    SettingsApplied,
    Unknown,
    UserStartedSpeaking,
    Warning,
    Welcome,
)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            '{"type":"Welcome","request_id":"fc553ec9-5874-49ca-a47c-b670d525a4b1"}',
            Welcome("fc553ec9-5874-49ca-a47c-b670d525a4b1"),
        ),
        ('{"type":"SettingsApplied"}', SettingsApplied()),
        (
            '{"type":"ConversationText","role":"user","content":"What time do you open?"}',
            ConversationText(Role.USER, "What time do you open?"),
        ),
        (
            '{"type":"ConversationText","role":"assistant","content":"At nine.","conversational_behavior":"default"}',
            ConversationText(Role.ASSISTANT, "At nine."),
        ),
        (
            '{"type":"ConversationText","role":"user","content":"","languages":["en"],"languages_hinted":[]}',
            ConversationText(Role.USER, ""),
        ),
        ('{"type":"UserStartedSpeaking"}', UserStartedSpeaking()),
        ('{"type":"EndOfTurn","trigger":"manual"}', EndOfTurn()),
        ('{"type":"AgentThinking","content":"Hm."}', AgentThinking()),
        (
            '{"type":"FunctionCallRequest","functions":[{"id":"fc_12345678","name":"get_weather",'
            '"arguments":"{\\"location\\": \\"Fremont, CA\\"}","client_side":true}]}',
            FunctionCallRequest((FunctionCall("fc_12345678", "get_weather", '{"location": "Fremont, CA"}', True),)),
        ),
        (
            '{"type":"FunctionCallCancelled","functions":[{"id":"fc_12345678","name":"book_appointment"}]}',
            FunctionCallCancelled(("fc_12345678",)),
        ),
        (
            '{"type":"FunctionCallResponse","id":"fc_1","name":"f","content":"{}"}',
            Acknowledged("FunctionCallResponse"),
        ),
        (
            '{"type":"AgentStartedSpeaking","total_latency":1.2,"tts_latency":0.1,"ttt_latency":0.8}',
            AgentStartedSpeaking(),
        ),
        ('{"type":"AgentStartedSpeaking"}', AgentStartedSpeaking()),
        ('{"type":"LatencyReport","total_latency":1.03}', LatencyReport((("total", 1.03),))),
        (
            '{"type":"LatencyReport","stt_latency":0.1,"ttt_token_latency":1}',
            LatencyReport((("stt", 0.1), ("ttt_token", 1.0))),
        ),
        ('{"type":"AgentAudioDone"}', AgentAudioDone()),
        ('{"type":"InjectionRefused","message":"Too late."}', InjectionRefused("Too late.")),
        ('{"type":"InjectionRefused"}', InjectionRefused("")),
        (
            '{"type":"Error","code":"CLIENT_MESSAGE_TIMEOUT","description":"We waited too long."}',
            Error("CLIENT_MESSAGE_TIMEOUT", "We waited too long."),
        ),
        ('{"type":"Error"}', Error("", "")),
        (
            '{"type":"Warning","code":"SLOW_THINK_REQUEST","description":"We have now waited 5 seconds."}',
            Warning("SLOW_THINK_REQUEST", "We have now waited 5 seconds."),
        ),
        ('{"type":"PromptUpdated"}', Acknowledged("PromptUpdated")),
        ('{"type":"SpeakUpdated"}', Acknowledged("SpeakUpdated")),
        ('{"type":"ThinkUpdated"}', Acknowledged("ThinkUpdated")),
        ('{"type":"ListenUpdated"}', Acknowledged("ListenUpdated")),
        ('{"type":"History","role":"user","content":"Hi."}', Acknowledged("History")),
    ],
)
def test_every_documented_event_is_understood(message: str, event: deepgram.Event) -> None:
    assert deepgram.parse(message) == event


def requested(**fields: object) -> deepgram.Event:
    function = {"id": "fc_1", "name": "f", "arguments": "{}", "client_side": True} | fields
    return deepgram.parse(json.dumps({"type": "FunctionCallRequest", "functions": [function]}))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ({"a": 1}, '{"a": 1}'),
        ({}, "{}"),
        ("", ""),
        ("not JSON", "not JSON"),
        ([1], "[1]"),
        (None, "null"),
        ("Zoë", "Zoë"),
    ],
)
def test_arguments_are_text_however_they_were_sent(arguments: object, text: str) -> None:
    assert requested(arguments=arguments) == FunctionCallRequest((FunctionCall("fc_1", "f", text, True),))


def test_arguments_may_be_left_out() -> None:
    event = deepgram.parse('{"type":"FunctionCallRequest","functions":[{"id":"1","name":"f"}]}')

    assert event == FunctionCallRequest((FunctionCall("1", "f", "", True),))


@pytest.mark.parametrize(("sent", "ours"), [(True, True), (False, False), (None, True), ("no", True), (0, True)])
def test_a_function_is_ours_unless_deepgram_says_otherwise(sent: object, ours: bool) -> None:
    assert requested(client_side=sent) == FunctionCallRequest((FunctionCall("fc_1", "f", "{}", ours),))


@pytest.mark.parametrize(("sent", "kept"), [("c2ln", "c2ln"), ("", ""), (None, "")])
def test_a_thought_signature_is_kept_for_the_answer(sent: object, kept: str) -> None:
    event = requested(thought_signature=sent)

    assert event == FunctionCallRequest((FunctionCall("fc_1", "f", "{}", True, thought_signature=kept),))


def test_one_request_may_ask_for_several_functions() -> None:
    functions = [{"id": str(n), "name": f"f{n}", "arguments": "{}", "client_side": n != 1} for n in range(3)]

    event = deepgram.parse(json.dumps({"type": "FunctionCallRequest", "functions": functions}))

    assert event == FunctionCallRequest(tuple(FunctionCall(str(n), f"f{n}", "{}", n != 1) for n in range(3)))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"type": null}',
        '{"type": ["Welcome"]}',
        '{"type": "welcome"}',
        '{"type": "ThinkLiveUpdated"}',
        '{"type": "FrustrationDetected", "count": 1, "escalated": false}',
        '{"type": "__customFromThinkProvider", "content": {}}',
        '{"type": "ConversationText"}',
        '{"type": "ConversationText", "role": "user"}',
        '{"type": "ConversationText", "role": "system", "content": "x"}',
        '{"type": "ConversationText", "role": [], "content": "x"}',
        '{"type": "ConversationText", "role": "user", "content": 1}',
        '{"type": "ConversationText", "role": "user", "content": "\\ud800"}',
        '{"type": "FunctionCallRequest"}',
        '{"type": "FunctionCallRequest", "functions": null}',
        '{"type": "FunctionCallRequest", "functions": "f"}',
        '{"type": "FunctionCallRequest", "functions": [{"name": "f"}]}',
        '{"type": "FunctionCallRequest", "functions": [{"id": 1, "name": "f"}]}',
        '{"type": "FunctionCallRequest", "functions": [{"id": "1", "name": null}]}',
        '{"type": "FunctionCallCancelled"}',
        '{"type": "FunctionCallCancelled", "functions": [{"id": null}]}',
        '{"type": "LatencyReport", "total_latency": "slow"}',
        '{"type": "LatencyReport", "total_latency": null}',
    ],
)
def test_what_does_not_fit_is_a_value_too(message: str) -> None:
    assert isinstance(deepgram.parse(message), Unknown)


def test_an_error_is_heard_however_badly_it_is_written() -> None:
    assert deepgram.parse('{"type": "Error", "code": 7, "description": "\\ud800!"}') == Error("7", "?!")


def test_an_unknown_message_is_described_in_a_few_words() -> None:
    unknown = deepgram.parse(json.dumps({"type": "é\n\ud800" * 1000}))

    assert isinstance(unknown, Unknown)
    assert len(unknown.what) < 80
    assert unknown.what.isascii()
    assert unknown.what.isprintable()


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("INTERNAL_SERVER_ERROR", True),
        ("ASR_CONNECTION_CLOSED", True),
        ("ASR_DRIVER_TIMEOUT", True),
        ("SERVER_GOING_AWAY", True),
        ("FAILED_TO_START_LISTENING", True),
        ("INVALID_SETTINGS", False),
        ("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS", False),
        ("SETTINGS_ALREADY_APPLIED", False),
        ("UNPARSABLE_CLIENT_MESSAGE", False),
        ("USER_AUDIO_FORMAT", False),
        ("INVALID_AGENT_ID", False),
        ("NEVER_HEARD_OF", False),
    ],
)
def test_an_error_says_whether_another_session_may_fare_better(code: str, retryable: bool) -> None:
    assert Error(code, "").retryable is retryable


def test_only_codes_of_deepgrams_become_labels_of_a_metric() -> None:
    assert deepgram.known_code("SLOW_THINK_REQUEST") == "SLOW_THINK_REQUEST"
    assert deepgram.known_code("'; DROP TABLE metrics; --") == "other"


# Commands


def judged(model: Any, message: str) -> dict[str, Any]:
    """The message's fields, once Deepgram's package has found nothing missing, wrong or unknown in them."""
    fields: dict[str, Any] = json.loads(message)
    validated = model.model_validate(fields)
    assert not validated.model_extra
    assert json.loads(json.dumps(validated.dict())) == fields
    return fields


def test_a_keep_alive_is_what_deepgram_knows() -> None:
    assert judged(AgentV1KeepAlive, deepgram.keep_alive()) == {"type": "KeepAlive"}


@pytest.mark.parametrize("behavior", Behavior)
@given(words=st.text())
def test_an_injected_message_is_what_deepgram_knows(behavior: Behavior, words: str) -> None:
    fields = judged(AgentV1InjectAgentMessage, deepgram.inject(words, behavior))

    assert fields == {"type": "InjectAgentMessage", "message": words, "behavior": behavior.value}


def test_deepgram_knows_every_behavior_that_we_use() -> None:
    declared = AgentV1InjectAgentMessage.model_fields["behavior"].annotation

    known = {value for part in typing.get_args(declared) for value in typing.get_args(part)}
    assert {behavior.value for behavior in Behavior} <= known


@given(st.text(), st.text(), st.text())
def test_an_answer_is_what_deepgram_knows(id_: str, name: str, content: str) -> None:
    fields = judged(
        AgentV1SendFunctionCallResponse, deepgram.function_response(FunctionCall(id_, name, "{}", True), content)
    )

    assert fields == {"type": "FunctionCallResponse", "id": id_, "name": name, "content": content}


def test_a_thought_signature_goes_back_unchanged() -> None:
    request = FunctionCall("fc_1", "f", "{}", True, thought_signature="c2ln")

    fields = json.loads(deepgram.function_response(request, "{}"))

    assert fields["thought_signature"] == "c2ln"


@given(st.text())
def test_an_error_is_content_that_a_model_can_read(words: str) -> None:
    assert json.loads(deepgram.error_content(words)) == {"error": words}
