"""Functions that are HTTP requests, over a real socket: what goes out, and what comes of the answer."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dialplan import hosts
from dialplan.call import threads
from dialplan.call.functions import Functions
from dialplan.call.results import FAILED, TOOK_TOO_LONG
from dialplan.config.model import Agent
from dialplan.hosts import private_hosts
from tests.agents import agent_of, run

ENVIRONMENT = {"TOKEN": "sk-4711/&?", hosts.VARIABLE: "127.0.0.1"}


@dataclass(slots=True)
class Service:
    """Somebody's server, and what it was asked."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answering: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.asked[-1][1]).query, keep_blank_values=True, strict_parsing=True))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self.answered(reader, writer))
        self.answering.add(task)
        await asyncio.wait([task])
        writer.close()
        await writer.wait_closed()

    async def answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.asked.append((method, target))
        self.headers.append(headers)
        self.bodies.append(await reader.readexactly(int(headers.get("content-length", 0))))
        if target == "/silent":
            await reader.read()
        else:
            status, kind, body = _ANSWERS.get(target, (200, "application/json", b'{"price": 5.25}'))
            fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nLocation: /elsewhere\r\n"
            writer.write(f"HTTP/1.1 {status} X\r\n{fields}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()


_ANSWERS: Mapping[str, tuple[int, str, bytes]] = {
    "/text": (200, "text/plain; charset=utf-8", "Zoë".encode()),
    "/nothing": (204, "text/plain", b""),
    "/moved": (302, "text/plain", b"gone"),
    "/missing": (404, "application/json", b'{"detail": "internal"}'),
    "/broken": (500, "text/html", b"<h1>internal</h1>"),
    "/long": (200, "text/plain", b"x" * 70_000),
    "/deep": (200, "application/json", b"[" * 100_000),
    "/nan": (200, "application/json", b"[NaN]"),
}


@pytest.fixture(autouse=True)
def threads_end_with_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can be waited for; test_threads.py has the rest."""
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.0)


@pytest.fixture
async def functions() -> AsyncIterator[Functions]:
    async with Functions(private_hosts(ENVIRONMENT[hosts.VARIABLE])) as running:
        yield running


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as running:
        yield running


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    async with await asyncio.start_server(service.answer, "127.0.0.1", 0) as server:
        service.url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]  # noqa: UP031
        yield service
        for task in service.answering:
            task.cancel()
        await asyncio.gather(*service.answering, return_exceptions=True)


def http(root: Path, request: dict[str, Any], **options: object) -> Agent:
    """An agent with one function `f`, which is this HTTP request."""
    properties: dict[str, Any] = {name: {} for name in ("name", "size", "items", "on")}
    parameters = {"type": "object", "properties": properties}
    declared = {"name": "f", "description": "d", "parameters": parameters, "http": request, **options}
    text = json.dumps({"prompt": "p", "variables": {"store": "Corner"}, "functions": [declared]})
    return agent_of(root, text, environment=ENVIRONMENT)


async def test_an_answer_of_another_server_is_the_result(
    tmp_path: Path, functions: Functions, service: Service
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/drugs/{{{{ name }}}}"})

    assert await run(functions, agent, "f", {"name": "aspirin"}) == {"price": 5.25}
    assert service.asked == [("GET", "/drugs/aspirin")]
    assert service.headers[0]["user-agent"].startswith("dialplan/")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_the_method_is_the_files(tmp_path: Path, functions: Functions, service: Service, method: str) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/x", "method": method})

    await run(functions, agent, "f")

    assert service.asked == [(method, "/x")]
    assert service.bodies == [b""]


HOSTILE = [
    "a b",
    "a/b",
    "../../admin",
    "a?b=c&d=e#f",
    "%2e%2e",
    "Zoë 🎉",
    "a\r\nX-Evil: 1",
    "{{ store }}",
    "",
    "a;b,c@d:e",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_value_in_an_address_adds_neither_path_nor_parameter(
    tmp_path: Path, functions: Functions, service: Service, name: str
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/a/{{{{ name }}}}/z?q={{{{ name }}}}&last=1"})

    assert await run(functions, agent, "f", {"name": name}) == {"price": 5.25}
    path = urlsplit(service.asked[0][1]).path
    assert path.startswith("/a/")
    assert path.endswith("/z")
    assert path.count("/") == 3
    assert service.query == {"q": name, "last": "1"}


@pytest.mark.parametrize("name", [".", ".."])
async def test_a_value_in_an_address_takes_no_path_away(
    tmp_path: Path, functions: Functions, service: Service, name: str
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/orders/{{{{ name }}}}/items"})

    told = await run(functions, agent, "f", {"name": name})

    assert told.keys() == {"error"}
    assert service.asked == []


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_value_of_the_query_stays_one_value(
    tmp_path: Path, functions: Functions, service: Service, name: str
) -> None:
    agent = http(
        tmp_path, {"url": f"{service.url}/x", "query": {"q": "<{{ name }}>", "size": 7, "store": "{{ store }}"}}
    )

    await run(functions, agent, "f", {"name": name})

    assert service.query == {"q": f"<{name}>", "size": "7", "store": "Corner"}


async def test_a_query_is_added_to_the_one_in_the_address(
    tmp_path: Path, functions: Functions, service: Service
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/x?format=json", "query": {"q": "{{ name }}"}})

    await run(functions, agent, "f", {"name": "aspirin"})

    assert service.query == {"format": "json", "q": "aspirin"}


async def test_a_value_in_the_body_keeps_its_type(tmp_path: Path, functions: Functions, service: Service) -> None:
    body = {
        "size": "{{ size }}",
        "items": " {{ items }} ",
        "on": ["{{ on }}", "{{ size + 1 }}"],
        "text": "{{ size }} pieces",
        "plain": 7,
        "none": None,
        "nested": {"name": "{{ name }}"},
        "from": "{{ call.from }}",
    }
    agent = http(tmp_path, {"url": f"{service.url}/x", "method": "POST", "json": body})

    await run(functions, agent, "f", {"size": 2, "items": [{"id": 1.5}], "on": False, "name": '"}'})

    assert service.headers[0]["content-type"] == "application/json"
    assert json.loads(service.bodies[0]) == {
        "size": 2,
        "items": [{"id": 1.5}],
        "on": [False, 3],
        "text": "2 pieces",
        "plain": 7,
        "none": None,
        "nested": {"name": '"}'},
        "from": "+15550100099",
    }


async def test_an_argument_that_was_left_out_is_an_empty_text(
    tmp_path: Path, functions: Functions, service: Service
) -> None:
    agent = http(
        tmp_path, {"url": f"{service.url}/x", "method": "POST", "query": {"q": "{{ name }}"}, "json": ["{{ on }}"]}
    )

    await run(functions, agent, "f", {})

    assert service.query == {"q": ""}
    assert json.loads(service.bodies[0]) == [""]


async def test_an_argument_that_nobody_declared_cannot_take_the_place_of_a_fact(
    tmp_path: Path, functions: Functions, service: Service
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/x", "query": {"from": "{{ call.from }}", "store": "{{ store }}"}})

    await run(functions, agent, "f", {"call": {"from": "+1666"}, "store": "Evil", "now": "never"})

    assert service.query == {"from": "+15550100099", "store": "Corner"}


async def test_a_secret_is_sent_and_never_told(
    tmp_path: Path, functions: Functions, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    request = {
        "url": f"{service.url}/x/${{TOKEN}}",
        "method": "POST",
        "headers": {"authorization": "Bearer ${TOKEN}", "x-name": "{{ name }}"},
        "query": {"key": "${TOKEN}"},
        "json": {"key": "${TOKEN}"},
    }
    agent = http(tmp_path, request)

    sent = await run(functions, agent, "f", {"name": "a"})
    refused = await run(functions, agent, "f", {"name": "a\r\nb"})

    assert sent == {"price": 5.25}
    assert refused == {"error": FAILED}
    assert urlsplit(service.asked[0][1]).path == "/x/sk-4711%2F%26%3F"
    assert service.headers[0]["authorization"] == "Bearer sk-4711/&?"
    assert service.query == {"key": "sk-4711/&?"}
    assert json.loads(service.bodies[0]) == {"key": "sk-4711/&?"}
    assert "sk-4711" not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert "sk-4711" not in repr(agent)


async def test_a_broken_header_is_not_logged_with_its_secret(
    tmp_path: Path, functions: Functions, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/x", "headers": {"authorization": "Bearer ${TOKEN} {{ name }}"}})

    assert await run(functions, agent, "f", {"name": "a\nb"}) == {"error": FAILED}
    assert "sk-4711" not in caplog.text
    assert service.asked == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("text", "Zoë"),
        ("nothing", ""),
        ("missing", {"error": "The service answered with the error 404."}),
        ("broken", {"error": "The service answered with the error 500."}),
        ("moved", {"error": "The service answered with the error 302."}),
        ("long", {"error": FAILED}),
        ("deep", {"error": FAILED}),
        ("nan", {"error": FAILED}),
    ],
)
async def test_what_another_server_says_is_told_in_words_that_a_caller_may_hear(
    tmp_path: Path, functions: Functions, service: Service, path: str, told: object
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/{path}"})

    assert await run(functions, agent, "f") == told
    assert len(service.asked) == 1  # a redirect is not followed


async def test_a_server_that_is_not_there_is_an_apology(
    tmp_path: Path, functions: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as service:
        agent = http(tmp_path, {"url": f"{service.url}/x"})

    assert await run(functions, agent, "f") == {"error": FAILED}
    assert caplog.record_tuples == [
        ("dialplan.call.http_function", logging.WARNING, "f cannot be requested: ConnectError")
    ]


async def test_a_server_that_says_nothing_is_given_up_in_time(
    tmp_path: Path, functions: Functions, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/silent", "timeout": 0.05})

    told = await run(functions, agent, "f")

    assert told == {"error": TOOK_TOO_LONG}
    for thread in threading.enumerate():
        if thread.name == "f":
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
    assert {record.levelname for record in caplog.records} <= {"WARNING"}


async def test_text_beyond_ascii_goes_into_a_header_as_utf8(
    tmp_path: Path, functions: Functions, service: Service
) -> None:
    agent = http(tmp_path, {"url": f"{service.url}/x", "headers": {"x-name": "{{ name }}"}})

    await run(functions, agent, "f", {"name": "Zoë"})

    assert service.headers[0]["x-name"] == "Zoë"
