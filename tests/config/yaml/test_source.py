"""YAML with places: what values are, where they stand, and that no text raises."""

import io
import random
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from dialplan.config.loading import load
from dialplan.config.problems import Place, Problem, lines_of
from dialplan.config.yaml.places import places_inside, whole_file
from dialplan.config.yaml.source import MAX_DEPTH, MAX_VALUES, Node, merge, read
from tests.config.files import write

ROOT = Path(__file__).parents[3]
SHIPPED = [(ROOT / "agents" / name).read_text() for name in ("pharmacy.yaml", "clinic.yaml")]


def tree(text: str) -> Node:
    node, problems = read("a.yaml", text)
    assert node is not None, problems
    assert not problems
    return node


def problems_of(text: str) -> list[Problem]:
    return read("a.yaml", text)[1]


# What values are: YAML 1.2's core schema.


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("nothing", "nothing"),
        ("17:30", "17:30"),
        ("17:30:00", "17:30:00"),
        ("2026-11-25", "2026-11-25"),
        ("0123", 123),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("+15550100001", 15550100001),
        ("-3", -3),
        ("3.", 3.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.5E-2", 0.015),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("'no'", "no"),
        ('"17"', "17"),
        ("!!str 17", "17"),
    ],
)
def test_a_value_is_what_yaml_12_says(written: str, value: object) -> None:
    node = tree(f"key: {written}\n").at("key")

    assert node.value == value
    assert type(node.value) is type(value)


def test_not_a_number_is_a_number_of_yaml() -> None:
    value = tree("key: .nan").at("key").value

    assert isinstance(value, float)
    assert value != value


def test_digits_beyond_what_python_prints_stay_text() -> None:
    for digits in ("9" * 5000, "0x" + "f" * 5000, "1." + "0" * 5000):
        assert tree(f"key: {digits}").at("key").value == digits


def test_keys_are_words_whatever_they_look_like() -> None:
    assert tree("1: a\ntrue: b\nno: c\n'x': d\n").plain() == {"1": "a", "true": "b", "no": "c", "x": "d"}


def test_an_empty_file_is_an_empty_mapping() -> None:
    for text in ("", "\n\n", "# nothing but a comment\n", "---\n", "\ufeff"):
        assert tree(text).plain() in ({}, None)


def test_block_texts_keep_their_lines() -> None:
    assert tree("a: |\n  one\n  two\nb: >-\n  three\n  four\n").plain() == {"a": "one\ntwo\n", "b": "three four"}


# Duplicates, merge keys, aliases.


def test_a_key_that_stands_twice_is_told_at_its_second_place_and_names_the_first() -> None:
    node, problems = read("a.yaml", "voice: one\nlimits: {calls: 1}\n'voice': two\n")

    assert node is not None
    assert node.at("voice").value == "one"
    assert problems == [
        Problem(
            "E003",
            Place("a.yaml", 3, 1, 3, 8),
            'the key "voice" stands twice; the first is in line 1 (a.yaml:1:1)',
            "remove one of the two",
        )
    ]


def test_a_merge_key_brings_in_keys_and_those_written_out_win() -> None:
    text = "base: &base {a: 1, b: 1}\nother: &other {b: 2, c: 2}\nkey:\n  <<: [*base, *other]\n  c: 3\n"

    assert tree(text).at("key").plain() == {"a": 1, "b": 1, "c": 3}


def test_a_merge_key_in_quotes_is_a_key() -> None:
    assert tree('"<<": {a: 1}').plain() == {"<<": {"a": 1}}


def test_an_alias_stands_where_its_anchor_stands() -> None:
    node = tree("a: &x Hello\nb: *x\n")

    assert node.at("b").value == "Hello"
    assert node.at("b").place == Place("a.yaml", 1, 7, 1, 12)


