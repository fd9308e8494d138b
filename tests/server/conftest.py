"""Streams are tested on both kinds of sockets: picows', and those of any ASGI server. And records that tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dialplan.journal.address import Database
from dialplan.journal.journal import Journal
from dialplan.metrics import Metrics
from tests import world
from tests.journal.calling import QUICK


@pytest.fixture(params=[True, False], ids=["direct", "pumped"])
def directly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(world, "DIRECTLY", request.param)
    return bool(request.param)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """The records of all processes; what another one has led is told to it directly."""
    async with Journal(Database("calls", file=tmp_path / "calls.db"), Metrics(), QUICK) as journal:
        yield journal
