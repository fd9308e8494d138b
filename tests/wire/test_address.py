"""Addresses as people may see them, and as they are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.wire import address


@pytest.mark.parametrize(
    ("url", "visible"),
    [
        ("https://voice.example.com/twilio/voice", "https://voice.example.com/twilio/voice"),
        ("https://ann:secret@x.example.com/voice", "https://…@x.example.com/voice"),
        ("https://ann:se/cr@et@x.example.com/voice", "https://…@x.example.com/voice"),
        ("ann:secret@x.example.com", "…@x.example.com"),
        ("https://x.example.com/voice?key=secret#rc=2", "https://x.example.com/voice?…"),
        ("https://x.example.com/voice#rc=2&secret", "https://x.example.com/voice"),
        ("https://x\x1b[31m.example.com", "https://x?[31m.example.com"),
        ("https://[secret@", "https://…@"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, visible: str) -> None:
    assert address.shown(url) == visible


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text())
def test_no_password_is_ever_shown(password: str, path: str) -> None:
    shown = address.shown(f"https://user:canary{password.replace('#', '').replace('?', '')}@host/{path}")

    assert "canary" not in shown
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example.com/x", "https://A.example.com:443/x"),
        ("https://a.example.com", "https://a.example.com/"),
        ("https://a.example.com/x#rc=3", "https://a.example.com/x"),
        ("", ""),
    ],
)
def test_two_spellings_of_one_place_are_the_same(one: str, other: str) -> None:
    assert address.same(one, other)


@pytest.mark.parametrize(
    "other",
    [
        "",
        "http://a.example.com/x",
        "https://b.example.com/x",
        "https://a.example.com/X",
        "https://a.example.com/x/",
        "https://a.example.com:8443/x",
        "https://a.example.com/x?y",
        "https://u:p@a.example.com/x",
        "https://a.example.com:x/x",
        "https://[/x",
    ],
)
def test_another_place_is_not_the_same(other: str) -> None:
    assert not address.same("https://a.example.com/x", other)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "[::1]", "10.1.2.3", "192.168.0.2", "169.254.1.1", "box.local", "box", "a.internal"],
)
def test_an_address_that_the_internet_cannot_reach_is_private(host: str) -> None:
    assert address.is_private(f"https://{host}:5000")


@pytest.mark.parametrize("host", ["voice.example.com", "x.ngrok-free.app", "8.8.8.8", "[2606:4700::1111]"])
def test_an_address_of_the_internet_is_not(host: str) -> None:
    assert not address.is_private(f"https://{host}")


@given(st.text())
def test_whatever_the_text_is_nothing_is_raised(text: str) -> None:
    address.shown(text)
    address.host(text)
    address.path(text)
    address.is_private(text)
    assert address.same(text, text)
