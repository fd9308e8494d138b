"""Whatever a model puts into an `http` function, the bytes on the wire stay the file's request, with a value in it."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dialplan import hosts
from dialplan.call.http_function import request
from dialplan.call.outbound import http_client
from dialplan.config.model import Http
from dialplan.errors import FunctionError
from dialplan.hosts import private_hosts
from tests.agents import agent_of

#: Pieces of which attacks are made.
PIECES = [
    "..", ".", "/", "\\", "%2e%2e", "%2f", "%5c", "%252e", "%00", "\x00", "?", "#", "@", ":", "//", ";", "&", "=", "+",
    "\r\n", "\n", "\r", "\r\nHost: evil.example", "\r\n\r\nGET /admin HTTP/1.1\r\n", "@evil.example", "//evil.example/",
    "http://evil.example", ":1/", "[::1]", "{{ store }}", "${TOKEN}", " ", "\t", "\x0b", "\x85", "\u2028", "\xa0", "。",
    "．．", "℀", "ß", "\ud800", "\udcff", "'", '"', "<", "admin",
]  # fmt: skip
TEXT = st.text() | st.lists(st.sampled_from(PIECES)).map("".join) | st.text(st.characters())
VALUE = (
    TEXT
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(TEXT)
    | st.just({})
)
#: The headers of every request; nothing adds another one.
FIELDS = sorted(
    b"accept accept-encoding authorization connection content-length content-type host user-agent x-value".split()
)
MANY = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Wire:
    """A server that keeps the bytes of every request, and closes each connection behind its answer."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.came: list[bytes] = []
        self.stopped = False
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while not self.stopped:
            connection, _ = self.listener.accept()
            with closing(connection):
                data = b""
                while not _is_whole(data) and (more := connection.recv(65_536)):
                    data += more
                if data:  # A header that is refused is so when the connection is there already.
                    self.came.append(data)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    def stop(self) -> None:
        self.stopped = True
        with socket.create_connection(self.listener.getsockname()):
            pass
        self.thread.join()
        self.listener.close()


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= int(lengths[0] if lengths else 0)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    running = Wire()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with http_client(private_hosts("127.0.0.1")) as made:
        yield made


class Sending:
    """A function with a value in every place that may have one, and what comes of it on the wire."""

    def __init__(self, root: Path, wire: Wire, client: httpx.Client) -> None:
        self.wire = wire
        self.client = client
        asked = {
            "method": "POST",
            "url": f"http://{wire.address}/api/v1/{{{{ a }}}}/x-{{{{ a }}}}{{{{ b }}}}/end?q={{{{ a }}}}&last=1",
            "headers": {"x-value": "<{{ b }}>", "authorization": "Bearer ${TOKEN}"},
            "query": {"more": "{{ b }}"},
            "json": {"value": "{{ a }}", "text": "<{{ b }}>"},
        }
        parameters = {"type": "object", "properties": {"a": {}, "b": {}}}
        declared = {"name": "f", "description": "d", "parameters": parameters, "http": asked}
        text = json.dumps({"prompt": "p", "functions": [declared]})
        environment = {"TOKEN": "sk-4711", hosts.VARIABLE: "127.0.0.1"}
        self.function = agent_of(root, text, environment=environment).functions["f"]

    def send(self, a: object, b: object) -> bytes:
        """The request's bytes. Raises FunctionError: it was refused, and nothing was sent."""
        http, before = self.function.runs, len(self.wire.came)
        assert isinstance(http, Http)
        try:
            request(self.client, self.function, http, {"a": a, "b": b, "store": "Corner"}, lambda: False)
        except FunctionError:
            assert len(self.wire.came) == before
            raise
        assert len(self.wire.came) == before + 1
        return self.wire.came[-1]


@pytest.fixture
def sending(tmp_path: Path, wire: Wire, client: httpx.Client) -> Sending:
    return Sending(tmp_path, wire, client)


@MANY
@given(a=VALUE, b=TEXT)
@example(a="..", b="")
@example(a="x", b="..")
@example(a="../../admin", b="x")
@example(a="%2e%2e/%2e%2e", b="x")
@example(a="x", b="\r\nHost: evil.example")
@example(a="@evil.example", b="#")
def test_a_request_goes_where_the_file_says_or_is_refused(sending: Sending, a: object, b: str) -> None:
    with suppress(FunctionError):
        came = sending.send(a, b)

        head, _, body = came.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        method, target, version = line.split(b" ")
        url = urlsplit(target.decode("ascii"))
        assert (method, version) == (b"POST", b"HTTP/1.1")
        assert [unquote(part) for part in url.path.split("/")] == ["", "api", "v1", str(a), f"x-{a}{b}", "end"]
        assert parse_qsl(url.query, keep_blank_values=True) == [("q", str(a)), ("last", "1"), ("more", b)]
        names = [field.partition(b":")[0].lower() for field in fields]
        assert sorted(names) == FIELDS
        assert f"Host: {sending.wire.address}".encode() in fields
        assert json.loads(body) == {"value": a, "text": f"<{b}>"}


@MANY
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=100))
def test_a_text_without_control_characters_is_sent_and_not_refused(sending: Sending, text: str) -> None:
    assert f"x-value: <b{text}>".encode() in sending.send(f"a{text}", f"b{text}")


@pytest.mark.parametrize("b", ["\r\nX-Evil: 1", "\n", "\r", "\x00", "a\r\n b"])
def test_a_value_in_a_header_adds_no_line(sending: Sending, b: str) -> None:
    with pytest.raises(FunctionError):
        sending.send("x", b)


@pytest.mark.parametrize("a", ["\ud800", "x" * 70_000])
def test_what_cannot_be_sent_is_told_to_the_model_and_is_no_traceback(
    sending: Sending, a: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(FunctionError, match="no text that can be sent"):
        sending.send(a, "")

    assert caplog.records == []
