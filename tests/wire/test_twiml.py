"""The webhook's answers, signatures and stream tokens; Twilio's own package is the judge of all three."""

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, VoiceResponse

from dialplan.errors import LineRefused
from dialplan.wire import twiml

VECTORS = json.loads((Path(__file__).parents[1] / "fixtures" / "twilio-signatures.json").read_text("utf-8"))
TOKEN = VECTORS["positive"][0]["token"]
WEBHOOK = "https://voice.example.com/twilio/voice"
STREAM = "wss://voice.example.com/twilio/stream"

PARAMETERS = st.lists(st.tuples(st.text(), st.text()), max_size=8)
SECRETS = st.text(min_size=1)
NAMES = st.text(max_size=40)
MOMENTS = st.integers(0, 10**11)


def named(vectors: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=lambda vector: vector["name"])


# Signatures


@named(VECTORS["positive"])
def test_twilios_signatures_are_recognised(vector: dict[str, Any]) -> None:
    parameters = list(vector["params"].items())

    assert twiml.signature(vector["token"], vector["url"], parameters) == vector["signature"]
    assert twiml.is_signed(vector["token"], vector["url"], parameters, vector["signature"])


def test_the_example_of_twilios_package_is_recognised() -> None:
    parameters = {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }

    signature = twiml.signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", parameters.items())

    assert signature == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@named(VECTORS["lookalikes_that_must_differ"])
def test_a_signature_of_a_url_that_looks_alike_is_refused(vector: dict[str, Any]) -> None:
    url = STREAM if "stream" in vector["url"] else WEBHOOK
    parameters = list(vector["params"].items())

    assert twiml.signature(TOKEN, vector["url"], parameters) == vector["signature"]
    assert not twiml.is_signed(TOKEN, url, parameters, vector["signature"])


@given(SECRETS, PARAMETERS)
def test_any_form_is_signed_as_twilios_package_signs_it(token: str, parameters: list[tuple[str, str]]) -> None:
    expected = RequestValidator(token).compute_signature(WEBHOOK, ImmutableMultiDict(parameters))

    assert twiml.signature(token, WEBHOOK, parameters) == expected


@given(PARAMETERS, st.randoms())
def test_the_order_of_a_forms_fields_does_not_matter(parameters: list[tuple[str, str]], random: Any) -> None:
    shuffled = random.sample(parameters, len(parameters))

    assert twiml.signature(TOKEN, WEBHOOK, shuffled) == twiml.signature(TOKEN, WEBHOOK, parameters)


def test_every_value_of_a_repeated_field_is_signed() -> None:
    parameters = [("Digits", "2"), ("To", "+15550100001"), ("Digits", "1"), ("Digits", "2"), ("Empty", "")]

    signature = RequestValidator(TOKEN).compute_signature(WEBHOOK, ImmutableMultiDict(parameters))

    assert twiml.is_signed(TOKEN, WEBHOOK, parameters, signature)
    assert not twiml.is_signed(TOKEN, WEBHOOK, dict(parameters).items(), signature)


@pytest.mark.parametrize(
    ("dialled", "signed"),
    [
        ("https://voice.example.com/v", "https://voice.example.com:443/v"),
        ("https://voice.example.com:443/v", "https://voice.example.com/v"),
        ("https://voice.example.com:8443/v?a=b%20c", "https://voice.example.com/v?a=b%20c"),
        ("http://voice.example.com/v", "http://voice.example.com:80/v"),
        ("wss://voice.example.com/v", "wss://voice.example.com:443/v"),
        ("wss://voice.example.com:443/v", "wss://voice.example.com/v"),
        ("ws://voice.example.com/v", "ws://voice.example.com:80/v"),
        ("https://user:pass@voice.example.com/v", "https://user:pass@voice.example.com:443/v"),
        ("https://[2001:db8::1]:8443/v", "https://[2001:db8::1]/v"),
    ],
)
def test_a_url_may_be_signed_with_its_port_or_without(dialled: str, signed: str) -> None:
    assert twiml.is_signed(TOKEN, dialled, [], RequestValidator(TOKEN).compute_signature(signed, {}))


@pytest.mark.parametrize(
    ("dialled", "signed"),
    [
        ("https://voice.example.com:8443/v", "https://voice.example.com:443/v"),
        ("https://voice.example.com/v", "https://voice.example.com:80/v"),
        ("https://voice.example.com/v", "https://voice.example.com.evil.org/v"),
        ("https://voice.example.com/v", "https://voice.example.com/v?"),
    ],
)
def test_another_port_or_host_is_another_url(dialled: str, signed: str) -> None:
    assert not twiml.is_signed(TOKEN, dialled, [], RequestValidator(TOKEN).compute_signature(signed, {}))


