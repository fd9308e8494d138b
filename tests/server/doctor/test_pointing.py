"""What each number points at and what it should: decided from literals."""

from pathlib import Path

import pytest

from dialplan.config.dialplan import Dialplan
from dialplan.server.doctor.account import Failed
from dialplan.server.doctor.findings import Finding, State
from dialplan.server.doctor.pointing import Judgement, judge, should_be
from dialplan.wire.twilio_numbers import Application, Number
from dialplan.wire.twiml import RETRIED
from tests.world import project

PUBLIC = "https://voice.example.com"
GOOD = should_be(PUBLIC)
PHARMACY = "+15550100001"


def number(phone_number: str = PHARMACY, **fields: object) -> Number:
    values = {"voice_application_sid": "", "trunk_sid": "", "takes_calls": True, **GOOD, **fields}
    return Number(sid=f"PN{phone_number}", phone_number=phone_number, **values)  # type: ignore[arg-type]


@pytest.fixture
def dialplan(tmp_path: Path) -> Dialplan:
    agents = {
        "pharmacy": f'numbers: ["{PHARMACY}"]\nprompt: x\n',
        "clinic": 'numbers: ["+1800*"]\nprompt: x\n',
        "bakery": 'numbers: ["+15550100003"]\nstreams: [/twilio/bakery]\nprompt: x\n',
    }
    return project(tmp_path, **agents).dialplan


def judged(dialplan: Dialplan, *numbers: Number, public_url: str = PUBLIC, **applications: object) -> Judgement:
    others = [number(n) for n in (PHARMACY, "+15550100003") if n not in {m.phone_number for m in numbers}]
    return judge([*numbers, *others], dialplan, public_url, applications)  # type: ignore[arg-type]


def about(judgement: Judgement, phone_number: str = PHARMACY) -> Finding:
    return next(f for f in judgement.all_findings() if phone_number in f.message)


def changes(judgement: Judgement) -> dict[str, dict[str, str]]:
    return {correction.number.phone_number: correction.values for correction in judgement.corrections}


def test_a_number_that_points_here_is_as_it_should_be(dialplan: Dialplan) -> None:
    found = judged(dialplan, number())

    assert about(found).state is State.OK
    assert found.corrections == ()


@pytest.mark.parametrize(
    "spelled",
    [
        {"voice_url": "https://VOICE.example.com:443/twilio/voice"},
        {"voice_url": f"{PUBLIC}/twilio/voice#rc=2"},
        {"voice_method": "", "status_callback_method": ""},
        {"voice_method": "post"},
    ],
)
def test_another_spelling_of_it_is_left_alone(dialplan: Dialplan, spelled: dict[str, str]) -> None:
    assert judged(dialplan, number(**spelled)).corrections == ()


@pytest.mark.parametrize(
    ("fields", "state", "corrected"),
    [
        ({"voice_url": "https://old.example.com/twilio/voice"}, State.WRONG, {"voice_url"}),
        ({"voice_url": ""}, State.WRONG, {"voice_url"}),
        ({"voice_url": "http://voice.example.com/twilio/voice"}, State.WRONG, {"voice_url"}),
        ({"voice_method": "GET"}, State.WRONG, {"voice_method"}),
        ({"voice_fallback_url": ""}, State.WARNING, {"voice_fallback_url"}),
        ({"voice_fallback_method": "GET"}, State.WARNING, {"voice_fallback_method"}),
        ({"status_callback": "https://elsewhere.example.com"}, State.WARNING, {"status_callback"}),
        ({"status_callback_method": "GET"}, State.WARNING, {"status_callback_method"}),
    ],
)
def test_what_should_be_otherwise_is_corrected_and_nothing_else(
    dialplan: Dialplan, fields: dict[str, str], state: State, corrected: set[str]
) -> None:
    found = judged(dialplan, number(**fields))

    assert about(found).state is state
    assert "--fix" in about(found).help
    assert changes(found) == {PHARMACY: {field: GOOD[field] for field in corrected}}


def test_a_fallback_that_somebody_has_chosen_stays(dialplan: Dialplan) -> None:
    own = {"voice_fallback_url": "https://handler.twilio.com/twiml/EH1", "voice_fallback_method": "GET"}

    found = judged(dialplan, number(**own))
    moved = judged(dialplan, number(**own, voice_url="https://old.example.com/x"))

    assert about(found).state is State.OK
    assert "a fallback of its own, https://handler.twilio.com/twiml/EH1" in about(found).message
    assert changes(moved) == {PHARMACY: {"voice_url": GOOD["voice_url"]}}


@pytest.mark.parametrize(
    "fallback", [f"https://older.example.com/twilio/voice{RETRIED}", "https://old.example.com/twilio/voice"]
)
def test_a_fallback_that_was_the_webhook_moves_along(dialplan: Dialplan, fallback: str) -> None:
    old = {"voice_url": "https://old.example.com/twilio/voice", "voice_fallback_url": fallback}

    assert set(changes(judged(dialplan, number(**old)))[PHARMACY]) == {"voice_url", "voice_fallback_url"}


