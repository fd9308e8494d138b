"""Functions as the model calls them: plugins loaded from their files, every failure an answer."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialplan import log
from dialplan.call import plugin_loop, threads
from dialplan.call.functions import MAX_ARGUMENTS, MAX_AT_WORK, MAX_OF_CALL, Functions
from dialplan.call.results import BUSY, FAILED, TOOK_TOO_LONG
from dialplan.config.model import Agent, Failure
from tests.agents import CALL, agent_of, run

PLUGIN = """
import asyncio, dataclasses, datetime, decimal, enum, sys, threading, uuid
from typing import Annotated
from dialplan import Call, FunctionError
from dialplan.log import call_id

RELEASE, BEGUN, GONE = threading.Event(), threading.Event(), threading.Event()

@dataclasses.dataclass
class Slot:
    day: datetime.date
    price: decimal.Decimal

class Size(enum.StrEnum):
    BIG = "big"

RESULTS = {
    "text": "Zoë",
    "nothing": None,
    "nested": {"a": [1, 2.5, True, None, ("x",)]},
    "datetime": datetime.datetime(2026, 11, 25, 10, 10, tzinfo=datetime.UTC),
    "date": datetime.date(2026, 11, 25),
    "time": datetime.time(9, 30),
    "decimal": decimal.Decimal("5.25"),
    "uuid": uuid.UUID(int=7),
    "set": {"d", "a", "c", "b"},
    "frozenset": frozenset({2, 1}),
    "dataclass": Slot(datetime.date(2026, 11, 25), decimal.Decimal("1.5")),
    "inside": [{"at": Slot(datetime.date(2026, 11, 25), decimal.Decimal(2))}, {decimal.Decimal(1)}],
    "enum": Size.BIG,
    "object": object(),
    "bytes": b"x",
    "class": Slot,
    "not a number": float("nan"),
    "infinity": [float("inf")],
    "not a decimal": decimal.Decimal("NaN"),
    "huge decimal": decimal.Decimal("1e999"),
    "surrogate": chr(0xD800),
    "tuple as key": {(1, 2): 3},
    "too long": "x" * 64_001,
    "too many": list(range(70_000)),
    "too deep": __import__("functools").reduce(lambda inner, _: [inner], range(100), 0),
    "generator": (n for n in range(3)),
}
RESULTS["itself"] = [RESULTS]

def result(key: str):
    return RESULTS[key]

def add(a: int, b: int = 10) -> int:
    return a + b

async def add_later(a: int, b: int = 10) -> int:
    await asyncio.sleep(0)
    return a + b

def who(call: Call, greeting: str = "Hi") -> str:
    return f"{greeting} {call.caller_name} {call.from_}"

async def who_later(call: Call) -> str:
    return f"{call.id} {call_id.get()}"

def who_logs() -> str:
    return call_id.get()

def anything(call: Call, **others: object) -> dict:
    return {"call": call.id, **others}

def promised():
    return add_later(1, 2)

class Unspeakable(FunctionError):
    def __str__(self) -> str:
        raise ValueError("unspeakable")

def bare():
    return FunctionError()

