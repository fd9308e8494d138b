"""What the operator says in variables, and what is wrong with it."""

import pytest

from dialplan.errors import ConfigError
from dialplan.server.environment import LOOPBACK, environment

ENOUGH = {"TWILIO_AUTH_TOKEN": "t", "DEEPGRAM_API_KEY": "k"}


def test_unless_said_otherwise_there_is_no_limit_and_only_this_machine_is_a_proxy() -> None:
    told = environment(ENOUGH)

    assert (told.deepgram_sessions, told.trusted_proxies) == (None, LOOPBACK)


def test_limits_and_proxies_are_read() -> None:
    told = environment(
        {**ENOUGH, "DEEPGRAM_MAX_SESSIONS": "45", "TRUSTED_PROXIES": "10.0.0.5, fd00::/8 192.168.0.0/16"}
    )

    assert told.deepgram_sessions == 45
    assert told.trusted_proxies == ("10.0.0.5", "fd00::/8", "192.168.0.0/16")


def test_the_stand_in_has_no_limit() -> None:
    assert environment({**ENOUGH, "DEEPGRAM_MAX_SESSIONS": "45"}, offline=True).deepgram_sessions is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DEEPGRAM_MAX_SESSIONS", "0", "must be a whole number"),
        ("DEEPGRAM_MAX_SESSIONS", "many", "'many'"),
        ("DEEPGRAM_MAX_SESSIONS", "4.5", "such as 45"),
        ("TRUSTED_PROXIES", "*", "such as 10.0.0.5 or 10.0.0.0/8"),
        ("TRUSTED_PROXIES", "10.0.0.1, caddy", "'caddy'"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "10.0.0.1/8"),
    ],
)
def test_what_makes_no_sense_is_told_with_what_would(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as told:
        environment({**ENOUGH, name: value})

    assert name in str(told.value)
    assert words in str(told.value)
