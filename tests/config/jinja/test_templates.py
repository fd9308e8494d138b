"""Templates: filled in once, in a sandbox; and what is wrong in one, in words."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialplan.config.jinja.mistakes import TemplateMistake, filling_mistakes, mistakes
from dialplan.config.jinja.tags import Tagged
from dialplan.config.jinja.templates import Params, Template, Verbatim, is_template
from dialplan.errors import ConfigError
from dialplan.facts import Call

VARIABLES: dict[str, Any] = {"store": "Corner Pharmacy", "menu": {"items": ["tea", "rye"], "name": "Lunch"}, "count": 3}
FACTS = Call("CA1", from_="+15550100099", started=datetime(2026, 11, 25, 10, 10, tzinfo=UTC)).for_templates()
NAMES = {**VARIABLES, "call": FACTS | {"params": Params(tier="gold")}, "now": FACTS["started"]}


def found(source: str) -> list[TemplateMistake]:
    return [*mistakes(source, VARIABLES)] or filling_mistakes(source, VARIABLES)


def words(source: str) -> list[tuple[str, str]]:
    """Each mistake's code and the part of the text that it points at."""
    return [(m.code, source[m.offset : m.offset + m.length]) for m in found(source)]


# Filling in.


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello.", "Hello."),
        ("Hello, {{ store }}.", "Hello, Corner Pharmacy."),
        ("{{ call.from }}", "+15550100099"),
        ("{% if call.city %}from {{ call.city }}{% endif %}", ""),
        ('{{ call.started.strftime("%A %d %B") }}', "Wednesday 25 November"),
        ("{{ call.params.tier }}{{ call.params.none }}", "gold"),
        ('{{ call["from"] }}', "+15550100099"),
        ("{{ menu.items | join(', ') }}", "tea, rye"),
        ("{% for key, value in menu.items() %}{% endfor %}", None),
        ("{{ menu['name'] | upper }}", "LUNCH"),
        ("{{ count * 2 }}", "6"),
        ("{% set x = count + 1 %}{{ x }}", "4"),
        ("{# a remark #}x", "x"),
        ("{% raw %}{{ store }}{% endraw %}", "{{ store }}"),
        ("{{ range(3) | list }}", "[0, 1, 2]"),
        (
            "{% for n in range(2) %}{{ loop.index }} of {{ loop.length }}{{ ', ' if not loop.last }}{% endfor %}",
            "1 of 2, 2 of 2",
        ),
        ("{{ store ~ ' ' ~ count }}", "Corner Pharmacy 3"),
        ("{{ '{:,}'.format(1234567) }} {{ '%.2f' % 4.5 }}", "1,234,567 4.50"),
        ("{{ '%s costs %d' | format(store, 1234567) }}", "Corner Pharmacy costs 1234567"),
    ],
)
def test_a_template_is_filled_in(source: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(ConfigError):
            Template(source).render(NAMES)
    else:
        assert Template(source).render(NAMES) == text


def test_values_are_data() -> None:
    names = {"name": "{{ secrets }}{% for x in y %}"}

    assert Template("Hello, {{ name }}.").render(names) == "Hello, {{ secrets }}{% for x in y %}."


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ call.__class__ }}",
        "{{ menu.update({'a': 1}) }}",
        "{{ menu['items'].append('x') }}",
        "{{ call.started.__reduce__() }}",
        "{{ nothing }}",
        "{{ menu.nothing }}",
        "{{ 9 ** 99999999 }}",
        "{{ 'x' * 999999999 }}",
        "{{ ('x' * 9999) * 9999 }}",
        "{{ 'x' | center(999999999) }}",
        "{{ 'x'.ljust(999999999) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
        "{% set a = 'x' * 99 %}" + "{% set a = a ~ a %}" * 40,
        "{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}",
        "{{ store.upper }}",
        "{{ 1 // 0 }}",
    ],
)
def test_what_a_template_may_not_do_is_an_error_and_nothing_happens(source: str) -> None:
    with pytest.raises(ConfigError):
        Template(source).render(NAMES)

    assert VARIABLES["menu"] == {"items": ["tea", "rye"], "name": "Lunch"}


def test_values_in_a_url_can_add_neither_a_path_nor_a_parameter() -> None:
    names = {"drug": "../admin?x=1&y=ä z", "count": 3}

    assert Template("https://a.b/{{ drug }}/{{ count }}").render_url(names) == (
        "https://a.b/..%2Fadmin%3Fx%3D1%26y%3D%C3%A4%20z/3"
    )