ERRORS = {
    "mistake": ValueError("secret detail"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "base": BaseException("secret detail"),
    "cancelled": asyncio.CancelledError(),
    "generator": GeneratorExit(),
    "memory": MemoryError(),
    "timeout": TimeoutError("secret detail"),
    "words": FunctionError("We are out of aspirin."),
    "no words": FunctionError(),
    "half a character": FunctionError("Half a " + chr(0xD800) + "."),
    "unspeakable": Unspeakable(),
}

def fail(how: str):
    raise ERRORS[how]

async def fail_later(how: str):
    await asyncio.sleep(0)
    raise ERRORS[how]

async def fail_in_a_task(how: str):
    task = asyncio.ensure_future(fail_later(how))
    await asyncio.sleep(0.01)
    return await task

def dig(depth: int = 0):
    return dig(depth + 1)

def stuck():
    RELEASE.wait(30)
    return "late"

async def stuck_loop():
    RELEASE.wait(30)
    return "late"

async def waiting():
    try:
        await asyncio.Event().wait()
    finally:
        GONE.set()

async def waiting_long():
    BEGUN.set()
    return await waiting()

def promised_late():
    RELEASE.wait(30)
    return waiting()

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            GONE.set()
"""

AGENT = """
prompt: p
variables: {store: Corner Pharmacy}
plugins: [plugins.tools]
functions:
  - result
  - add
  - add_later
  - who
  - who_later
  - who_logs
  - name: anything
    description: d
    parameters: {type: object, properties: {size: {type: integer}}}
  - promised
  - fail
  - fail_later
  - fail_in_a_task
  - dig
  - {name: stuck, timeout: 0.05}
  - {name: stuck_loop, timeout: 0.05}
  - {name: waiting, timeout: 0.05}
  - {name: stubborn, timeout: 0.05}
  - {name: promised_late, timeout: 0.05}
  - waiting_long
"""


@pytest.fixture(autouse=True)
def threads_end_with_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can be waited for; test_threads.py has the rest."""
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.0)


@pytest.fixture
async def functions() -> AsyncIterator[Functions]:
    async with Functions() as running:
        yield running


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return agent_of(tmp_path, AGENT, PLUGIN)


async def ended(name: str) -> bool:
    """Whether every thread that worked for this function is done, within ten seconds."""
    threads = [thread for thread in threading.enumerate() if thread.name == name]
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)
    return not any(thread.is_alive() for thread in threads)


def of_plugin(agent: Agent, name: str) -> Any:
    """Something in the plugin's module."""
    runs: Any = agent.functions["add"].runs
    return runs.call.__globals__[name]


# Results


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("text", "Zoë"),
        ("nothing", None),
        ("nested", {"a": [1, 2.5, True, None, ["x"]]}),
        ("datetime", "2026-11-25T10:10:00+00:00"),
        ("date", "2026-11-25"),
        ("time", "09:30:00"),
        ("decimal", 5.25),
        ("uuid", "00000000-0000-0000-0000-000000000007"),
        ("set", ["a", "b", "c", "d"]),
        ("frozenset", [1, 2]),
        ("dataclass", {"day": "2026-11-25", "price": 1.5}),
        ("inside", [{"at": {"day": "2026-11-25", "price": 2.0}}, [1.0]]),
        ("enum", "big"),
    ],
)
async def test_a_result_is_told_as_json(functions: Functions, agent: Agent, key: str, told: object) -> None:
    assert await run(functions, agent, "result", {"key": key}) == told


@pytest.mark.parametrize(
    "key",
    [
        "object",
        "bytes",
        "class",
        "not a number",
        "infinity",
        "not a decimal",
        "huge decimal",
        "surrogate",
        "tuple as key",
        "too long",
        "too many",
        "too deep",
        "generator",
        "itself",
    ],
)
async def test_a_result_that_json_cannot_hold_is_a_failure(functions: Functions, agent: Agent, key: str) -> None:
    assert await run(functions, agent, "result", {"key": key}) == {"error": FAILED}


@pytest.mark.parametrize("name", ["add", "add_later"])
async def test_a_function_may_be_plain_or_async(functions: Functions, agent: Agent, name: str) -> None:
    assert await run(functions, agent, name, {"a": 1, "b": 2}) == 3
    assert await run(functions, agent, name, {"a": 1}) == 11


async def test_a_plain_function_may_return_a_coroutine(functions: Functions, agent: Agent) -> None:
    assert await run(functions, agent, "promised") == 3


async def test_a_function_is_given_the_call_and_the_model_cannot_replace_it(functions: Functions, agent: Agent) -> None:
    assert await run(functions, agent, "who", {"greeting": "Hello"}) == "Hello Zoë +15550100099"
    assert await run(functions, agent, "who", {"call": {"from_": "+1666"}}) == "Hi Zoë +15550100099"
    assert await run(functions, agent, "anything", {"call": "CA2"}) == {"call": "CA1"}


