"""What an operator reads, and what nobody may read there."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan import log

SECRETS = log.secrets(
    {
        "DEEPGRAM_API_KEY": "first-key, second-key",
        "DIALPLAN_SECRET": "first-key-and-more",
        "CRM_TOKEN": "abc",
        "GIT_AUTHOR_NAME": "somebody",
        "PUBLIC_URL": "https://voice.example.com",
    }
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("from +15550100001 to +4930123456.", "from +1555•••0001 to +49•••56."),
        ("sip:+15550100001@example.com", "sip:+1555•••0001@example.com"),
        ("/Calls?To=%2B15550100001&x=1", "/Calls?To=%2B1555•••0001&x=1"),
        ("1 + 15550100001 of CA15550100001aa, +0123", "1 + 15550100001 of CA15550100001aa, +0123"),
    ],
)
def test_a_phone_number_is_shortened_and_nothing_else_is(text: str, shown: str) -> None:
    assert log.fit(text, {}) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Token first-key", "Token ${DEEPGRAM_API_KEY}"),
        ("second-key", "${DEEPGRAM_API_KEY}"),
        ("first-key-and-more", "${DIALPLAN_SECRET}"),
        ("somebody has abc at https://voice.example.com", "somebody has abc at https://voice.example.com"),
    ],
)
def test_a_secret_is_named_and_not_shown(text: str, shown: str) -> None:
    assert log.fit(text, SECRETS) == shown


def test_the_password_in_an_address_is_left_out() -> None:
    assert log.fit("postgresql://calls:hunter2@db.example.com/calls", {}) == "postgresql://calls:…@db.example.com/calls"


@given(st.text(st.characters()))
def test_nobody_can_forge_a_line_or_move_the_cursor(text: str) -> None:
    first, *others = log.fit(f"a stranger sent {text}", SECRETS).split("\n")

    assert first.startswith("a stranger sent ")
    assert all(line.startswith("    ") for line in others)
    assert all(character.isprintable() for line in (first, *others) for character in line)


def test_a_traceback_is_treated_alike(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.configure("INFO", {"CRM_TOKEN": "canary-token"})
    try:
        try:
            raise ValueError("+15550100001 with canary-token")
        except ValueError:
            logging.getLogger("dialplan").exception("the function failed")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)

    first, *others = capsys.readouterr().err.splitlines()
    assert first.endswith("the function failed")
    assert others[-1] == "    ValueError: +1555•••0001 with ${CRM_TOKEN}"
    assert all(line.startswith("    ") for line in others)