@pytest.mark.parametrize(
    "fields",
    [{"trunk_sid": "TK1"}, {"voice_application_sid": "AP1"}, {"takes_calls": False}],
    ids=["trunk", "application", "no calls"],
)
def test_a_number_that_does_not_go_by_its_addresses_is_reported_and_not_touched(
    dialplan: Dialplan, fields: dict[str, str]
) -> None:
    elsewhere = Application("https://other.example.com", "POST")

    found = judged(dialplan, number(voice_url="https://old.example.com", **fields), AP1=elsewhere)
    by_star = judged(dialplan, number("+18005550100", voice_url="https://old.example.com", **fields), AP1=elsewhere)

    assert about(found).state is State.WRONG
    assert about(found).help
    assert found.corrections == ()
    assert about(by_star, "+18005550100").state is State.WARNING
    assert by_star.corrections == ()


def test_an_application_that_points_here_is_as_good_as_the_number_itself(dialplan: Dialplan) -> None:
    number_of_it = number(voice_application_sid="AP1", voice_url="")

    good = judged(dialplan, number_of_it, AP1=Application(f"{PUBLIC}/twilio/voice", "POST"))
    by_get = judged(dialplan, number_of_it, AP1=Application(f"{PUBLIC}/twilio/voice", "GET"))

    assert about(good).state is State.OK
    assert about(by_get).state is State.WRONG


def test_an_application_that_cannot_be_seen_is_a_doubt(dialplan: Dialplan) -> None:
    found = judged(dialplan, number(voice_application_sid="AP1"), AP1=Failed("status 500", ""))

    assert about(found).state is State.WARNING
    assert "status 500" in about(found).message


def test_a_twiml_bin_is_a_doubt_where_the_agent_has_streams_and_wrong_where_it_has_none(dialplan: Dialplan) -> None:
    bin_url = "https://handler.twilio.com/twiml/EH1"

    with_streams = judged(dialplan, number("+15550100003", voice_url=bin_url))
    without = judged(dialplan, number(voice_url=bin_url))

    assert about(with_streams, "+15550100003").state is State.WARNING
    assert "/twilio/bakery" in about(with_streams, "+15550100003").help
    assert with_streams.corrections == ()
    assert about(without).state is State.WRONG
    assert without.corrections


def test_a_number_that_a_star_claims_is_corrected_and_the_star_is_named(dialplan: Dialplan) -> None:
    found = judged(dialplan, number("+18005550100", voice_url=""))

    assert set(changes(found)) == {"+18005550100"}
    assert '(clinic, by "+1800*")' in about(found, "+18005550100").message


def test_a_number_that_no_agent_answers_is_left_alone(dialplan: Dialplan) -> None:
    found = judged(dialplan, *(number(f"+4420000000{i}", voice_url="https://other.example.com") for i in range(5)))

    left = about(found, "+44200000001")
    assert left.state is State.OK
    assert left.message.endswith("+44200000002 and 2 more")
    assert found.corrections == ()


def test_a_number_that_points_here_and_that_no_agent_answers_is_a_doubt(dialplan: Dialplan) -> None:
    found = judged(dialplan, number("+442000000000"))

    assert about(found, "+442000000000").state is State.WARNING
    assert 'numbers: ["+442000000000"]' in about(found, "+442000000000").help
    assert found.corrections == ()


def test_a_number_in_a_file_that_the_account_does_not_have_is_a_doubt_with_its_place(dialplan: Dialplan) -> None:
    found = judge([number("+15550100003")], dialplan, PUBLIC, {})

    assert about(found).state is State.WARNING
    assert "agents/pharmacy.yaml:1:11" in about(found).help
    assert not any("+1800*" in finding.message for finding in found.findings)


def test_without_a_public_url_nothing_is_corrected(dialplan: Dialplan) -> None:
    elsewhere = number("+15550100003", voice_url="https://other.example.com/x")

    found = judged(dialplan, number(), elsewhere, public_url="")

    assert found.corrections == ()
    assert about(found).state is State.OK
    assert about(found, "+15550100003").state is State.WRONG
    assert "PUBLIC_URL" in about(found, "+15550100003").help


def test_no_password_of_an_address_is_in_any_finding(dialplan: Dialplan) -> None:
    secret = "https://ann:canary@old.example.com/x?key=canary"
    everywhere = {"voice_url": secret, "voice_fallback_url": secret + "f", "status_callback": secret}

    found = judged(
        dialplan,
        number(**everywhere),
        number("+15550100003", voice_application_sid="AP1"),
        AP1=Application(secret, "POST"),
    )

    assert "canary" not in repr(found.all_findings())


def test_whatever_should_be_is_as_it_should_be(dialplan: Dialplan) -> None:
    found = judged(dialplan, number(voice_url="", voice_fallback_url="", status_callback=""))
    then = number(**{"voice_url": "", **found.corrections[0].values})

    assert judged(dialplan, then).corrections == ()
