"""A running server shows that it is the one with this secret, and says nothing else to anybody."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dialplan.server import proof
from tests.world import AGENT, World, project, server_for


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with server_for(project(tmp_path, a=AGENT), "ws://127.0.0.1:9") as world:
        yield world


async def asked(world: World, nonce: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"{world.url}/healthz", params={"nonce": nonce})


async def test_a_server_answers_a_riddle_with_its_secret(world: World) -> None:
    nonce = proof.nonce()

    answer = await asked(world, nonce)

    assert answer.text == "alive"
    assert answer.headers[proof.HEADER] == proof.proof("secret", nonce) != proof.proof("another", nonce)


@pytest.mark.parametrize("nonce", ["", "a", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n", "٣" * 32, '["CA1", "a", 1]'])
async def test_what_is_no_riddle_gets_no_answer(world: World, nonce: str) -> None:
    answer = await asked(world, nonce)

    assert answer.status_code == 200
    assert proof.HEADER not in answer.headers


async def test_who_asks_for_life_only_gets_nothing_more(world: World) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{world.url}/healthz")

    assert (answer.status_code, answer.text) == (200, "alive")
    assert proof.HEADER not in answer.headers
