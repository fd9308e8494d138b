"""Rehearsals, held against the functions that the agent has."""

from pathlib import Path
from typing import Any

import pytest

from dialplan.config.model import Failure
from tests.config.files import PLAIN, agent_of, codes, loaded, under

FUNCTIONS = """
variables: {store: Bakery}
functions:
  - end_call
  - name: get_price
    http: {url: "https://a.b"}
    parameters:
      type: object
      properties:
        name: {type: string, enum: [rye, rolls], minLength: 2}
        pieces: {type: integer, minimum: 1, exclusiveMaximum: 9}
        sliced: {type: boolean}
        notes: {type: array, items: {type: string}, maxItems: 2}
        gift: {anyOf: [{type: boolean}, {type: "null"}]}
        code: {type: string, pattern: "^[a-z]+$"}
      required: [name]
"""


def rehearse(root: Path, turns: str, greeting: str = "greeting: Hello.\n") -> Any:
    text = f"{PLAIN}{greeting}{FUNCTIONS}rehearsals:\n  - name: rehearsed\n    turns: {turns}\n"
    return loaded(root, {"agents/a.yaml": text})


def test_a_rehearsal_is_read(tmp_path: Path) -> None:
    turns = """
      - caller: How much is rye?
        function: {get_price: {name: rye}}
        agent: "{{ result.price }} at {{ store }}, {{ call.from }}."
      - caller: Bye.
        interrupts: true
        function: [{get_price: {name: rolls}}, {end_call: }]
        fails: error
"""

    [rehearsal] = agent_of(rehearse(tmp_path, turns)).rehearsals

    assert rehearsal.name == "rehearsed"
    first, second = rehearsal.turns
    assert first.caller == "How much is rye?"
    assert first.functions == (("get_price", {"name": "rye"}),)
    assert first.agent is not None
    assert second.interrupts
    assert second.functions == (("get_price", {"name": "rolls"}), ("end_call", {}))
    assert second.fails is Failure.ERROR
    assert second.agent is None


@pytest.mark.parametrize(
    ("turns", "problems"),
    [
        ("[{caller: Hi.}]", [("E701", "rehearsed")]),
        ("[{caller: Hi.}, {caller: Hello?}]", [("E701", "rehearsed")]),
        ("[{agent: Hello.}]", []),
        ("[{caller: Hi., agent: Hello.}, {caller: Bye.}]", []),
        ("[{caller: Hi., agent: Hello.}, {agent: Hello?}]", [("E701", "{")]),
        ("[{caller: Bye., function: {end_call: }}, {caller: Wait., agent: x}]", [("E701", "{")]),
        ("[{caller: Hi., agent: Hello., fails: error}]", [("E701", "fails")]),
        ("[{caller: Hi., interrupts: true, agent: Hello.}]", []),
        (
            "[{caller: Hi., function: {get_price: {name: rye}}}, {caller: Hm., interrupts: true}]",
            [("E701", "interrupts")],
        ),
        ("[{caller: Hi., agent: '{{ result }}'}]", [("E202", "result")]),
        ("[{caller: Hi., agent: '{{ stor }}'}]", [("E202", "stor")]),
        ("[{caller: Hi., function: {get_prise: {}}}]", [("E702", "get_prise")]),
    ],
)
def test_what_could_not_be_played_or_proves_nothing_is_told(
    tmp_path: Path, turns: str, problems: list[tuple[str, str]]
) -> None:
    loading = rehearse(tmp_path, turns)

    assert list(zip(codes(loading), under(loading), strict=True)) == problems


def test_without_a_greeting_the_first_turn_interrupts_nobody(tmp_path: Path) -> None:
    assert codes(rehearse(tmp_path, "[{caller: Hi., interrupts: true, agent: Hello.}]", "")) == ["E701"]


@pytest.mark.parametrize(
    ("arguments", "at", "message", "help_text"),
    [
        ("{name: rye, pieces: 2, sliced: true, notes: [a], gift: null, code: abc}", None, "", ""),
        ("{name: 5}", "5", "it must be text, not the number 5", 'put quotes around it: "5"'),
        ("{name: wheat}", "wheat", '"wheat" is not possible', "possible: rye, rolls"),
        ("{}", "get_price", "name is missing", ""),
        ("", "get_price", "name is missing", ""),
        ("{name: rye, pieces: 0}", "0", "0 is out of range", "at least 1"),
        ("{name: rye, pieces: 9}", "9", "9 is out of range", "less than 9"),
        ("{name: rye, pieces: two}", "two", "it must be a whole number, not text", ""),
        ("{name: rye, sliced: yes}", "yes", "it must be true or false, not text", "write true"),
        ("{name: rye, notes: a}", "a", "it must be a list, not text", 'write it as a list: ["a"]'),
        ("{name: rye, notes: [a, 5]}", "5", "it must be text, not the number 5", 'put quotes around it: "5"'),
        ("{name: rye, notes: [a, b, c]}", "[a, b, c]", "it does not fit what parameters: say of it", ""),
        ("{name: rye, gift: please}", "please", "it must be true or false or nothing, not text", ""),
        ("{name: rye, code: X1}", "X1", "it does not fit what parameters: say of it", ""),
        ("{name: rye, peices: 2}", "peices", 'there is no "peices"', 'did you mean "pieces"?'),
    ],
)
def test_arguments_that_the_function_would_refuse_are_told_in_words(
    tmp_path: Path, arguments: str, at: str | None, message: str, help_text: str
) -> None:
    loading = rehearse(tmp_path, f"[{{caller: Hi., function: {{get_price: {arguments}}}}}]")

    assert under(loading) == ([at] if at else [])
    assert [(p.code, p.message, p.help) for p in loading.problems] == (
        [("E703", f"get_price would refuse this: {message}", help_text)] if at else []
    )


def test_arguments_beyond_the_contract_are_fine_where_it_says_so(tmp_path: Path) -> None:
    text = (
        f"{PLAIN}functions:\n  - name: f\n    http: {{url: 'https://a.b'}}\n"
        "    parameters: {type: object, additionalProperties: true}\n"
        "rehearsals: [{name: x, turns: [{caller: Hi., function: {f: {anything: 1}}}]}]\n"
    )

    assert codes(loaded(tmp_path, {"agents/a.yaml": text})) == []
