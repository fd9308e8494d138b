"""Addresses: the same place or another, at home or out there, shown without secrets."""

import pytest

from dialplan.server import addresses


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/twilio/voice", "https://A.example:443/twilio/voice#rc=2", True),
        ("https://a.example/twilio/voice", "https://a.example/twilio/voice?x=1", True),
        ("https://a.example", "https://a.example/", True),
        ("https://a.example/twilio/voice", "http://a.example/twilio/voice", False),
        ("https://a.example/twilio/voice", "https://a.example/twilio/voice/", False),
        ("https://a.example/twilio/voice", "https://a.example:8443/twilio/voice", False),
        ("https://a.example/twilio/voice", "", False),
        ("https://a.example/twilio/voice", "https://[", False),
        ("https://a.example:x/", "https://a.example:x/", False),
    ],
)
def test_the_same_place_is_the_same_scheme_host_port_and_path(one: str, other: str, same: bool) -> None:
    assert addresses.same_place(one, other) is same
    assert addresses.same_place(other, one) is same


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://localhost:5000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:5000", True),
        ("https://192.168.1.7", True),
        ("https://10.0.0.1", True),
        ("https://169.254.1.1", True),
        ("https://laptop.local", True),
        ("https://laptop", True),
        ("https://db.internal.", True),
        ("https://8.8.8.8", False),
        ("https://voice.example.com", False),
    ],
)
def test_private_is_what_twilio_cannot_reach(url: str, private: bool) -> None:
    assert addresses.is_private(url) is private


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@a.example:8443/x?token=s3cret#rc=2", "https://a.example:8443/x?…"),
        ("https://a.example/x", "https://a.example/x"),
        ("nothing", "something that is no address"),
        ("https://user:pass@[", "something that is no address"),
    ],
)
def test_an_address_is_shown_without_user_password_and_query(url: str, shown: str) -> None:
    assert addresses.shown(url) == shown
