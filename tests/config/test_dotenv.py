"""What is wrong in a `.env`, in words, and without what it says."""

from collections.abc import Callable

import pytest

from dialplan.config import dotenv
from dialplan.errors import ConfigError

KNOWN = ("TWILIO_AUTH_TOKEN", "DEEPGRAM_API_KEY", "PUBLIC_URL")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("TWILIO_AUTH_TOKEN s3cret", 1, "this line is not understood; write TWILIO_AUTH_TOKEN=value"),
        (
            "A=1\n\n# Ours.\nDEEPGRAM_API_KEY: s3cret\nB=2",
            4,
            "this line is not understood; write DEEPGRAM_API_KEY=value",
        ),
        ("s3cret s3cret", 1, "this line is not understood; write NAME=value"),
        ('PUBLIC_URL="s3cret\nB=2', 1, "a quote is opened here and not closed"),
        ('PUBLIC_URL="s3cret" s3cret', 1, "a quote is opened here and not closed, or something follows it"),
        ("PUBLIC_URL=“s3cret”", 1, "the quotes around the value of PUBLIC_URL are typographic"),
        ("TWILIO_AUTH_TOKEN", 1, "TWILIO_AUTH_TOKEN has no value; write TWILIO_AUTH_TOKEN=value"),
        ("'A=B'=s3cret", 1, "this line is not understood"),
        ("s3cret", 1, "NAME has no value; write NAME=value"),
        ("TWILIO_AUTH_TOKN=s3cret", 1, 'means nothing to Dialplan; did you mean "TWILIO_AUTH_TOKEN"?'),
        ("deepgram_api_key=s3cret", 1, 'did you mean "DEEPGRAM_API_KEY"?'),
        ("DEEPGRAM_KEY=s3cret", 1, 'did you mean "DEEPGRAM_API_KEY"?'),
    ],
)
def test_a_line_with_a_mistake_is_told_without_its_value(text: str, line: int, words: str) -> None:
    (remark,) = dotenv.remarks(text, KNOWN)

    assert remark.line == line
    assert words in remark.words
    assert "s3cret" not in remark.words


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# Nothing.\n\n",
        "A=1\nexport B = 2  # Two.\nC=\nD='x y'\nE=\"a\nb\"\n",
        "DEEPGRAM_API_KEY_2=x",
        "TWILIO_API_KEY=x",
        "TWILIO_AUTH_TOKEN=x\nTWILIO_AUTH_TOKN=the old one\n",
    ],
)
def test_what_is_right_gives_no_remark(text: str) -> None:
    assert dotenv.remarks(text, KNOWN) == []


def test_lines_with_mistakes_do_not_keep_the_others_from_counting(capfd: pytest.CaptureFixture[str]) -> None:
    assert dotenv.values("A=1\nB 2\nC=${A}3\nD\n", {}) == {"A": "1", "C": "13"}
    assert capfd.readouterr() == ("", "")


def test_a_name_that_no_environment_takes_is_left_out() -> None:
    assert dotenv.values("'A=B'=c\nD=e", {}) == {"D": "e"}


def test_values_that_grow_by_each_other_are_refused_before_they_fill_the_memory() -> None:
    lines = ["A0=xxxxxxxxxx", *(f"A{n}=" + f"${{A{n - 1}}}" * 10 for n in range(1, 12))]

    with pytest.raises(ConfigError, match=r"^\.env:6: a value of more than"):
        dotenv.values("\n".join(lines), {})


@pytest.mark.parametrize("read", [lambda text: dotenv.values(text, {}), lambda text: dotenv.remarks(text, KNOWN)])
def test_a_file_that_would_be_read_for_minutes_is_refused(read: Callable[[str], object]) -> None:
    for text in ("A=" + "${" * 500_000, '"\n' * 500_000):
        with pytest.raises(ConfigError, match="more than"):
            read(text)