@given(st.sampled_from(["https", "http"]), st.none() | st.integers(1, 65535), PARAMETERS)
def test_what_we_sign_twilios_package_validates(
    scheme: str, port: int | None, parameters: list[tuple[str, str]]
) -> None:
    url = f"{scheme}://voice.example.com{f':{port}' if port else ''}/twilio/voice?a=%C3%BC"

    signature = twiml.signature(TOKEN, url, parameters)

    assert RequestValidator(TOKEN).validate(url, ImmutableMultiDict(parameters), signature)


@given(PARAMETERS, st.text())
def test_a_signature_that_a_stranger_made_up_is_refused(parameters: list[tuple[str, str]], signature: str) -> None:
    assert not twiml.is_signed(TOKEN, WEBHOOK, parameters, signature)


@given(st.text(), st.text())
def test_one_changed_value_spoils_the_signature(value: str, changed: str) -> None:
    signature = twiml.signature(TOKEN, WEBHOOK, [("To", value)])

    assert twiml.is_signed(TOKEN, WEBHOOK, [("To", changed)], signature) == (value == changed)


# Tokens


@given(SECRETS, NAMES, NAMES, MOMENTS, st.floats(0, 1e11))
def test_a_token_names_its_agent_until_it_expires(
    secret: str, call: str, agent: str, expires: int, before: float
) -> None:
    token = twiml.stream_token(secret, call, agent, expires)

    assert twiml.token_agent(secret, call, token, min(before, expires)) == agent


@given(NAMES, NAMES, MOMENTS, st.floats(min_value=0, allow_infinity=False))
def test_a_token_that_is_too_old_is_refused(call: str, agent: str, expires: int, late: float) -> None:
    token = twiml.stream_token("secret", call, agent, expires)

    with pytest.raises(LineRefused, match="too old"):
        twiml.token_agent("secret", call, token, max(expires + late, math.nextafter(expires, math.inf)))


@given(NAMES, NAMES, NAMES)
def test_a_token_of_another_call_is_refused(call: str, other: str, agent: str) -> None:
    token = twiml.stream_token("secret", call, agent, 1000)

    if call != other:
        with pytest.raises(LineRefused, match="not for this call"):
            twiml.token_agent("secret", other, token, 0)


@given(NAMES, NAMES, NAMES)
def test_a_token_with_another_agent_put_in_is_refused(call: str, agent: str, other: str) -> None:
    token = twiml.stream_token("secret", call, agent, 1000)

    forged = token.removesuffix(agent) + other

    if agent != other:
        with pytest.raises(LineRefused):
            twiml.token_agent("secret", call, forged, 0)


@pytest.mark.parametrize(
    ("call", "agent", "other_call", "other_agent"),
    [("CA1\nx", "y", "CA1", "x\ny"), ("CA1", "a\nb", "CA1\na", "b"), ("CA1", "ab", "CA1a", "b")],
)
def test_call_and_agent_cannot_be_cut_apart_elsewhere(call: str, agent: str, other_call: str, other_agent: str) -> None:
    token = twiml.stream_token("secret", call, agent, 1000)

    with pytest.raises(LineRefused):
        twiml.token_agent("secret", other_call, token.removesuffix(agent) + other_agent, 0)


def test_a_token_has_one_spelling_since_it_is_good_for_one_stream() -> None:
    mac, _, rest = twiml.stream_token("secret", "CA1", "acme/front.desk", 1000).partition(".")

    for spelling in (f"{mac}.0{rest}", f"{mac}=.{rest}", f" {mac}.{rest}", f"{mac}.{rest} ", f"{mac}.+{rest}"):
        with pytest.raises(LineRefused):
            twiml.token_agent("secret", "CA1", spelling, 0)


@pytest.mark.parametrize("token", ["", ".", "..", "a.1.b", "a.b", "x.99999999999999.y", "x.-1.y", "x.1e3.y", "x.١.y"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(LineRefused):
        twiml.token_agent("secret", "CA1", token, 0)


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{43}\.[0-9]{1,12}\.[a-z]+", fullmatch=True))
def test_a_token_that_a_stranger_made_up_is_refused(token: str) -> None:
    with pytest.raises(LineRefused):
        twiml.token_agent("secret", "CA1", token, 0)


@given(st.integers(0, 100), st.characters(codec="ascii"))
def test_a_token_with_one_character_changed_is_refused(index: int, character: str) -> None:
    token = twiml.stream_token("secret", "CA1", "pharmacy", 1000)
    changed = token[: index % len(token)] + character + token[index % len(token) + 1 :]

    if changed != token:
        with pytest.raises(LineRefused):
            twiml.token_agent("secret", "CA1", changed, 0)


def test_a_token_of_another_server_is_refused() -> None:
    with pytest.raises(LineRefused):
        twiml.token_agent("ours", "CA1", twiml.stream_token("theirs", "CA1", "pharmacy", 1000), 0)


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=100))
def test_a_token_fits_into_a_parameter(agent: str) -> None:
    assert len(twiml.stream_token("secret", "CA" + "0" * 32, agent, 10**11)) < 500