@pytest.mark.parametrize("name", ["who_logs", "who_later"])
async def test_what_a_plugin_logs_carries_the_id_of_its_call(functions: Functions, agent: Agent, name: str) -> None:
    log.call_id.set("CA7")

    assert (await run(functions, agent, name)).endswith("CA7")


# Arguments


@pytest.mark.parametrize("arguments", ["", " ", "\n", "{}"])
async def test_empty_arguments_are_none(functions: Functions, agent: Agent, arguments: str) -> None:
    assert await run(functions, agent, "who", arguments) == "Hi Zoë +15550100099"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "'a' is a required property"),
        ({"a": "1"}, "'1' is not of type 'integer'"),
        ({"a": "x" * 5000}, "'xxx"),
        ({"a": None}, "None is not of type 'integer'"),
        ({"a": True}, "True is not of type 'integer'"),
        ({"a": 1, "b": []}, "[] is not of type 'integer'"),
        ("[]", "not of type 'object'"),
        ("null", "not of type 'object'"),
        ("7", "not of type 'object'"),
        ("{", "not JSON"),
        ("a=1", "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": Infinity}', "not JSON"),
        ('{"a": -1e999}', "not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ('{"a": ' + "[" * 30_000 + "]" * 30_000 + "}", "not JSON"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_arguments_that_do_not_fit_are_told_so_that_the_model_can_correct_them(
    functions: Functions, agent: Agent, arguments: object, words: str
) -> None:
    told = await run(functions, agent, "add", arguments)

    assert words in told["error"]
    assert len(told["error"]) < 600


@pytest.mark.parametrize("depth", range(50, 1050, 50))
async def test_arguments_nested_beyond_reason_are_answered(functions: Functions, agent: Agent, depth: int) -> None:
    told = await run(functions, agent, "add", '{"a": ' + "[" * depth + "]" * depth + "}")

    assert told.keys() == {"error"}


async def test_arguments_that_nobody_declared_are_dropped(functions: Functions, agent: Agent) -> None:
    assert await run(functions, agent, "add", {"a": 1, "b": 2, "c": 3, "self": 4}) == 3


async def test_a_function_that_takes_anything_is_given_anything(functions: Functions, agent: Agent) -> None:
    assert await run(functions, agent, "anything", {"size": 1, "colour": "red"}) == {
        "call": "CA1",
        "size": 1,
        "colour": "red",
    }


@settings(deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.dictionaries(st.text(), st.none() | st.integers() | st.text()).map(json.dumps))
async def test_whatever_a_model_writes_as_arguments_is_answered(
    functions: Functions, agent: Agent, arguments: str
) -> None:
    assert await run(functions, agent, "add_later", arguments) is not None


# Failures