def test_an_anchor_is_not_part_of_its_values_place() -> None:
    node = tree("a: &x !!str\n  'Hello'\nb: &y |\n  text\n")

    assert node.at("a").place == Place("a.yaml", 2, 3, 2, 10)
    assert (node.at("b").place.line, node.at("b").place.column) == (3, 7)


# Files that make no sense.


def test_deep_nesting_is_refused_and_no_more() -> None:
    fits = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert problems_of(f"a: {fits}") == []
    assert [p.code for p in problems_of(f"a: [{fits}]")] == ["E004"]
    assert [p.code for p in problems_of("[" * 100_000)] == ["E004"]
    assert [p.code for p in problems_of("- " * 100_000)] == ["E004"]
    assert [p.code for p in problems_of("{a: " * 100_000)] == ["E004"]


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]

    node, problems = read("a.yaml", "\n".join(lines))

    assert node is None
    assert [p.code for p in problems] == ["E004"]
    assert f"{MAX_VALUES:,}" in problems[0].message


def test_a_bomb_of_merge_keys_is_refused_too() -> None:
    lines = ["a0: &a0 {x0: 1}"]
    lines += [f"a{n}: &a{n} {{x{n}: *a{n - 1}, y{n}: *a{n - 1}, <<: *a{n - 1}}}" for n in range(1, 30)]

    assert [p.code for p in problems_of("\n".join(lines))] == ["E004"]


def test_a_value_that_holds_itself_is_refused() -> None:
    assert [p.code for p in problems_of("a: &a [*a]")] == ["E002"]


def test_a_file_of_more_than_a_megabyte_is_refused() -> None:
    assert [p.code for p in problems_of("a: " + "x" * 1_000_001)] == ["E004"]


def test_half_a_surrogate_pair_is_a_problem_at_its_place() -> None:
    assert [(p.code, p.place.line, p.place.column) for p in problems_of("a: x\nb: \ud800")] == [("E002", 2, 4)]


# Places.


def test_lines_and_columns_count_as_an_editor_counts() -> None:
    for line_break in ("\n", "\r\n", "\r", "\x85", "\u2028"):
        node = tree(f"a: 1{line_break}{line_break}b: 'ä😀' # x{line_break}c: [1, two]{line_break}")

        assert node.key_place("b") == Place("a.yaml", 3, 1, 3, 2)
        assert node.at("b").place == Place("a.yaml", 3, 4, 3, 8)
        assert node.at("c", 1).place == Place("a.yaml", 4, 8, 4, 11)


def test_a_form_feed_is_no_new_line() -> None:
    assert lines_of("a\x0cb\nc") == ["a\x0cb", "c"]


def test_a_byte_order_mark_moves_nothing() -> None:
    assert tree("\ufeffa: 1").at("a").place == Place("a.yaml", 1, 4, 1, 5)


@pytest.mark.parametrize(
    "written",
    [
        "word and §1 end",
        "word\n  and §1 end",
        "'it''s a word, ''§1'' end'",
        "'it''s\n\n  §1'",
        '"\\u00e4\\t\\x41 \\"§1\\" end"',
        '"one \\\n  \\  §1\\n end"',
        '"\\\\§1"',
        "|\n  word\n\n    §1\n  end",
        "|  # not §1 here\n  §1",
        "|2-\n    §1",
        ">\n  word\n  §1\n\n  end",
        ">+\n  word\n\n     §1\n\n",
        "&name '§1'",
        "&name !!str   # §\n  §1",
    ],
)
def test_the_place_of_a_part_of_a_text_is_right_however_it_is_written(written: str) -> None:
    text = f"first: §1\nkey: {written}\nlast: §1\n"
    node = tree(text).at("key")
    assert isinstance(node.value, str)

    [place] = places_inside(node, text, [(node.value.index("§1"), 2)])

    line = lines_of(text)[place.line - 1]
    assert line[place.column - 1 : place.end_column - 1] == "§1"
    assert node.place.holds(place)


