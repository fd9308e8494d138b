"""Values as YAML: whatever is written reads back as itself, and looks as if a person had written it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from dialplan.config import secret
from dialplan.config.jinja.templates import Template, literal
from dialplan.config.yaml import entries, source

#: Texts that are made of what YAML and Jinja trip over.
TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("{}%#$AB_:-\r\n \t'\"\\|>,[]&*!@~"))
)
KEYS = TEXTS.filter(bool)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def read_back(lines: list[str]) -> Any:
    tree, problems = source.read("x.yaml", "\n".join(lines) + "\n")
    assert not problems
    assert tree is not None
    return tree.plain()


@given(KEYS, JSON)
@examples(max_examples=300, deadline=None)
def test_whatever_is_written_reads_back_as_itself(key: str, value: Any) -> None:
    assert read_back(entries.entry(key, value)) == {key: value}
    assert read_back(entries.item(value, 2)) == [value]


@given(TEXTS)
@examples(max_examples=500, deadline=None)
def test_a_literal_template_renders_to_its_text(text: str) -> None:
    found = read_back(entries.template("prompt", literal(text)))["prompt"]

    assert Template(found).render({}) == text
    assert not secret.REFERENCE.search(found)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Answers the phone.", "Answers the phone."),
        ("America/New_York", "America/New_York"),
        ("It's open", "It's open"),
        ("no", '"no"'),
        ("Null", '"Null"'),
        ("+15550100001", '"+15550100001"'),
        ("17:30", '"17:30"'),
        ("a: b", '"a: b"'),
        ("a #b", '"a #b"'),
        ("@home", '"@home"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("Zoë 🎉", '"Zoë 🎉"'),
        ("", '""'),
        (0.5, "0.5"),
        (True, "true"),
        (None, "null"),
    ],
)
def test_a_value_has_quotes_where_it_needs_them(value: Any, written: str) -> None:
    assert entries.scalar(value) == written


def test_a_text_of_several_lines_is_a_block() -> None:
    assert entries.template("prompt", "One.\n\nTwo {a}.") == ["prompt: |", "  One.", "", "  Two {a}."]


@pytest.mark.parametrize("text", ["a \nb", " a\nb", "a\tb\nc", "a\nb\n", "a\x07\nb"])
def test_what_a_block_would_not_show_is_quoted(text: str) -> None:
    (line,) = entries.entry("prompt", text)

    assert line.startswith('prompt: "')


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Hello {name}, 5% #1", "Hello {name}, 5% #1"),
        ("{{ x }}", '{{ "{{" }} x }}'),
        ("{% if a %}", '{{ "{%" }} if a %}'),
        ("${KEY}", '{{ "${" }}KEY}'),
    ],
)
def test_only_what_would_be_acted_on_is_written_differently(text: str, written: str) -> None:
    assert literal(text) == written