def test_a_host_from_the_environment_stands_in_a_url_as_it_is() -> None:
    template = Template("{{ secret_0 }}/{{ secret_1 }}", {"secret_0": Verbatim("https://a.b:8"), "secret_1": "a/b"})

    assert template.render_url({}) == "https://a.b:8/a%2Fb"
    assert "a.b" not in repr(template)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ count }}", 3),
        ("  {{ count }}\n", 3),
        ("{{- count -}}", 3),
        ("{{ menu }}", VARIABLES["menu"]),
        ("{{ {'a': {'b': count}} }}", {"a": {"b": 3}}),
        ("{{ '}}' }}", "}}"),
        ("{{ count > 2 }}", True),
        ("{{ none }}", None),
        ("{{ count }} and {{ count }}", "3 and 3"),
        ("n{{ count }}", "n3"),
        ("plain", "plain"),
        ("", ""),
        ("{% if count %}{{ count }}{% endif %}", "3"),
    ],
)
def test_a_template_that_is_one_expression_keeps_its_type(source: str, value: object) -> None:
    result = Template(source).render_value(NAMES)

    assert result == value
    assert type(result) is type(value)


def test_only_tags_make_a_template() -> None:
    assert not is_template("{ } ${NAME} %}")
    assert all(map(is_template, ("{{ a }}", "{% if %}", "{# a #}")))


# Mistakes.


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("store {{ store }} stor {{ stor }}", [("E202", "stor")]),
        ("{{ stor }} {{ stor }}\n{{ stor }}", [("E202", "stor")] * 3),
        ("{{ call.form }} and {{ call['form'] }}", [("E203", "form")] * 2),
        ("{{ call.from_ }}", [("E203", "from_")]),
        ("{{ menu.nmae }}{{ x }}", [("E202", "x")]),
        ("{{ menu.nmae }}", [("E202", "nmae")]),
        ("{{ menu['nmae'] }}", [("E202", "nmae")]),
        ("{{ store | uper }}", [("E202", "uper")]),
        ("{{ store is odd2 }}", [("E202", "odd2")]),
        ("{% for x in [1] %}{{ x }}{% endfor %}{{ x }}", [("E202", "x")]),
        ("{% for x in x %}{{ x }}{% endfor %}", [("E202", "x"), ("E202", "x")]),
        ("{% set a = stor %}{{ a }}", [("E202", "stor")]),
        ("{% macro m(a) %}{{ a }}{{ b }}{% endmacro %}{{ m(store) }}", [("E202", "b")]),
        ("{{ range(stor=1) }}", [("E206", "{{ range(stor=1) }}")]),
        ("{{ store | replace(stor, 'x') }}", [("E202", "stor")]),
        ("{% raw %}{{ stor }}{% endraw %}{{ stor }}", [("E202", "stor")]),
        ("{{- stor -}} \n {%- if stor %}{% endif %}", [("E202", "stor")] * 2),
        ("one\r\n{{ stor }}\r\n{{ call.form }}", [("E202", "stor"), ("E203", "form")]),
        ("one\r{{ stor }}", [("E202", "stor")]),
        ("{{ store", [("E201", "{{ store")]),
        ("{{ store }\n{{ store }}", [("E201", "{{ store }")]),
        ("{{ store }} {{ a b }} {{ store }}", [("E201", "{{ a b }}")]),
        ("{% if store %}{% if count %}{% endif %}", [("E201", "{% if store %}")]),
        ("{% if store %}\n{% for x in menu.items %}\n{% endif %}", [("E201", "{% endif %}")]),
        ("{% if store = 1 %}{% endif %}", [("E201", "{% if store = 1 %}")]),
        ("{{ store }} {# note", [("E201", "{# note")]),
        ("{% include 'x' %}", [("E201", "{% include 'x' %}")]),
        ("{{ store + 1 }}", [("E206", "{{ store + 1 }}")]),
        ("x\n{{ store }}\n{{ count / 0 }}", [("E206", "{{ count / 0 }}")]),
        ("{{ menu.items }} {{ now.year }} {{ call.params.anything | int }}", []),
        ("{{ 10 // (call.params.parts | int) }}", []),
        ("{{ call.from[1] }}", []),
        ("{% for x in menu['items'] %}{{ loop.index }} {{ x }}{% else %}{{ store }}{% endfor %}", []),
    ],
)
def test_a_mistake_is_under_the_very_word(source: str, at: list[tuple[str, str]]) -> None:
    assert words(source) == at


