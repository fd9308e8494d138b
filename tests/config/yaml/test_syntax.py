"""A closing quote that is missing is named where the quote was opened."""

import pytest

from dialplan.config.yaml.source import read


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('description: "Tells prices\nnumbers: ["+15550100001"]\nprompt: x\n', 1, 14),
        ('a: 1\ngreeting: "{{ salon }}, hello!\nprompt: |\n  Today is {{ now.strftime("%A") }}.\n', 2, 11),
        ("voice: 'aura\nprompt: It's late\nname: 'x'\n", 1, 8),
    ],
)
def test_a_missing_closing_quote_is_named_where_the_quote_was_opened(text: str, line: int, column: int) -> None:
    _, problems = read("f.yaml", text)

    assert [(p.code, p.place.line, p.place.column) for p in problems] == [("E002", line, column)]
    assert "quote" in problems[0].help