def test_the_place_of_a_part_of_a_whole_file_is_right() -> None:
    text = "one\n\n  two §1\n"

    [place] = places_inside(whole_file("p.md", text), text, [(text.index("§1"), 2)])

    assert place == Place("p.md", 3, 7, 3, 9)


TEXTS = st.lists(st.sampled_from(["§1", "§2", "a", "'", '"', "\\", " ", "\n", "ä", "😀", "#", ": ", "{{ x }}", "\t"]))


@given(parts=TEXTS, style=st.sampled_from(["'", '"', "|", ">", None]), width=st.sampled_from([20, 1000]))
@settings(max_examples=150, deadline=None)
def test_every_text_that_yaml_writes_is_read_back_with_its_places(
    parts: list[str], style: str | None, width: int
) -> None:
    value = "".join(parts)
    text = yaml.dump({"x": "1", "key": value}, default_style=style, width=width, allow_unicode=True)
    assume(yaml.safe_load(text)["key"] == value)  # PyYAML folds a line that begins with a space, which loses it.
    node = tree(text).at("key")

    assert node.value == value
    marks = [match.span() for match in re.finditer("§[12]", value)]
    for place, (start, end) in zip(places_inside(node, text, [(s, e - s) for s, e in marks]), marks, strict=True):
        line = lines_of(text)[place.line - 1]
        assert line[place.column - 1 : place.end_column - 1] == value[start:end]


def test_a_part_of_nothing_but_spaces_stands_where_the_text_stands() -> None:
    node = tree("key: 'a  b'").at("key")

    assert places_inside(node, "key: 'a  b'", [(1, 2), (99, 3)]) == [node.place, node.place]


def test_what_only_the_pure_parser_refuses_is_not_blamed() -> None:
    [problem] = problems_of("a: {caller: Really?}\nb: c\nd: 'e' f\n")

    assert str(problem.place) == "a.yaml:3:8"
    assert problem.message == "the quotes end before this, and the text goes on"


# Trees.


def test_merging_puts_mappings_together_and_replaces_the_rest() -> None:
    under = tree("a: {x: 1, y: {z: 1}}\nb: [1, 2]\nc: 1\n")
    over = tree("a: {y: {w: 2}}\nb: [3]\nd: 4\n")

    merged = merge(under, over)

    assert merged.plain() == {"a": {"x": 1, "y": {"z": 1, "w": 2}}, "b": [3], "c": 1, "d": 4}


def test_what_was_merged_keeps_the_places_of_its_own_file() -> None:
    under, _ = read("_base.yaml", "a: 1\nb: 2\n")
    over, _ = read("x.yaml", "b: 3\n")
    assert under is not None
    assert over is not None

    merged = merge(under, over)

    assert str(merged.at("a").place) == "_base.yaml:1:4"
    assert str(merged.at("b").place) == "x.yaml:1:4"


def test_a_tree_without_some_paths_has_all_the_others() -> None:
    node = tree("a: [1, {b: 2, c: 3}, 4]\nd: {e: 5}\n")

    assert node.without([("a", 0), ("a", 1, "b"), ("d", "e")]).plain() == {"a": [{"c": 3}, 4], "d": {}}


def test_a_path_that_leads_nowhere_ends_at_the_last_value_on_the_way() -> None:
    node = tree("a: {b: [1]}")

    assert node.at("a", "b", 7, "x") is node.at("a", "b")
    assert node.get("z") is None


# No text whatever raises, or gives a problem without a sensible place.


