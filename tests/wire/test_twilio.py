"""Twilio's media-stream messages, field by field as Twilio documents them and as real calls showed them."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.wire import twilio
from dialplan.wire.twilio import Connected, Dtmf, Marked, Media, Started, Stopped, Unknown

CALL = "CA00000000000000000000000000000001"
STREAM = "MZ00000000000000000000000000000001"
ACCOUNT = "AC00000000000000000000000000000001"
FRAME = b"\x7f" * 160

START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "accountSid": ACCOUNT,
        "streamSid": STREAM,
        "callSid": CALL,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"agent": "front-desk"},
    },
    "streamSid": STREAM,
}
STARTED = Started(STREAM, CALL, ACCOUNT, {"agent": "front-desk"}, "audio/x-mulaw", 8000)


def media(payload: object = base64.b64encode(FRAME).decode(), track: object = "inbound") -> dict[str, Any]:
    inner = {"track": track, "chunk": "1", "timestamp": "155", "payload": payload}
    return {"event": "media", "sequenceNumber": "2", "media": inner, "streamSid": STREAM}


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"event": "connected", "protocol": "Call", "version": "1.0.0"}, Connected()),
        ({"event": "connected", "protocol": "Call", "version": "0.2.0"}, Connected()),
        (START, STARTED),
        (media(), Media(FRAME)),
        (
            {
                "event": "dtmf",
                "streamSid": STREAM,
                "sequenceNumber": "5",
                "dtmf": {"track": "inbound_track", "digit": "1"},
            },
            Dtmf("1"),
        ),
        ({"event": "mark", "sequenceNumber": "4", "streamSid": STREAM, "mark": {"name": "0-1"}}, Marked("0-1")),
        (
            {
                "event": "stop",
                "sequenceNumber": "378",
                "streamSid": STREAM,
                "stop": {"accountSid": ACCOUNT, "callSid": CALL},
            },
            Stopped(),
        ),
    ],
    ids=lambda value: value["event"] if isinstance(value, dict) else "",
)
def test_every_documented_message_is_understood(message: dict[str, Any], event: twilio.Event) -> None:
    assert twilio.parse(json.dumps(message)) == event


@pytest.mark.parametrize(
    ("sequence", "chunk", "timestamp"), [("2", "1", "155"), ("74", "73", "1593"), ("2", "1", "171")]
)
def test_a_frame_of_a_real_call_is_twenty_milliseconds(sequence: str, chunk: str, timestamp: str) -> None:
    payload = "/35+" * 53 + "/w=="  # 216 characters, as in the logs of two real calls
    message = (
        f'{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"inbound","chunk":"{chunk}",'
        f'"timestamp":"{timestamp}","payload":"{payload}"}},"streamSid":"{STREAM}"}}'
    )

    event = twilio.parse(message)

    assert event == Media(b"\xff~~" * 53 + b"\xff")


@pytest.mark.parametrize(
    ("start", "started"),
    [
        ({"customParameters": {}}, Started(STREAM, CALL, ACCOUNT, {}, "audio/x-mulaw", 8000)),
        ({"customParameters": None}, Started(STREAM, CALL, ACCOUNT, {}, "audio/x-mulaw", 8000)),
        ({"streamSid": ""}, STARTED),
        ({"mediaFormat": None}, STARTED),
        (
            {"mediaFormat": {"encoding": "audio/x-l16", "sampleRate": "16000"}},
            Started(STREAM, CALL, ACCOUNT, {"agent": "front-desk"}, "audio/x-l16", 16000),
        ),
        (
            {"customParameters": {"Zoë": "Grüße & <b>"}},
            Started(STREAM, CALL, ACCOUNT, {"Zoë": "Grüße & <b>"}, "audio/x-mulaw", 8000),
        ),
    ],
)
def test_a_start_may_leave_out_what_is_known_anyway(start: dict[str, Any], started: Started) -> None:
    assert twilio.parse(json.dumps(START | {"start": START["start"] | start})) == started


def test_fields_that_twilio_adds_tomorrow_change_nothing() -> None:
    message = START | {"new": 1, "start": START["start"] | {"newer": {"a": []}}}

    assert twilio.parse(json.dumps(message)) == STARTED


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "{",
        "[]",
        "null",
        '"start"',
        "17",
        "{}",
        '{"event": null}',
        '{"event": ["start"]}',
        '{"event": {}}',
        '{"event": "Start"}',
        '{"event": "pause"}',
        '{"event": "start"}',
        '{"event": "start", "start": []}',
        '{"event": "media"}',
        '{"event": "media", "media": "x"}',
        '{"event": "dtmf", "dtmf": {"digit": 1}}',
        '{"event": "mark"}',
        '{"event": "mark", "mark": {"name": null}}',
        '{"event": ' + "9" * 5000 + "}",
        '{"event": ' + "[" * 100_000,
    ],
    ids=lambda message: message[:40],
)
def test_what_does_not_fit_is_a_value_too(message: str) -> None:
    assert isinstance(twilio.parse(message), Unknown)


@pytest.mark.parametrize(
    "payload",
    [None, 1, [], "", "====", "AAA", "A A=", "AA==\n", "AAAA AAAA", "é", "\ud800", "-_-_", "AA=A"],
    ids=repr,
)
def test_a_payload_that_is_no_base64_or_holds_nothing_is_not_audio(payload: object) -> None:
    assert isinstance(twilio.parse(json.dumps(media(payload))), Unknown)


@pytest.mark.parametrize(
    "start",
    [
        {"callSid": None},
        {"callSid": 7},
        {"callSid": "\ud800"},
        {"streamSid": 7},
        {"accountSid": []},
        {"customParameters": {"a": 1}},
        {"customParameters": {"a": None}},
        {"customParameters": {"a": "\udfff"}},
        {"customParameters": {"\udfff": "a"}},
        {"customParameters": ["a"]},
        {"mediaFormat": "mulaw"},
        {"mediaFormat": {"sampleRate": "fast"}},
        {"mediaFormat": {"sampleRate": float("inf")}},
        {"mediaFormat": {"sampleRate": float("nan")}},
        {"mediaFormat": {"encoding": 1}},
    ],
    ids=repr,
)
def test_a_malformed_start_starts_nothing(start: dict[str, Any]) -> None:
    assert isinstance(twilio.parse(json.dumps(START | {"start": START["start"] | start})), Unknown)


def test_the_agents_own_track_is_not_taken_for_the_callers_voice() -> None:
    assert isinstance(twilio.parse(json.dumps(media(track="outbound"))), Unknown)


def test_a_message_may_come_encoded() -> None:
    assert twilio.parse(json.dumps(START).encode()) == STARTED
    assert twilio.parse(json.dumps(START).encode("utf-16")) == Unknown("not a JSON object")


def test_an_unknown_message_is_described_in_a_few_words() -> None:
    unknown = twilio.parse(json.dumps({"event": "é\n\ud800" * 1000}))

    assert isinstance(unknown, Unknown)
    assert len(unknown.what) < 80
    assert unknown.what.isascii()
    assert unknown.what.isprintable()


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (
            twilio.Stream(STREAM).media(b"\x00\xff\x7f").decode(),
            {"event": "media", "streamSid": STREAM, "media": {"payload": "AP9/"}},
        ),
        (twilio.Stream(STREAM).mark("0-12"), {"event": "mark", "streamSid": STREAM, "mark": {"name": "0-12"}}),
        (twilio.Stream(STREAM).clear(), {"event": "clear", "streamSid": STREAM}),
    ],
    ids=["media", "mark", "clear"],
)
def test_what_twilio_is_sent_has_the_documented_fields_and_no_other(message: str, fields: dict[str, Any]) -> None:
    assert json.loads(message) == fields
    assert "\n" not in message


@given(st.binary())
def test_audio_is_the_same_after_its_way_through_base64(audio: bytes) -> None:
    sent = json.loads(twilio.Stream(STREAM).media(audio))["media"]["payload"]

    assert base64.b64decode(sent, validate=True) == audio


@given(st.binary(min_size=1))
def test_the_callers_audio_arrives_as_it_was_spoken(audio: bytes) -> None:
    payload = base64.b64encode(audio).decode()

    assert twilio.parse(json.dumps(media(payload))) == Media(audio)


@given(
    payload=st.text("AZaz09+/=", max_size=12) | st.text(max_size=12),
    number=st.from_regex(r"[0-9]{0,3}", fullmatch=True) | st.text(max_size=3),
    sid=st.from_regex(r"[A-Za-z0-9_]{0,5}", fullmatch=True) | st.text(max_size=5),
    track=st.sampled_from(["inbound", "outbound", ""]),
)
def test_what_is_written_exactly_as_twilio_does_is_read_as_all_of_its_json(
    payload: str, number: str, sid: str, track: str
) -> None:
    inner = {"track": track, "chunk": number, "timestamp": number, "payload": payload}
    fields = {"event": "media", "sequenceNumber": number, "media": inner, "streamSid": sid}

    for message in (json.dumps(fields, separators=(",", ":")), json.dumps(fields), json.dumps(fields, indent=1)):
        voice = twilio.voice(message.encode())
        assert voice is None or twilio.parse(message) == Media(voice)


def test_the_fast_way_is_the_way_of_real_messages() -> None:
    assert twilio.voice(json.dumps(media(), separators=(",", ":")).encode()) == FRAME
