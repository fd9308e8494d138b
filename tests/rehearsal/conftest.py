"""Ears take a second to open their processes; whoever only listens shares one pair."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dialplan.rehearsal.ears import Ears


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ears() -> AsyncIterator[Ears]:
    async with Ears() as ears:
        yield ears