def assert_sensible(problem: Problem, lines: list[str]) -> None:
    place = problem.place
    assert 1 <= place.line <= len(lines)
    assert 1 <= place.column <= len(lines[place.line - 1]) + 1
    assert (place.line, place.column) <= (place.end_line, place.end_column)
    assert place.end_line <= len(lines)
    assert problem.message


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A shipped agent after a bad day: cut, spliced, with a few characters that mean something to YAML or Jinja."""
    text = draw(st.sampled_from(SHIPPED))
    for _ in range(draw(st.integers(1, 4))):
        at, to = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        match draw(st.sampled_from(["cut", "truncate", "insert", "splice", "repeat"])):
            case "cut":
                text = text[:at] + text[min(to, at + 20) :]
            case "truncate":
                text = text[:to]
            case "insert":
                text = text[:at] + draw(_HAZARDS) + text[at:]
            case "splice":
                text = text[:at] + draw(st.sampled_from(SHIPPED))[to : to + 200] + text[at:]
            case "repeat":
                text = text[:to] + text[at : min(to, at + 100)] + text[to:]
    return text


_SIGNS = "{{ }} {% %} {# [ ] { } ' | > ! % @ ` # \\ ~ null - .nan 0x ${X} ${ call.form {{stor}} 99999999999999999999 😀"
_SPACED = [
    "\t",
    "\n",
    "\r",
    "\x85",
    "\n  ",
    "\x00",
    "\ufeff",
    '"',
    "&a ",
    "*a",
    "- ",
    ": ",
    "? ",
    "<<: ",
    "---\n",
    "...\n",
]
_HAZARDS = st.sampled_from([*_SIGNS.split(" "), *_SPACED, "extends: _x\n", "x-a: "])
#: Anything at all, for the parser only.
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=60) | st.lists(_HAZARDS, max_size=12).map("".join)


@given(text=ANY_TEXT)
@settings(max_examples=300, deadline=None)
@example("\ufeff\x00")
@example("key: 'a\n")
@example("%YAML 1.3\n---\na: b")
@example("%YAML 1.2\n---\na: b")
@example("? - a\n  - b\n: c")
@example("{{ a }}: {{ b }}\n")
@example("[{{ a }}]")
@example("a: {{ b\n")
@example("a: {{{ b }}}\n")
@example("a: \r {{ b }}\r\rc")
@example("!<")
@example("a: *")
@example("- - : -")
@example('a: "\\UFFFFFFFF"')
@example("%YAML " + "9" * 5000)
def test_no_text_raises_or_has_a_problem_without_a_place(text: str) -> None:
    node, problems = read("a.yaml", text)

    assert node is not None or problems
    for problem in problems:
        assert_sensible(problem, lines_of(text.removeprefix("\ufeff")))


@given(text=mutated())
@settings(max_examples=120, suppress_health_check=list(HealthCheck), deadline=None)
def test_no_agent_file_raises_or_has_a_problem_without_a_place(text: str, tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": text})

    loading = load(tmp_path, {"X": "x"})

    assert loading.dialplan.agents.keys() | set(loading.set_aside) == {"a"}
    for problem in loading.problems:
        assert_sensible(problem, lines_of(loading.texts.get(problem.place.file, "")))


def test_every_truncation_of_a_shipped_agent_is_read(tmp_path: Path) -> None:
    text = SHIPPED[0]
    chosen = random.Random(7)

    for _ in range(60):
        cut = text[: chosen.randrange(len(text))]
        for problem in problems_of(cut):
            assert_sensible(problem, lines_of(cut))


def test_the_words_of_the_parser_do_not_leak() -> None:
    jargon = re.compile(r"token|scalar|block end|document start|node|while |\bgot\b|<\w+>")
    chosen = random.Random(11)
    hazards = [
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        ": ",
        "\n",
        "- ",
        "& ",
        "*",
        "!",
        "? ",
        "|x",
        "%",
        "\t",
        "@",
        "\\",
        "---\n",
    ]

    for _ in range(1500):
        text = io.StringIO()
        for _ in range(chosen.randrange(1, 7)):
            text.write(chosen.choice([*hazards, "a: b\n", "  c: d\n", "e"]))
        for problem in problems_of(text.getvalue()):
            assert not jargon.search(problem.message + problem.help), (text.getvalue(), problem)
