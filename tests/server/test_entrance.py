"""A connection that does not come to the point: it is closed, and others are answered meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from dialplan.server import entrance
from tests.world import AGENT, World, project, server_for

HEAD = b"POST /twilio/voice HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"

pytest.importorskip("httptools")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with server_for(project(tmp_path, a=AGENT), "ws://127.0.0.1:1") as world:
        yield world


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "REQUEST_SECONDS", 0.1)


@asynccontextmanager
async def connection(world: World) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    url = httpx.URL(world.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()


async def told(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the other side closes."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "said",
    [b"", b"P", HEAD, HEAD + b"content-length: 5\r\n\r\nabc", HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nab"],
    ids=["nothing", "a byte", "half a head", "half a body", "half a chunk"],
)
async def test_a_request_that_does_not_come_is_not_waited_for(world: World, said: bytes) -> None:
    async with connection(world) as (reader, writer):
        writer.write(said)

        assert await told(reader) == b""


@pytest.mark.usefixtures("impatient")
async def test_a_byte_now_and_then_does_not_buy_time(world: World) -> None:
    async with connection(world) as (reader, writer):

        async def dribble() -> None:
            for byte in HEAD * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.01)

        dribbling = asyncio.create_task(dribble())
        assert await told(reader) == b""
        dribbling.cancel()


async def test_a_head_without_end_is_refused(world: World) -> None:
    async with connection(world) as (reader, writer):
        writer.write(HEAD)

        async def pour() -> None:
            for number in range(10_000):
                writer.write(b"x-%d: %s\r\n" % (number, b"y" * 100))
                await writer.drain()

        pouring = asyncio.create_task(pour())
        answer = await told(reader)
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)

    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""


async def test_a_connection_is_used_again_as_long_as_each_request_comes_in_time(world: World) -> None:
    async with connection(world) as (reader, writer):
        for _ in range(3):
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(5) == b"alive"


@pytest.mark.usefixtures("impatient")
async def test_the_next_request_has_its_own_time(world: World) -> None:
    async with connection(world) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"alive")
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: ")

        assert await told(reader) == b""
