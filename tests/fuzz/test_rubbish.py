"""For any bytes on any way in, the process lives, other calls hear nothing of it, and what is answered is in order."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import WAYS, corpus, rubbish
from tests.fuzz.ways import Rubbish, standing

#: Those that lead over a stream or the speech service's socket, of which there are two kinds.
BY_SOCKET = ("http", "stream", "speech")


def ways() -> list[tuple[bool, str]]:
    """Each way in, on each kind of sockets where that makes a difference."""
    return [(directly, way) for directly in (True, False) for way in WAYS if directly or way in BY_SOCKET]


def inputs() -> list[tuple[bool, str, str]]:
    return [(directly, way, name) for directly, way in ways() for name in corpus(way)]


def named(directly: bool, *rest: str) -> str:
    return ": ".join(["direct" if directly else "pumped", *rest])


class Fed:
    """A server on each kind of sockets, to be fed from tests that are no coroutines: hypothesis' are not."""

    def __init__(self, runner: asyncio.Runner, targets: dict[bool, Rubbish]) -> None:
        self._runner = runner
        self._targets = targets

    def __call__(self, directly: bool, way: str, data: bytes) -> None:
        self._runner.run(self._targets[directly].feed(way, data))


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    with asyncio.Runner() as runner:
        stack, targets = AsyncExitStack(), {}
        for directly in (True, False):
            standing_one = standing(tmp_path_factory.mktemp("rubbish"), directly=directly)
            targets[directly] = runner.run(stack.enter_async_context(standing_one))
        yield Fed(runner, targets)
        runner.run(stack.aclose())


@pytest.mark.parametrize(("directly", "way", "name"), inputs(), ids=[named(*one) for one in inputs()])
def test_what_the_corpus_holds_hurts_nobody(feed: Fed, directly: bool, way: str, name: str) -> None:
    feed(directly, way, corpus(way)[name])


@pytest.mark.parametrize(("directly", "way"), ways(), ids=[named(*one) for one in ways()])
@given(data=st.data())
@settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_what_becomes_of_the_corpus_hurts_nobody(feed: Fed, directly: bool, way: str, data: st.DataObject) -> None:
    feed(directly, way, data.draw(rubbish(way)))
