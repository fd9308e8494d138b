"""An agent's rehearsals: example conversations, held against the functions that the agent has."""

from collections.abc import Mapping

from dialplan.config.model import Builtin, Failure, Function, Json, Rehearsal, Turn
from dialplan.config.problems import did_you_mean, listed, shown
from dialplan.config.reading import Reading, entries
from dialplan.config.rules.contracts import name_of
from dialplan.config.rules.parameters import argument_problems
from dialplan.config.yaml.source import Node


def rehearsals(reading: Reading, functions: Mapping[str, Function]) -> tuple[Rehearsal, ...]:
    """The agent's rehearsals, with a problem noted for each that could not be played or proves nothing."""
    return tuple(_rehearsal(reading, node, functions) for node in reading.tree.at("rehearsals").items())


def _rehearsal(reading: Reading, node: Node, functions: Mapping[str, Function]) -> Rehearsal:
    refused = reading.refused_in(node)
    turn_nodes = node.at("turns").items()
    turns = tuple(_turn(reading, turn, functions) for turn in turn_nodes)
    if not refused:  # Else what seems to be missing was there, and was wrong.
        _note_empty(reading, node, turns)
        _note_unreachable(reading, turn_nodes, turns)
    return Rehearsal(node.at("name").raw, turns)


def _turn(reading: Reading, node: Node, functions: Mapping[str, Function]) -> Turn:
    names = reading.names()
    if names is not None and node.get("function"):
        names.append("result")
    return Turn(
        caller=node.at("caller").raw if node.get("caller") else "",
        interrupts=node.at("interrupts").value is True,
        functions=tuple(_expected(reading, node, functions)),
        fails=Failure(node.at("fails").raw) if node.get("fails") else None,
        agent=reading.template(node.get("agent"), names),
        place=node.key_place("agent"),
    )


def _expected(reading: Reading, node: Node, functions: Mapping[str, Function]) -> list[tuple[str, Json]]:
    function = node.get("function")
    expected = []
    for mapping in (function.items() or (function,)) if function else ():
        for name, arguments in entries(mapping):
            given: Json = arguments.plain() or {}
            _check_expected(reading, mapping, name, arguments, functions)
            expected.append((name, given))
    return expected


def _check_expected(
    reading: Reading, mapping: Node, name: str, arguments: Node, functions: Mapping[str, Function]
) -> None:
    known = [name_of(node).raw for node in reading.tree.at("functions").items()]
    if name not in known:
        if reading.sure_of("functions"):
            help_text = did_you_mean(name, known) or (f"it has: {listed(known)}" if known else "add it to functions:")
            reading.problem("E702", mapping.key_place(name), f"the agent has no function {shown(name)}", help_text)
    elif name in functions:
        # Of an argument list that is empty there is nothing to point at but the name.
        at = arguments if arguments.value else Node(arguments.value, mapping.key_place(name))
        reading.problems += argument_problems(name, functions[name].arguments, at)


def _note_empty(reading: Reading, node: Node, turns: tuple[Turn, ...]) -> None:
    if not any(turn.functions or turn.agent for turn in turns):
        place = node.at("name").place
        reading.problem("E701", place, "this rehearsal expects nothing", "say what the agent answers: agent: …")


def _note_unreachable(reading: Reading, nodes: tuple[Node, ...], turns: tuple[Turn, ...]) -> None:
    ended = False
    for index, (node, turn) in enumerate(zip(nodes, turns, strict=True)):
        place = node.place.beginning()
        if ended:
            reading.problem("E701", place, "this turn cannot be reached: the call has ended before", "remove it")
        elif index and not turn.caller:
            reading.problem("E701", place, "this turn cannot be reached: the caller says nothing", "caller: …")
        if turn.fails and not turn.functions:
            reading.problem("E701", node.key_place("fails"), "no function stands here that could fail", "function: …")
        if turn.interrupts and not (turns[index - 1].agent if index else reading.tree.get("greeting")):
            message = "nobody speaks before this whom the caller could interrupt"
            reading.problem("E701", node.key_place("interrupts"), message, "remove it, or let the agent say something")
        ended = ended or any(name == Builtin.END_CALL for name, _ in turn.functions)
