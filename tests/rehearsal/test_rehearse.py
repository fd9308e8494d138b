"""Rehearsals as calls: what is as the file says, and what is not."""

import asyncio
from pathlib import Path

import pytest

from dialplan.call.record import Entry
from dialplan.cli.rehearsals import PACE
from dialplan.hosts import NONE, private_hosts
from dialplan.rehearsal.ears import Ears
from dialplan.rehearsal.rehearse import Outcome, play, stage
from dialplan.rehearsal.theatre import exit_code, rehearse, table
from tests.world import project

PLUGIN = """
import os, pathlib, time
from dialplan import FunctionError

def price(thing: str) -> dict[str, object]:
    '''Price of a thing.'''
    if thing != "book":
        raise FunctionError("There is only a book.")
    return {"price": 5.0}

def files() -> dict[str, int]:
    folder = pathlib.Path(os.environ["DIALPLAN_VAR"])
    (folder / "note").touch()
    return {"found": len(list(folder.iterdir()))}
"""

AGENT = """
numbers: ["+15550100001"]
{greeting}
prompt: x
plugins: [plugins.test]
functions: [price, files, end_call]
rehearsals:
  - name: one
    turns:
"""


async def outcome(ears: Ears, tmp_path: Path, turns: str, greeting: str = "") -> tuple[Outcome, list[Entry]]:
    loading = project(tmp_path, plugin=PLUGIN, a=AGENT.format(greeting=greeting) + turns)
    agent = loading.dialplan.agents["a"]
    entries: list[Entry] = []
    async with stage(loading, ears, PACE) as stage_:
        folder = tmp_path / "wav"
        found = await play(stage_, agent, agent.rehearsals[0], lambda _, __, entry: entries.append(entry), folder)
    return found, entries


async def test_a_rehearsal_that_goes_as_the_file_says(ears: Ears, tmp_path: Path) -> None:
    turns = """
      - caller: What does the red book cost?
        function: {price: {thing: book}}
        agent: It costs {{ result.price }} dollars, and it is the last one that we have on the shelf.
      - caller: Wait, thank you, goodbye.
        interrupts: true
        function: {end_call: {}}
        agent: Goodbye, have a nice day.
"""

    found, _ = await outcome(ears, tmp_path, turns, greeting="greeting: Good morning.")

    assert found.differences == []
    assert (found.turns, found.barge_ins) == (2, 1)
    assert found.wav is not None
    assert found.wav.stat().st_size > 100_000


async def test_a_first_turn_without_a_caller_expects_the_greeting(ears: Ears, tmp_path: Path) -> None:
    turns = """
      - agent: Good evening.
      - caller: When do you open?
        agent: At nine in the morning.
"""

    found, _ = await outcome(ears, tmp_path, turns, greeting="greeting: Good morning.")

    assert found.differences == ["the agent was to say: Good evening.; it said: Good morning."]


async def test_a_first_turn_may_interrupt_the_greeting(ears: Ears, tmp_path: Path) -> None:
    turns = """
      - caller: When do you open?
        interrupts: true
        agent: At nine in the morning.
"""
    greeting = (
        "greeting: Good morning, this is the bakery on the corner of Main Street and Second Street in the old town."
    )

    found, _ = await outcome(ears, tmp_path, turns, greeting=greeting)

    assert found.differences == []
    assert found.barge_ins == 1


async def test_a_notice_is_nothing_that_the_agent_has_said(ears: Ears, tmp_path: Path) -> None:
    turns = """
      - caller: When do you open?
        agent: At nine in the morning.
"""

    found, _ = await outcome(
        ears, tmp_path, turns, greeting="greeting: Good morning.\nnotice: This call may be recorded."
    )

    assert found.differences == []


async def test_a_function_that_fails_where_it_should_work_is_a_difference(ears: Ears, tmp_path: Path) -> None:
    turns = """
      - caller: What does the red car cost?
        function: {price: {thing: car}}
        agent: It costs {{ result.price }} dollars.
"""

    found, _ = await outcome(ears, tmp_path, turns)

    assert found.differences == [
        'agents/a.yaml:13: price was to work, and failed: {"error": "There is only a book."}; '
        "where that is meant, write fails: error into the turn"
    ]


async def test_a_line_that_names_what_the_result_does_not_have_is_told_with_its_place(
    ears: Ears, tmp_path: Path
) -> None:
    turns = """
      - caller: What does the red book cost?
        function: {price: {thing: book}}
        agent: It is {{ result.state }}.
"""

    found, _ = await outcome(ears, tmp_path, turns)

    assert found.differences == ['agents/a.yaml:13: result has no "state"; it has: price']


@pytest.mark.parametrize("failure", ["error", "timeout"])
async def test_a_drill_makes_a_function_fail_and_that_is_as_the_file_says(
    ears: Ears, tmp_path: Path, failure: str
) -> None:
    turns = f"""
      - caller: What does the red book cost?
        function: {{price: {{thing: book}}}}
        fails: {failure}
        agent: I am sorry, I cannot look that up.
"""

    found, _ = await outcome(ears, tmp_path, turns)

    assert found.differences == []


async def test_every_rehearsal_finds_an_empty_folder(ears: Ears, tmp_path: Path) -> None:
    turns = """
      - caller: Count the files, please.
        function: {files: {}}
        agent: I found {{ result.found }}.
"""

    for _ in range(2):
        found, entries = await outcome(ears, tmp_path, turns)
        assert found.differences == []
        assert '"found": 1' in str(entries)


async def test_an_agent_without_a_number_cannot_be_rehearsed(ears: Ears, tmp_path: Path) -> None:
    loading = project(tmp_path, a="prompt: x\nrehearsals: [{name: n, turns: [{caller: Hi., agent: Hi.}]}]\n")
    agent = loading.dialplan.agents["a"]

    async with stage(loading, ears, PACE) as stage_:
        found = await play(stage_, agent, agent.rehearsals[0], lambda *_: None, None)

    assert "number" in found.differences[0]
    assert exit_code([found], ()) == 1
    assert "DIFFERENT" in table([found])


@pytest.mark.parametrize("listed", [True, False])
async def test_a_rehearsed_request_reaches_a_server_on_this_machine_where_it_is_listed(
    tmp_path: Path, listed: bool
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"price": 5}')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        agent = f"""
numbers: ["+15550100001"]
prompt: x
functions: [{{name: price, description: d, http: {{url: "http://127.0.0.1:{port}/"}}}}]
rehearsals:
  - name: one
    turns:
      - caller: What does the red book cost?
        function: {{price: {{}}}}
        agent: It costs {{{{ result.price or 9 }}}} dollars.
"""
        loading = project(tmp_path, a=agent)
        private = private_hosts("127.0.0.1") if listed else NONE

        agents = list(loading.dialplan.agents.values())
        [found] = await rehearse(loading, agents, None, lambda line: None, PACE, private)

    assert (found.differences == []) is listed
