"""`http` functions and servers that mean harm, over real sockets: no answer takes more memory or time than it may."""

import asyncio
import gzip
import json
import logging
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from dialplan import hosts
from dialplan.call import threads
from dialplan.call.functions import Functions
from dialplan.call.results import FAILED, TOOK_TOO_LONG
from dialplan.config.model import Agent
from dialplan.hosts import private_hosts
from tests.agents import agent_of, run

OK = b"HTTP/1.1 200 OK\r\n"

#: Says what a server does with a request; the connection is closed behind it.
Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def threads_end_with_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.0)


@pytest.fixture
async def functions() -> AsyncIterator[Functions]:
    async with Functions(private_hosts("127.0.0.1")) as running:
        yield running


@asynccontextmanager
async def answering(answer: Answering) -> AsyncIterator[str]:
    """A server's address."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()
        over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]  # noqa: UP031
        await over.wait()


def said(*parts: bytes) -> Answering:
    """An answer that is there at once."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)
        await writer.drain()

    return answer


def without_end(begin: bytes, part: bytes, pause: float = 0.0) -> Answering:
    """An answer that goes on until nobody listens any more."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


def function(root: Path, url: str, timeout: float = 10.0) -> Agent:
    declared = {"name": "f", "description": "d", "http": {"url": url}, "timeout": timeout}
    text = json.dumps({"prompt": "p", "functions": [declared]})
    return agent_of(root, text, environment={hosts.VARIABLE: "127.0.0.1"})


async def thread_is_over() -> None:
    for thread in threading.enumerate():
        if thread.name == "f":
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()


# How much


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, identity", "x"])
async def test_a_compressed_answer_is_refused_before_it_is_read(
    tmp_path: Path, functions: Functions, caplog: pytest.LogCaptureFixture, coding: str
) -> None:
    bomb = await asyncio.to_thread(gzip.compress, bytes(200_000_000), 1)
    head = OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(bomb))
    async with answering(said(head, bomb)) as url:
        agent = function(tmp_path, url)
        tracemalloc.start()

        told = await run(functions, agent, "f")

        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert told == {"error": FAILED}
    assert most < 20_000_000
    assert [record.getMessage() for record in caplog.records] == [
        "f was answered with compressed data, which is not read"
    ]


async def test_an_answer_that_says_that_it_is_not_compressed_is_read(tmp_path: Path, functions: Functions) -> None:
    async with answering(said(OK, b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n42")) as url:
        assert await run(functions, function(tmp_path, url), "f") == 42


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (OK + b"Connection: close\r\n\r\n", bytes(65_536)),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65_536) + b"\r\n"),
    ],
    ids=["a stream", "chunks"],
)
async def test_an_answer_without_end_is_given_up_when_it_is_too_long(
    tmp_path: Path, functions: Functions, begin: bytes, part: bytes
) -> None:
    async with answering(without_end(begin, part)) as url:
        told = await run(functions, function(tmp_path, url), "f")

    assert told == {"error": "The service answered with more than can be told on the phone."}


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (OK, b"X-More: " + b"x" * 1000 + b"\r\n"),
        (OK + b"X-More: ", b"x" * 1000),
        (b"HTTP/1.1 200 ", b"x" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: x\r\n"),
    ],
    ids=["fields", "a field", "a reason", "a chunk's extension", "trailers"],
)
async def test_headers_without_end_are_given_up_when_they_are_too_long(
    tmp_path: Path, functions: Functions, caplog: pytest.LogCaptureFixture, begin: bytes, part: bytes
) -> None:
    async with answering(without_end(begin, part)) as url:
        told = await run(functions, function(tmp_path, url), "f")

    assert told == {"error": FAILED}
    assert [record.getMessage() for record in caplog.records] == ["f cannot be requested: RemoteProtocolError"]


# How long


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (OK, b"X: x\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"Content-Length: 100000\r\n\r\n", b"x"),
        (OK + b"Connection: close\r\n\r\n", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    ],
    ids=["a field", "fields", "it goes on", "its length", "until it closes", "chunks", "a chunk's extension"],
)
async def test_a_server_that_sends_a_byte_now_and_then_is_given_up_in_time_and_its_thread_ends(
    tmp_path: Path, functions: Functions, begin: bytes, part: bytes
) -> None:
    async with answering(without_end(begin, part, pause=0.02)) as url:
        told = await run(functions, function(tmp_path, url, timeout=0.3), "f")

        assert told == {"error": TOOK_TOO_LONG}
        await thread_is_over()


async def test_a_server_that_says_all_the_time_that_it_goes_on_is_given_up_in_time(
    tmp_path: Path, functions: Functions
) -> None:
    async with answering(without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100)) as url:
        told = await run(functions, function(tmp_path, url, timeout=0.3), "f")

        assert told == {"error": TOOK_TOO_LONG}
        await thread_is_over()


async def test_a_server_that_does_not_take_what_is_sent_is_given_up_in_time(
    tmp_path: Path, functions: Functions
) -> None:
    declared = {
        "name": "f",
        "description": "d",
        "http": {"method": "POST", "url": "", "json": ["{{ text }}"] * 400},
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
        "timeout": 0.5,
    }
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1) as server:
        declared["http"]["url"] = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]  # type: ignore[index] # noqa: UP031
        text = json.dumps({"prompt": "p", "functions": [declared]})
        agent = agent_of(tmp_path, text, environment={hosts.VARIABLE: "127.0.0.1"})

        told = await run(functions, agent, "f", {"text": "x" * 50_000})

        assert told == {"error": TOOK_TOO_LONG}
        await thread_is_over()
        over.set()


# What it says


@pytest.mark.parametrize(
    "charset",
    [
        "punycode",
        "idna",
        "undefined",
        "zlib",
        "base64",
        "hex",
        "rot13",
        "../x",
        "x" * 5000,
        "latin-1",
    ],
)
async def test_whatever_encoding_a_server_names_its_text_is_told(
    tmp_path: Path, functions: Functions, caplog: pytest.LogCaptureFixture, charset: str
) -> None:
    head = OK + b"Content-Type: text/plain; charset=%b\r\nContent-Length: 7\r\n\r\nbread-x"
    async with answering(said(head.replace(b"%b", charset.encode()))) as url:
        told = await run(functions, function(tmp_path, url), "f")

    assert told == "bread-x"
    assert caplog.records == []


async def test_a_private_host_is_an_apology_and_one_line_for_the_operator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Functions() as functions:
        told = await run(functions, function(tmp_path, "http://127.0.0.1:1/x?key=hush"), "f")

    assert told == {"error": FAILED}
    assert caplog.record_tuples == [
        (
            "dialplan.call.http_function",
            logging.WARNING,
            "f cannot be requested: 127.0.0.1 is not on the internet, and was not asked; to let functions reach it, "
            "add it to DIALPLAN_PRIVATE_HOSTS",
        )
    ]
