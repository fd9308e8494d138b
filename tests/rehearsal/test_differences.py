"""What was not as a rehearsal says, in words."""

from typing import Any

import pytest

from dialplan.config.jinja.templates import Template
from dialplan.config.model import Turn
from dialplan.config.problems import Place
from dialplan.errors import ConfigError
from dialplan.rehearsal import differences

ORDER = {"id": 7, "parts": [{"name": "bell"}]}


@pytest.mark.parametrize(
    ("source", "result", "words"),
    [
        ("{{ result.state }}", ORDER, 'result has no "state"; it has: id, parts'),
        ("{{ result['state'] | upper }}", ORDER, 'result has no "state"; it has: id, parts'),
        ("{{ result.parts[0].price }}", ORDER, 'result.parts.0 has no "price"; it has: name'),
        ("{{ result.parts[1].name }}", ORDER, 'result.parts has no "1"; it is a list of 1'),
        ("{{ result.state }}", "ready", 'result has no "state"; it is "ready"'),
        ("{{ result.state }}", None, 'result has no "state"; it is "None"'),
        ("{{ result.state }}", {}, 'result has no "state"; it has: nothing'),
        ("{{ result.id + 'x' }}", ORDER, "what the agent was to say cannot be filled in: "),
    ],
)
def test_a_line_that_cannot_be_filled_in_is_told_with_what_there_is(source: str, result: Any, words: str) -> None:
    turn = Turn(agent=Template(source), place=Place("agents/a.yaml", 7))
    with pytest.raises(ConfigError) as caught:
        Template(source).render({"result": result})

    told = differences.not_filled_in(turn, result, caught.value)

    assert told.startswith(f"agents/a.yaml:7: {words}")
