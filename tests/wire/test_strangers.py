"""Whatever a peer sends, both parsers answer with a value, and what they hand on can be logged and stored."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.wire import deepgram, twilio

#: What a field of another kind, or out of every range, could be.
HOSTILE: list[Any] = [None, True, -1, 10**400, float("nan"), float("inf"), "", "\ud800", [], {}, [{}], {"\udfff": 1}]

PARSERS = pytest.mark.parametrize("parse", [twilio.parse, deepgram.parse], ids=["twilio", "deepgram"])
Parse = Callable[[str], Any]

ANY_CHARACTERS = st.text(st.characters())  # half surrogate pairs too: JSON can carry them
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_CHARACTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_CHARACTERS, inner, max_size=3),
    max_leaves=8,
)

#: One genuine message of every kind that has fields.
GENUINE: dict[str, list[dict[str, Any]]] = {
    "twilio": [
        {
            "event": "start",
            "streamSid": "MZ1",
            "start": {
                "accountSid": "AC1",
                "streamSid": "MZ1",
                "callSid": "CA1",
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
                "customParameters": {"to": "+15550100001"},
            },
        },
        {"event": "media", "media": {"track": "inbound", "timestamp": "155", "payload": "f39/"}},
        {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "1"}},
        {"event": "mark", "mark": {"name": "0-1"}},
    ],
    "deepgram": [
        {"type": "Welcome", "request_id": "fc553ec9"},
        {"type": "ConversationText", "role": "user", "content": "Hello."},
        {
            "type": "FunctionCallRequest",
            "functions": [
                {"id": "fc_1", "name": "f", "arguments": "{}", "client_side": True, "thought_signature": "s"},
                {"id": "fc_2", "name": "g", "arguments": {"a": 1}, "client_side": False},
            ],
        },
        {"type": "FunctionCallCancelled", "functions": [{"id": "fc_1", "name": "f"}]},
        {"type": "InjectionRefused", "message": "Somebody is speaking."},
        {"type": "LatencyReport", "total_latency": 1.03},
        {"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": "Oh."},
        {"type": "Warning", "code": "SLOW_THINK_REQUEST", "description": "Hm."},
    ],
}


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to everything in a message, the message itself first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def mutated(value: Any, path: tuple[str | int, ...], replacement: object, *, drop: bool) -> Any:
    """The message with one thing in it replaced or left out."""
    if not path:
        return replacement
    copy, key = value.copy(), path[0]
    if drop and len(path) == 1:
        del copy[key]
    else:
        copy[key] = mutated(value[key], path[1:], replacement, drop=drop)
    return copy


def can_be_written(event: Any) -> bool:
    return bool(json.dumps(dataclasses.asdict(event), ensure_ascii=False, default=repr).encode())


@PARSERS
@given(text=ANY_CHARACTERS | st.text())
def test_any_text_is_answered_with_a_value(parse: Parse, text: str) -> None:
    assert can_be_written(parse(text))


@PARSERS
@given(message=ANY_JSON)
def test_any_json_is_answered_with_a_value(parse: Parse, message: object) -> None:
    assert can_be_written(parse(json.dumps(message)))


@PARSERS
def test_any_field_may_be_missing_or_hostile(parse: Parse) -> None:
    for message in GENUINE[parse.__module__.rpartition(".")[2]]:
        for place in places(message):
            for value in HOSTILE:
                assert can_be_written(parse(json.dumps(mutated(message, place, value, drop=False))))
            assert can_be_written(parse(json.dumps(mutated(message, place, None, drop=True))))


@PARSERS
@given(data=st.data())
def test_any_change_to_a_genuine_message_is_answered_with_a_value(parse: Parse, data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(GENUINE[parse.__module__.rpartition(".")[2]]))
    place = data.draw(st.sampled_from(places(message)))
    message = mutated(message, place, data.draw(ANY_JSON), drop=data.draw(st.booleans()))

    assert can_be_written(parse(json.dumps(message)))


@PARSERS
@pytest.mark.parametrize("depth", [10, 200, *range(900, 1010, 5), 2_000, 50_000])
def test_nesting_beyond_reason_is_answered_with_a_value(parse: Parse, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    templates = [
        '{"event": "start", "start": NESTED}',
        '{"type": "FunctionCallRequest", "functions": [{"id": "1", "name": "f", "arguments": NESTED}]}',
        '{"type": "LatencyReport", "total_latency": NESTED}',
        "NESTED",
    ]

    for template in templates:
        assert can_be_written(parse(template.replace("NESTED", nested)))


@pytest.mark.parametrize("name", ["", "x" * 257, "CA1\n2026-11-24 ERROR", "CA\x1b[2J", "CA\u2028"])
def test_a_name_that_is_long_or_would_break_a_line_of_the_log_is_none(name: str) -> None:
    start = GENUINE["twilio"][0]
    request = GENUINE["deepgram"][2]
    for place in [("start", "callSid"), ("start", "streamSid")]:
        if name or place[1] == "callSid":  # Twilio writes a stream's name twice.
            assert isinstance(twilio.parse(json.dumps(mutated(start, place, name, drop=False))), twilio.Unknown)
    event = deepgram.parse(json.dumps(mutated(request, ("functions", 0, "id"), name, drop=False)))
    assert isinstance(event, deepgram.FunctionCallRequest)
    assert [function.id for function in event.functions] == ["fc_2"]


def test_a_request_for_more_functions_than_any_model_wants_is_no_request() -> None:
    functions = [{"id": f"fc_{n}", "name": "f", "arguments": ""} for n in range(deepgram.MOST_FUNCTIONS + 1)]

    most = deepgram.parse(json.dumps({"type": "FunctionCallRequest", "functions": functions[1:]}))
    more = deepgram.parse(json.dumps({"type": "FunctionCallRequest", "functions": functions}))

    assert isinstance(most, deepgram.FunctionCallRequest)
    assert isinstance(more, deepgram.Unknown)