# TwiML


def same(document: str, response: VoiceResponse) -> bool:
    return ET.canonicalize(document) == ET.canonicalize(str(response))


def twilios_connect(parameters: dict[str, str], notice: str = "", language: str | None = None) -> VoiceResponse:
    response = VoiceResponse()
    if notice:
        response.say(notice, language=language)
    connect = Connect(action="https://voice.example.com/twilio/next?attempt=1" + twiml.RETRIED, method="POST")
    stream = connect.stream(url=STREAM)
    for name, value in parameters.items():
        stream.parameter(name=name, value=value)
    response.append(connect)
    return response


@pytest.mark.parametrize(
    ("parameters", "notice", "language", "spoken"),
    [
        ({}, "", "", None),
        ({"token": "abc.1.pharmacy", "from": "+15550100099", "to": "+15550100001"}, "", "en", None),
        ({"token": "t"}, "This call may be recorded.", "", None),
        ({"token": "t"}, "This call may be recorded.", "en", None),
        ({"token": "t"}, "Dieses Gespräch wird aufgezeichnet.", "de-DE", "de-DE"),
        ({"caller_name": 'O\'Neil & <Sons> "Ltd" Zoë 🎉'}, "Q & A: <please> hold", "", None),
    ],
)
def test_an_answer_is_what_twilios_package_would_write(
    parameters: dict[str, str], notice: str, language: str, spoken: str | None
) -> None:
    action = "https://voice.example.com/twilio/next?attempt=1" + twiml.RETRIED

    document = twiml.connect(STREAM, action, parameters, notice, language)

    assert same(document, twilios_connect(parameters, notice, spoken))


def test_the_other_answers_are_what_twilios_package_would_write() -> None:
    spoken, silent, busy = VoiceResponse(), VoiceResponse(), VoiceResponse()
    spoken.say("We are closed & sorry.")
    spoken.hangup()
    silent.hangup()
    busy.reject(reason="busy")

    assert same(twiml.say_and_hang_up("We are closed & sorry."), spoken)
    assert same(twiml.hang_up(), silent)
    assert same(twiml.reject(), busy)


def test_a_document_says_what_it_is() -> None:
    assert twiml.hang_up() == '<?xml version="1.0" encoding="UTF-8"?><Response><Hangup /></Response>'


@given(st.text(st.characters()), st.text(st.characters()))
def test_whatever_a_caller_is_called_stays_inside_its_parameter(name: str, notice: str) -> None:
    document = twiml.connect(STREAM, WEBHOOK, {"caller_name": name}, notice)

    response = ET.fromstring(document.encode())
    assert [element.tag for element in response.iter() if element.tag != "Say"] == [
        "Response",
        "Connect",
        "Stream",
        "Parameter",
    ]
    assert [sorted(parameter.attrib) for parameter in response.iter("Parameter")] == [["name", "value"]]


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufffe\uffff"), max_size=600)
)
def test_a_parameter_arrives_as_it_was_sent_up_to_twilios_limit(value: str) -> None:
    response = ET.fromstring(twiml.connect(STREAM, WEBHOOK, {"caller_name": value}).encode())

    assert [parameter.attrib["value"] for parameter in response.iter("Parameter")] == [value[:499]]


@pytest.mark.parametrize(
    "name",
    [
        '"/><Hangup/><Parameter name="x" value="',
        "</Stream></Connect><Dial>+1900</Dial>",
        "<![CDATA[x]]>",
        "&lt;b&gt; &#0; &amp;",
        "{{ secrets }}",
        "a\nb\tc\rd",
    ],
)
def test_markup_in_a_parameter_is_text(name: str) -> None:
    response = ET.fromstring(twiml.connect(STREAM, WEBHOOK, {"caller_name": name}))

    assert [p.attrib["value"] for p in response.iter("Parameter")] == [name]
    assert len(list(response.iter())) == 4


def test_characters_that_xml_cannot_hold_are_left_out() -> None:
    document = twiml.say_and_hang_up("a\x00b\x08c\x0bd\x1fe\ud800f\ufffeg\uffffh\tz")

    assert ET.fromstring(document).findtext("Say") == "abcdefgh\tz"


def test_a_parameter_is_cut_where_twilio_would_refuse_it() -> None:
    response = ET.fromstring(twiml.connect(STREAM, WEBHOOK, {"caller_name": "x" * 600}))

    assert [len(parameter.attrib["value"]) for parameter in response.iter("Parameter")] == [499]


def test_a_notice_is_cut_where_twilio_would_refuse_it() -> None:
    notice = ET.fromstring(twiml.connect(STREAM, WEBHOOK, {}, "word " * 1000)).findtext("Say")

    assert notice is not None
    assert len(notice) == 4096
