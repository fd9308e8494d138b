"""Streams are tested on both kinds of sockets: picows', and those of any ASGI server."""

import pytest

from tests import world


@pytest.fixture(params=[True, False], ids=["direct", "pumped"])
def directly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(world, "DIRECTLY", request.param)
    return bool(request.param)
