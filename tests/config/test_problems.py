"""One mistake and the pictures of it: for people, for programs, for GitHub."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dialplan.config.problems import (
    CODES,
    Place,
    Problem,
    Severity,
    as_github,
    as_json,
    as_text,
    did_you_mean,
    has_errors,
    lines_of,
    listed,
    picture,
    shown,
)

VOISE = Problem("E104", Place("agents/a.yaml", 2, 1, 2, 6), 'unknown key "voise"', 'did you mean "voice"?')
TEXTS = {"agents/a.yaml": "prompt: Be brief.\nvoise: aura\n"}


def test_a_picture_is_the_line_with_a_caret_under_the_word() -> None:
    assert picture(VOISE, TEXTS) == (
        'agents/a.yaml:2:1  error E104: unknown key "voise"\n  |\n2 | voise: aura\n  | ^^^^^ did you mean "voice"?'
    )


def test_pictures_stand_apart() -> None:
    assert as_text([VOISE, VOISE], TEXTS) == picture(VOISE, TEXTS) + "\n\n" + picture(VOISE, TEXTS)


def test_without_the_file_the_picture_is_its_words() -> None:
    assert picture(VOISE, {}) == 'agents/a.yaml:2:1  error E104: unknown key "voise"\n  = did you mean "voice"?'


def test_a_warning_is_called_one() -> None:
    warning = Problem("W501", Place("a.yaml"), "nobody can reach this agent")

    assert warning.severity is Severity.WARNING
    assert "warning W501" in picture(warning, {})
    assert not has_errors([warning])
    assert has_errors([warning, VOISE])


@pytest.mark.parametrize(
    ("line", "word"),
    [("\tvoise: x", "voise"), ("ä😀: voise", "voise"), ("a\x07b voise", "voise"), ("x" * 5000 + " voise: y", "voise")],
)
def test_the_caret_stays_under_its_word(line: str, word: str) -> None:
    column = line.index(word) + 1
    problem = Problem("E104", Place("a", 1, column, 1, column + len(word)), "unknown")

    *_, shown_line, carets = picture(problem, {"a": line}).split("\n")

    assert shown_line[carets.index("^") : carets.rindex("^") + 1] == word
    assert len(shown_line) < 160


def test_of_a_place_over_several_lines_the_first_is_shown() -> None:
    problem = Problem("E107", Place("a", 1, 3, 9, 2), "wrong")

    assert picture(problem, {"a": "a: |\n  b\n"}).endswith("1 | a: |\n  |   ^^")


def test_an_empty_place_gets_one_caret() -> None:
    assert picture(Problem("E103", Place("a", 1, 3, 1, 3), "missing"), {"a": "a:"}).endswith("1 | a:\n  |   ^")


def test_the_json_has_nine_fields() -> None:
    assert json.loads(as_json([VOISE])) == [
        {
            "file": "agents/a.yaml",
            "line": 2,
            "column": 1,
            "end_line": 2,
            "end_column": 6,
            "code": "E104",
            "severity": "error",
            "message": 'unknown key "voise"',
            "help": 'did you mean "voice"?',
        }
    ]
    assert json.loads(as_json([])) == []


def test_github_gets_one_command_per_problem_with_its_signs_escaped() -> None:
    problem = Problem("W201", Place("agents/a,b:c%.yaml", 3, 4, 3, 9), "100 %\nof it", "help: yes, do")

    assert as_github([VOISE, problem]).split("\n") == [
        "::error file=agents/a.yaml,line=2,col=1,endLine=2,endColumn=6,title=E104"
        '::unknown key "voise" did you mean "voice"?',
        "::warning file=agents/a%2Cb%3Ac%25.yaml,line=3,col=4,endLine=3,endColumn=9,title=W201"
        "::100 %25%0Aof it help: yes, do",
    ]
    assert as_github([]) == ""


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("voise", ["voice", "notice"], "voice"),
        ("GREETING", ["greeting"], "greeting"),
        ("post", ["GET", "POST"], "POST"),
        ("xyz", ["voice"], ""),
        ("", ["voice"], ""),
        ("voice" * 10_000, ["voice"], ""),
    ],
)
def test_a_near_word_is_suggested(word: str, known: list[str], meant: str) -> None:
    assert did_you_mean(word, known) == (f'did you mean "{meant}"?' if meant else "")


def test_long_lists_and_texts_are_cut_short() -> None:
    assert listed(["b", "a"]) == "a, b"
    assert listed(map(str, range(20)), most=3) == "0, 1, 10, …"
    assert shown("two\nlines") == '"two lines"'
    assert shown("x" * 100) == f'"{"x" * 59}…"'


@given(st.lists(st.sampled_from(["a", "b: c", "\n", "\r", "\r\n", "\x85", "\u2028", "\u2029", " "])).map("".join))
@settings(deadline=None)
def test_lines_are_counted_as_the_parser_counts_them(text: str) -> None:
    quoted = "'" + text + "'"

    *_, scalar, _, _ = yaml.parse(quoted, Loader=yaml.SafeLoader)

    assert scalar.end_mark is not None
    assert scalar.end_mark.line == len(lines_of(quoted)) - 1
    assert scalar.end_mark.column == len(lines_of(quoted)[-1])


def test_every_code_has_a_title_that_is_no_sentence() -> None:
    for code, title in CODES.items():
        assert len(code) == 4
        assert code[0] in "EW"
        assert title == title.strip(".")
        assert title[0].islower() or title.startswith(("YAML", "a "))


def test_problems_read_in_one_line() -> None:
    assert str(VOISE) == 'agents/a.yaml:2:1  error E104: unknown key "voise" (did you mean "voice"?)'


def test_a_place_holds_what_begins_inside_it() -> None:
    place = Place("a", 2, 3, 4, 5)

    assert place.holds(Place("a", 3, 1, 9, 9))
    assert place.holds(place)
    assert not place.holds(Place("a", 2, 2, 2, 9))
    assert not place.holds(Place("a", 4, 6))
    assert not place.holds(Place("b", 3, 1))
