"""Routes that nothing can ever take: what is said of them is so."""

import pytest

from dialplan.config.dialplan import Dialplan, Route, canonical
from dialplan.config.model import Agent
from dialplan.config.problems import Place
from dialplan.config.rules.unreachable import LONGEST, number_words, path_words


def answered(pattern: str, to: str) -> bool:
    """Whether a number's call is answered by the only route that there is."""
    agent: Agent = None  # type: ignore[assignment] # Which one does not matter here.
    dialplan = Dialplan(numbers={canonical(pattern): Route(pattern, agent, Place("a"))})
    return dialplan.answer(to) is not None


def test_a_star_behind_a_semicolon_counts_for_nothing() -> None:
    pattern = "sip:x@y;a=b*"

    assert number_words(pattern) is not None
    assert answered(pattern, "sip:x@y;a=bc")
    assert answered(pattern, "sip:x@y")
    assert not answered(pattern, "sip:x@yz;a=b")


def test_without_the_semicolon_the_star_is_one() -> None:
    assert number_words("sip:x@y*") is None
    assert answered("sip:x@y*", "sip:x@yz;a=b")


def test_a_beginning_that_is_too_long_is_never_found() -> None:
    fits, too_long = "sip:" + "x" * (LONGEST - 4) + "*", "sip:" + "x" * (LONGEST - 3) + "*"

    assert number_words(fits) is None
    assert number_words(too_long) is not None
    assert answered(fits, fits.removesuffix("*") + "y")
    assert not answered(too_long, too_long.removesuffix("*") + "y")


def test_what_twilio_sends_from_whatsapp_has_a_plus() -> None:
    assert number_words("whatsapp:15550100001") is not None
    assert not answered("whatsapp:15550100001", "whatsapp:+15550100001")


@pytest.mark.parametrize(
    "number",
    ["*", "+15550100001", "+1800*", "+12345678901234*", "+*", "whatsapp:+1*", "whatsapp:*", "sip:x@y;a=b", "client:x"],
)
def test_what_may_be_called_is_left_in_peace(number: str) -> None:
    assert number_words(number) is None


@pytest.mark.parametrize(("path", "plain"), [("/a%20b", "/a-b"), ("/%C3%A4", "/-"), ("/100%", ""), ("/a/b", "")])
def test_a_path_that_arrives_differently(path: str, plain: str) -> None:
    words = path_words(path)

    assert (words[1] if words else "") == (f"write {plain}" if plain else "")