@pytest.mark.parametrize("name", ["fail", "fail_later", "fail_in_a_task"])
@pytest.mark.parametrize(
    "how", ["mistake", "exit", "interrupt", "base", "generator", "memory", "timeout", "no words", "unspeakable"]
)
async def test_whatever_a_plugin_raises_is_an_apology_and_the_next_function_runs(
    functions: Functions, agent: Agent, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = await run(functions, agent, name, {"how": how})

    assert told == {"error": FAILED}
    assert f"the function {name} failed" in caplog.text
    assert await run(functions, agent, "add_later", {"a": 1}) == 11
    assert await run(functions, agent, "add", {"a": 1}) == 11


@pytest.mark.parametrize("name", ["fail", "fail_later"])
async def test_a_plugin_that_cancels_itself_is_answered(functions: Functions, agent: Agent, name: str) -> None:
    assert (await run(functions, agent, name, {"how": "cancelled"})).keys() == {"error"}


@pytest.mark.parametrize("name", ["fail", "fail_later"])
async def test_a_plugins_own_words_are_told_to_the_model(functions: Functions, agent: Agent, name: str) -> None:
    assert await run(functions, agent, name, {"how": "words"}) == {"error": "We are out of aspirin."}


async def test_a_plugin_that_digs_too_deep_is_an_apology(functions: Functions, agent: Agent) -> None:
    assert await run(functions, agent, "dig") == {"error": FAILED}


@pytest.mark.parametrize(("failure", "told"), [(Failure.ERROR, FAILED), (Failure.TIMEOUT, TOOK_TOO_LONG)])
async def test_a_drill_fails_one_function_of_one_call(
    functions: Functions, agent: Agent, failure: Failure, told: str
) -> None:
    functions.drills["CA1", "add"] = failure
    functions.drills["CA2", "add_later"] = failure

    assert await run(functions, agent, "add", {"a": 1}) == {"error": told}
    assert await run(functions, agent, "add_later", {"a": 1}) == 11


# Time


@pytest.mark.parametrize("name", ["stuck", "stuck_loop", "waiting", "stubborn"])
async def test_a_function_that_takes_too_long_is_given_up_in_time(
    functions: Functions, agent: Agent, name: str
) -> None:
    started = asyncio.get_running_loop().time()

    told = await run(functions, agent, name)

    assert told == {"error": TOOK_TOO_LONG}
    assert asyncio.get_running_loop().time() - started < 5
    of_plugin(agent, "RELEASE").set()


@pytest.mark.parametrize("name", ["stuck", "stuck_loop"])
async def test_a_function_that_blocks_delays_no_other_one(functions: Functions, agent: Agent, name: str) -> None:
    blocking = asyncio.create_task(functions.run(agent.functions[name], "", CALL, dict))
    await asyncio.sleep(0)

    assert await run(functions, agent, "add", {"a": 1}) == 11
    assert json.loads(await blocking) == {"error": TOOK_TOO_LONG}
    of_plugin(agent, "RELEASE").set()


async def test_a_function_that_blocks_the_plugins_loop_leaves_the_servers_loop_alone(
    functions: Functions, agent: Agent
) -> None:
    blocking = asyncio.create_task(functions.run(agent.functions["stuck_loop"], "", CALL, dict))
    rounds = 0

    while not blocking.done():
        await asyncio.sleep(0)
        rounds += 1

    assert rounds > 100
    of_plugin(agent, "RELEASE").set()


async def test_cancelling_a_run_cancels_its_coroutine(functions: Functions, agent: Agent) -> None:
    running = asyncio.create_task(functions.run(agent.functions["waiting"], "", CALL, dict))
    await run(functions, agent, "add_later", {"a": 1})  # by now the other one is on the plugins' loop

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert await asyncio.to_thread(of_plugin(agent, "GONE").wait, 10)


async def test_giving_up_cancels_the_coroutine(functions: Functions, agent: Agent) -> None:
    await run(functions, agent, "waiting")

    assert await asyncio.to_thread(of_plugin(agent, "GONE").wait, 10)


async def test_a_result_that_comes_after_all_is_dropped(
    functions: Functions, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    assert await run(functions, agent, "stuck") == {"error": TOOK_TOO_LONG}

    of_plugin(agent, "RELEASE").set()

    assert await ended("stuck")
    assert await run(functions, agent, "stuck") == "late"
    assert [record.getMessage() for record in caplog.records] == ["stuck took longer than 0.05 s and was given up"]


def test_a_result_that_comes_when_the_process_is_over_is_dropped(agent: Agent) -> None:
    async def process() -> None:
        async with Functions() as functions:
            await run(functions, agent, "stuck")

    asyncio.run(process())
    of_plugin(agent, "RELEASE").set()

    assert asyncio.run(ended("stuck"))  # An exception in that thread would be an error of this test.


async def test_a_coroutine_that_comes_after_all_is_cancelled(functions: Functions, agent: Agent) -> None:
    assert await run(functions, agent, "promised_late") == {"error": TOOK_TOO_LONG}

    of_plugin(agent, "RELEASE").set()

    assert await ended("promised_late")


async def test_where_one_function_hangs_too_often_it_is_not_run_again_and_the_others_are(
    functions: Functions, agent: Agent
) -> None:
    calls = [replace(CALL, id=f"CA{n}") for n in range(MAX_AT_WORK)]
    stuck = [functions.run(agent.functions["stuck"], "", one, dict) for one in calls]
    assert {json.loads(told)["error"] for told in await asyncio.gather(*stuck)} == {TOOK_TOO_LONG}

    crowded = await run(functions, agent, "stuck")
    other = await run(functions, agent, "add", {"a": 1})
    of_plugin(agent, "RELEASE").set()

    assert crowded == {"error": BUSY}
    assert other == 11
    assert await ended("stuck")
    assert await run(functions, agent, "stuck") == "late"


async def test_a_coroutine_that_blocks_the_plugins_loop_costs_the_others_a_second_at_most(
    functions: Functions, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_loop, "STUCK_SECONDS", 0.1)
    await run(functions, agent, "stuck_loop")

    other = await run(functions, agent, "add_later", {"a": 1})
    of_plugin(agent, "RELEASE").set()

    assert other == 11


async def test_where_the_system_has_no_thread_left_the_model_is_told_to_wait(
    functions: Functions, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        told = [await run(functions, agent, "add", {"a": 1}) for _ in range(MAX_AT_WORK)]

    assert told == [{"error": BUSY}] * MAX_AT_WORK
    assert await run(functions, agent, "add", {"a": 1}) == 11


async def test_nothing_is_left_when_the_process_ends(agent: Agent) -> None:
    async with Functions() as functions:
        await run(functions, agent, "add_later", {"a": 1})
        await run(functions, agent, "waiting")

    assert await ended("plugins")
    assert len(asyncio.all_tasks()) == 1


async def test_what_can_be_stopped_when_the_process_ends_is_stopped(agent: Agent) -> None:
    async with Functions() as functions:
        waiting = asyncio.create_task(functions.run(agent.functions["waiting_long"], "", CALL, dict))
        assert await asyncio.to_thread(of_plugin(agent, "BEGUN").wait, 10)

    assert json.loads(await waiting) == {"error": TOOK_TOO_LONG}
    assert of_plugin(agent, "GONE").is_set()


async def test_what_hangs_when_the_process_ends_is_left_behind(agent: Agent) -> None:
    async with asyncio.timeout(10), Functions() as functions:
        await run(functions, agent, "stuck")
        await run(functions, agent, "stuck_loop")

    of_plugin(agent, "RELEASE").set()


async def test_a_call_whose_functions_hang_leaves_threads_for_the_others(functions: Functions, agent: Agent) -> None:
    given_up = [
        asyncio.create_task(functions.run(agent.functions["stuck"], "", CALL, dict)) for _ in range(MAX_OF_CALL)
    ]
    await asyncio.sleep(0)
    for task in given_up:  # As if the model had changed its mind each time.
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)

    crowded = await run(functions, agent, "add", {"a": 1})
    other = await functions.run(agent.functions["add"], '{"a": 1}', replace(CALL, id="CA2"), dict)
    of_plugin(agent, "RELEASE").set()

    assert crowded == {"error": BUSY}
    assert other == "11"
    assert await ended("stuck")
    assert await run(functions, agent, "add", {"a": 1}) == 11


async def test_arguments_that_no_model_writes_are_not_looked_at(functions: Functions, agent: Agent) -> None:
    told = await run(functions, agent, "anything", json.dumps({"a": "x" * MAX_ARGUMENTS}))

    assert told == {"error": "The arguments are too long."}


async def test_half_a_character_in_a_plugins_words_is_told_as_what_can_be_written(
    functions: Functions, agent: Agent
) -> None:
    assert await run(functions, agent, "fail", {"how": "half a character"}) == {"error": "Half a ?."}
