"""Ears take a second to open their processes; the tests of a module that only listen share one pair."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dialplan.rehearsal.ears import Ears


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ears() -> AsyncIterator[Ears]:
    async with Ears() as ears:
        yield ears
