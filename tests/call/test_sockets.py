"""Sockets, of both kinds, against the websockets library at the other end."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from dialplan.call import direct
from dialplan.call.dialling import dialler
from dialplan.call.pumped import Gone, Message, Pumped, pumping
from dialplan.call.sockets import Dial, Listener, Socket
from dialplan.errors import SpeechError, SpeechLost

Peer = Callable[[ServerConnection], Awaitable[None]]


class Heard:
    """What a socket has told, and something to wait for more."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.codes: list[int] = []
        self.blocks: list[bool] = []
        self._told = asyncio.Event()
        tell = self._note(self.messages)
        self.listener = Listener(
            lambda text: tell(text.decode()), tell, self._note(self.codes), self._note(self.blocks)
        )

    def _note(self, told: list[object]) -> Callable[[object], None]:  # type: ignore[misc]
        def note(what: object) -> None:
            told.append(what)
            self._told.set()

        return note

    async def until(self, condition: Callable[["Heard"], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self):
                self._told.clear()
                await self._told.wait()


@pytest.fixture(params=[True, False], ids=["direct", "pumped"])
def dial(request: pytest.FixtureRequest) -> Dial:
    return dialler(1.0, directly=request.param)


def send(socket: Socket, message: Message) -> None:
    if isinstance(message, str):
        socket.send_text(message)
    else:
        socket.send_binary(message)


@asynccontextmanager
async def peer(behave: Peer) -> AsyncIterator[str]:
    async def handle(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await behave(connection)

    async with serve(handle, "127.0.0.1", 0, compression=None, max_size=None, max_queue=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/path?query=1"


@asynccontextmanager
async def dialled(dial: Dial, behave: Peer) -> AsyncIterator[tuple[Socket, Heard]]:
    heard = Heard()
    async with peer(behave) as url, dial(url, "key") as socket:
        socket.listen(heard.listener)
        yield socket, heard


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def until_closed(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def test_each_kind_is_what_it_says(dial: Dial, request: pytest.FixtureRequest) -> None:
    async with dialled(dial, until_closed) as (socket, _):
        assert isinstance(socket, direct.Direct if "direct" in request.node.name else Pumped)


async def test_messages_go_both_ways_in_their_order(dial: Dial) -> None:
    sent: list[Message] = ["a", b"\x00", "ü" * 3000, b"\xff" * 70_000, "z"]

    async with dialled(dial, echo) as (socket, heard):
        for message in sent:
            send(socket, message)
        await heard.until(lambda h: len(h.messages) == len(sent))

    assert heard.messages == sent


async def test_the_key_and_who_we_are_stand_in_the_handshake(dial: Dial) -> None:
    paths: list[str] = []
    headers: list[dict[str, str]] = []

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        paths.append(connection.request.path)
        headers.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        await connection.send("noted")

    async with dialled(dial, note) as (_, heard):
        await heard.until(lambda h: bool(h.messages))

    assert paths == ["/path?query=1"]
    assert headers[0]["authorization"] == "Token key"
    assert headers[0]["user-agent"].startswith("dialplan/")
    assert "sec-websocket-extensions" not in headers[0]


@pytest.mark.parametrize("directly", [True, False], ids=["direct", "pumped"])
async def test_tls_is_spoken_to_a_server_that_is_trusted_and_to_no_other(
    directly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    with authority.cert_pem.tempfile() as trusted:
        monkeypatch.setenv("SSL_CERT_FILE", trusted)
        dial = dialler(1.0, directly=directly)
    sent: list[Message] = ["a", b"\x00" * 100_000, "z"]

    heard = Heard()
    async with serve(echo, "localhost", 0, ssl=tls, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with dial(f"wss://localhost:{port}/", "key") as socket:
            socket.listen(heard.listener)
            for message in sent:
                send(socket, message)
            await heard.until(lambda h: len(h.messages) == len(sent))
        with pytest.raises(SpeechLost, match="certificate"):
            async with dial(f"wss://127.0.0.1:{port}/", "key"):
                raise AssertionError

    assert heard.messages == sent


async def test_where_the_environment_names_a_proxy_the_dial_goes_through_it(
    dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        monkeypatch.setenv("wss_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(SpeechLost):
            async with dial("wss://speech.example.com/", "key"):
                raise AssertionError

    assert asked == [b"CONNECT speech.example.com:443 HTTP/1.1\r\n"]


async def test_what_came_before_anybody_listened_is_told_first(dial: Dial) -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send("first")
        await connection.send("second")
        await connection.recv()
        await connection.send("third")
        await connection.close(1001)

    heard = Heard()
    async with peer(greet) as url, dial(url, "key") as socket:
        # A round trip of another connection: by then the messages are there.
        async with dialled(dial, echo) as (other, echoed):
            send(other, "x")
            await echoed.until(lambda h: bool(h.messages))
        socket.listen(heard.listener)
        send(socket, "go on")
        await heard.until(lambda h: bool(h.codes))

    assert heard.messages == ["first", "second", "third"]
    assert heard.codes == [1001]


async def test_a_message_in_pieces_is_heard_whole(dial: Dial) -> None:
    async def speak(connection: ServerConnection) -> None:
        await connection.send(["Hel", "lo ", "ü"])
        await connection.send([b"\x01", b"\x02"])
        await connection.send("end")

    async with dialled(dial, speak) as (_, heard):
        await heard.until(lambda h: "end" in h.messages)

    assert heard.messages == ["Hello ü", b"\x01\x02", "end"]


@pytest.mark.parametrize("code", [1000, 1011, 4001])
async def test_a_goodbye_is_told_with_its_code(dial: Dial, code: int) -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.send("x")
        await connection.close(code)

    async with dialled(dial, leave) as (_, heard):
        await heard.until(lambda h: bool(h.codes))

    assert (heard.messages, heard.codes) == (["x"], [code])


async def test_a_connection_that_breaks_is_told_as_1006(dial: Dial) -> None:
    async def vanish(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with dialled(dial, vanish) as (socket, heard):
        await heard.until(lambda h: bool(h.codes))
        send(socket, "into the void")
        socket.hold(True)

    assert heard.codes == [1006]


async def test_what_is_sent_before_closing_arrives_and_nothing_is_told_after(dial: Dial) -> None:
    arrived: list[Message] = []
    codes: list[int | None] = []

    async def listen(connection: ServerConnection) -> None:
        async for message in connection:
            arrived.append(message)
            with contextlib.suppress(ConnectionClosed):  # It has heard the goodbye already.
                await connection.send("heard")
        codes.append(connection.close_code)

    async with dialled(dial, listen) as (socket, heard):
        for n in range(100):
            send(socket, str(n))
        await socket.close(1001)
        told = len(heard.messages)

    assert arrived == [str(n) for n in range(100)]
    assert codes == [1001]
    assert len(heard.messages) == told
    assert heard.codes == []


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_message_beyond_reason_closes_the_connection(dial: Dial, pieces: int) -> None:
    codes: list[int | None] = []

    async def flood(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.send([b"\x00" * (1_200_000 // pieces)] * pieces)
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with dialled(dial, flood) as (_, heard):
        await heard.until(lambda h: bool(h.codes))

    assert heard.messages == []
    assert codes == [1009]


async def test_a_piece_that_continues_nothing_closes_the_connection(dial: Dial) -> None:
    codes: list[int | None] = []

    async def err(connection: ServerConnection) -> None:
        async with connection.send_context():
            connection.protocol.writes.append(bytes([0x80 | Opcode.CONT, 1, 65]))
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with dialled(dial, err) as (_, heard):
        await heard.until(lambda h: bool(h.codes))

    assert heard.messages == []
    assert codes == [1002]


async def test_a_ping_is_answered(dial: Dial) -> None:
    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping())
        await connection.send("answered")

    async with dialled(dial, ping) as (_, heard):
        await heard.until(lambda h: h.messages == ["answered"])


async def test_one_who_takes_nothing_blocks_and_loses_nothing_when_he_goes_on(dial: Dial) -> None:
    go_on = asyncio.Event()
    arrived: list[Message] = []

    async def sleep_first(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await go_on.wait()
        connection.transport.resume_reading()
        async for message in connection:
            arrived.append(message)
            if message == "end":
                await connection.send("done")

    sent: list[Message] = []
    async with dialled(dial, sleep_first) as (socket, heard):
        while not heard.blocks:
            sent.append(bytes([len(sent) % 256]) * 50_000)
            send(socket, sent[-1])
            await asyncio.sleep(0)
        go_on.set()
        send(socket, "end")
        await heard.until(lambda h: bool(h.messages))

    assert heard.blocks[:2] == [True, False]
    assert arrived == [*sent, "end"]


async def test_one_who_takes_nothing_is_not_listened_to(dial: Dial) -> None:
    """Else what he asks for would pile up here, unsent."""
    questions = 500
    asking: list[ServerConnection] = []

    async def ask(connection: ServerConnection) -> None:
        asking.append(connection)
        connection.transport.pause_reading()
        for _ in range(questions):
            await connection.send("x" * 20_000)
        await connection.wait_closed()

    heard = Heard()
    async with dialled(dial, echo) as (other, echoed), peer(ask) as url, dial(url, "key") as socket:

        def answer(question: bytes) -> None:
            heard.listener.text(question)
            socket.send_binary(b"x" * 100_000)

        socket.listen(replace(heard.listener, text=answer))
        await heard.until(lambda h: bool(h.blocks))
        for n in range(50):
            send(other, "x")
            await echoed.until(lambda h, n=n: len(h.messages) > n)  # type: ignore[misc]
        listened_to = len(heard.messages)
        asking[0].transport.abort()

    assert listened_to < questions


async def test_what_is_held_is_heard_when_it_is_let_go(dial: Dial) -> None:
    async def count(connection: ServerConnection) -> None:
        await connection.recv()
        for n in range(50):
            await connection.send(str(n))

    async with dialled(dial, count) as (socket, heard):
        socket.hold(True)
        send(socket, "count")
        async with dialled(dial, echo) as (other, echoed):
            for _ in range(3):
                send(other, "x")
                await echoed.until(lambda h: bool(h.messages))
        # One message may have been on its way.
        assert len(heard.messages) <= 1
        socket.hold(False)
        await heard.until(lambda h: len(h.messages) == 50)

    assert heard.messages == [str(n) for n in range(50)]


async def test_a_dial_that_is_given_up_leaves_no_connection(dial: Dial) -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        gone.set()
        writer.close()

    async def give_up(url: str) -> None:
        async with dial(url, "key"):
            raise AssertionError

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with asyncio.timeout(10):
            task = asyncio.create_task(give_up(url))
            await came.wait()
            task.cancel()
            await asyncio.wait([task])
            await gone.wait()


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"],
    ids=["closes", "nonsense", "no upgrade", "no accept"],
)
async def test_who_is_no_websocket_server_cannot_be_had(dial: Dial, answer: bytes) -> None:
    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(answering, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(SpeechError):
            async with dial(url, "key"):
                raise AssertionError


async def test_a_pumped_socket_may_be_lost_while_it_is_being_written_to() -> None:
    gone, go_on, sent = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        raise Gone(1006)

    async def write(message: Message) -> None:
        gone.set()
        await go_on.wait()
        sent.set()

    async def shut(code: int) -> None:
        pass

    heard = Heard()
    async with pumping(Pumped(receive, write, shut, abort=lambda: None)) as socket:
        socket.listen(heard.listener)
        socket.send_text("first")
        socket.send_text("second")
        await heard.until(lambda h: h.codes == [1006])
        go_on.set()
        await asyncio.wait_for(sent.wait(), 5)

    assert heard.messages == []