@pytest.mark.parametrize(
    ("source", "message", "help_text"),
    [
        ("{{ stor }}", 'there is no name "stor"', 'did you mean "store"?'),
        ("{{ xyz }}", 'there is no name "xyz"', "put it under variables:, or correct the name"),
        ("{{ call.form }}", 'a call has no "form"', 'did you mean "from"?'),
        ("{{ store | uper }}", 'there is no filter "uper"', 'did you mean "upper"?'),
        ("{{ menu.nmae }}", 'there is no "nmae" in it', "correct the name"),
        ("{{ first name }}", '"name" cannot stand here', "a name is one word, as in first_name"),
        ("{% if a = b %}{% endif %}", "= does not compare", "write =="),
        ("{% if store %}", "{% if %} is never ended", "add {% endif %} where it ends"),
        ("{% if store %}{% else if count %}{% endif %}", "{% else %} takes no condition", "write {% elif … %}"),
        ("{% iff store %}", 'there is no tag "iff"', 'did you mean "if"?'),
        ("{% endif %}", "{% endif %} stands here, and nothing before it that it belongs to", "remove it"),
        ("{{ }}", "nothing stands in this tag", ""),
        ("{{ “store” }}", "“ cannot stand in a tag", "write straight quotes"),
        ('{{ "store }}', "a quote is opened in this tag and not closed", "add the closing quote"),
        ("{{ call. }}", "after the dot a name is missing", ""),
        ("{{ (1 }}", "a ) is missing before }", ""),
        ("{% for x of menu %}{% endfor %}", '"of" stands where "in" belongs', ""),
        ("{{ store.upper }}", "this is a function: () is missing behind it", "as in call.started.strftime(…)"),
        ("{{ count / 0 }}", "this divides by zero", ""),
        ("{{ ''.__class__ }}", "this is not allowed in a template", ""),
        ("{{ 9 ** 99999 }}", "the result would be too large", ""),
        ("{{ " + "(" * 3000 + " }}", "the tags are nested too deeply", "make it simpler"),
        ("{% for x in [1] %}" * 30 + "{% endfor %}" * 30, "the tags are nested too deeply", "make it simpler"),
        ("{{ 1" + " + 1" * 3000 + " }}", "the tags are nested too deeply", "make it simpler"),
        ("{{ " + "1" * 5000 + " }}", "a number is too long", "put quotes around it"),
        ("{% block a %}{% endblock %}" * 2, "this tag cannot be understood", ""),
    ],
)
def test_a_mistake_is_told_in_words(source: str, message: str, help_text: str) -> None:
    assert (found(source)[0].message, found(source)[0].help) == (message, help_text)


def test_without_the_names_only_names_go_unchecked() -> None:
    assert mistakes("{{ stor }}", None) == []
    assert [m.code for m in mistakes("{{ stor | uper }} {{ call.form }}", None)] == ["E202", "E203"]


def test_a_hundred_mistakes_are_enough() -> None:
    assert len(mistakes("{{ stor }} " * 1000, VARIABLES)) == 100


_TIGHT = "{{ }} {% %} {# #} {%- -%} endif endfor store call.from . | upper = == ( ) [ ] { } ' 1 + ** ~ raw endraw"
_LOOSE = "if |for x in |set x|block a|endblock|macro m(a)|endmacro|is |not |loop|self|include 'x'|call |filter upper"
_OTHER = ["import 'x' as y", " ", "\n", "\r\n", '"', "\\", "ä", "😀", "%", "else", "elif ", "with ", "super()"]
_BITS = st.sampled_from([*_TIGHT.split(" "), *_LOOSE.split("|"), *_OTHER])


@given(source=st.lists(_BITS, max_size=14).map("".join) | st.text(max_size=20))
@settings(max_examples=400, deadline=None)
@example("{% 'x %}")
@example("{{ x\\\\y }}")
@example("{% call x() %}{% endcall %}")
@example("{% filter x %}{% endfilter %}")
@example("{{ x is y.z }}")
@example("{{ x | y.z }}")
@example("{% trans %}{% endtrans %}")
@example("{% set x %}{% endset %}")
@example("{%- raw -%} {{ x }} {%- endraw -%} {{ y }}")
@example("{{ self }}{{ super() }}{{ caller() }}{{ varargs }}{{ kwargs }}")
@example("{% extends x %}{% from y import z %}")
def test_no_template_text_raises_or_has_a_mistake_without_a_place(source: str) -> None:
    for mistake in found(source):
        assert 0 <= mistake.offset <= len(source)
        assert mistake.length >= 1
        assert mistake.offset + mistake.length <= max(len(source), mistake.offset + 1)
        assert "Jinja" not in mistake.message
        assert "token" not in mistake.message


@given(source=st.lists(_BITS, max_size=14).map("".join))
@settings(deadline=None)
def test_the_words_of_a_tag_stand_where_they_are_said_to_stand(source: str) -> None:
    text = Tagged(source)

    for tag in text.tags:
        assert text.source[tag.start :].startswith(tag.opening)
        assert tag.start < tag.end <= len(text.source)
        for word in tag.words:
            if word.text != "raw":
                assert text.source[word.start : word.end] == word.text
