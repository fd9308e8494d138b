"""For any bytes on any way in, the process lives, other calls hear nothing of it, and what is answered is in order."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import CORPUS, corpus, rubbish
from tests.fuzz.ways import Rubbish, standing

WAYS = sorted(path.name for path in CORPUS.iterdir())
INPUTS = [(way, name) for way in WAYS for name in corpus(way)]


class Fed:
    """A standing server, to be fed from tests that are no coroutines: hypothesis' are not."""

    def __init__(self, runner: asyncio.Runner, target: Rubbish) -> None:
        self._runner = runner
        self._target = target

    def __call__(self, way: str, data: bytes) -> None:
        self._runner.run(self._target.feed(way, data))


@pytest.fixture(scope="module", params=[True, False], ids=["direct", "pumped"])
def feed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    folder: Path = tmp_path_factory.mktemp("rubbish")
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Fed(runner, runner.run(stack.enter_async_context(standing(folder, directly=request.param))))
        runner.run(stack.aclose())


@pytest.mark.parametrize(("way", "name"), INPUTS, ids=[f"{way}: {name}" for way, name in INPUTS])
def test_what_the_corpus_holds_hurts_nobody(feed: Fed, way: str, name: str) -> None:
    feed(way, corpus(way)[name])


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
@settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_what_becomes_of_the_corpus_hurts_nobody(feed: Fed, way: str, data: st.DataObject) -> None:
    feed(way, data.draw(rubbish(way)))
