"""Where connections of `http` functions go, over real sockets: the very address that was looked at, by its own name."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from dialplan.call.outbound import HostRefused, http_client, within
from dialplan.errors import ConfigError
from dialplan.hosts import NONE, PrivateHosts, private_hosts


class Names:
    """A name server whose answers are these, the last one for ever; it notes what it was asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@dataclass(slots=True)
class Server:
    """Answers every request alike, and notes each with the connection that it came by."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    port: int = 0
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)
    hosts: list[str | None] = field(default_factory=list)
    """What each TLS connection has named."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def serving(
    server: Server, address: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    async with await asyncio.start_server(server.serve, address, 0, ssl=context) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
        listening.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Server()) as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client(private: PrivateHosts, *answers: list[str]) -> httpx.Client:
    return http_client(private, Names(*answers))


async def get(asking: httpx.Client, *urls: str) -> list[str]:
    """The bodies of answers, asked for in a thread as functions do."""

    def ask() -> list[str]:
        with asking, within(10):
            return [asking.get(url).text for url in urls]

    return await asyncio.to_thread(ask)


# Which addresses


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]"]
)
async def test_this_machine_is_not_asked_however_it_is_written(server: Server, host: str) -> None:
    with pytest.raises(HostRefused):
        await get(http_client(NONE), f"http://{host}:{server.port}/")

    assert server.connections == 0


async def test_the_clouds_metadata_is_not_asked() -> None:
    with pytest.raises(HostRefused, match=r"169\.254\.169\.254 is not on the internet"):
        await get(http_client(NONE), "http://169.254.169.254/latest/meta-data/")


async def test_a_name_that_leads_to_a_private_address_is_refused_and_the_operator_told_how_to_allow_it(
    server: Server,
) -> None:
    with pytest.raises(HostRefused) as refused:
        await get(client(NONE, ["127.0.0.1"]), f"http://api.example.com:{server.port}/")

    assert str(refused.value) == (
        "api.example.com leads to 127.0.0.1 and not to the internet, and was not asked; to let functions reach it, "
        "add it to DIALPLAN_PRIVATE_HOSTS"
    )
    assert server.connections == 0


@pytest.mark.parametrize("listed", ["crm.internal", "127.0.0.1", "127.0.0.0/8, ::1"])
async def test_what_the_operator_lists_is_asked_under_its_own_name(server: Server, listed: str) -> None:
    asking = client(private_hosts(listed), ["127.0.0.1"])

    assert await get(asking, f"http://crm.internal:{server.port}/x") == ["hi"]
    assert f"Host: crm.internal:{server.port}\r\n".encode() in server.heads[0]


async def test_of_several_addresses_those_that_may_be_reached_are_tried_in_turn() -> None:
    async with serving(Server(), "127.0.0.3") as server:
        asking = client(private_hosts("127.0.0.2/31"), ["127.0.0.1", "127.0.0.2", "10.0.0.1", "127.0.0.3"])

        assert await get(asking, f"http://crm.internal:{server.port}/") == ["hi"]


async def test_a_name_that_leads_elsewhere_a_moment_later_is_connected_to_where_it_was_looked_at(
    server: Server,
) -> None:
    """DNS rebinding: a name server gives the checking a good address and the connecting a bad one."""
    names = Names(["127.0.0.2"], ["127.0.0.1"])

    with pytest.raises(httpx.ConnectError):  # Nobody listens at 127.0.0.2.
        await get(http_client(private_hosts("127.0.0.2"), names), f"http://evil.example:{server.port}/")

    assert names.asked == ["evil.example"]
    assert server.connections == 0


async def test_each_new_connection_is_looked_at_anew(server: Server) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    asking = client(private_hosts("127.0.0.1"), ["127.0.0.1"], ["127.0.0.9"])

    with pytest.raises(HostRefused):
        await get(asking, *[f"http://a.example:{server.port}/"] * 2)

    assert server.connections == 1


async def test_a_host_that_no_name_can_have_is_not_found() -> None:
    with pytest.raises(httpx.ConnectError):
        await get(http_client(NONE), f"http://{'a' * 64}.example/")


async def test_a_connection_is_kept_for_the_same_host_and_for_no_other_at_its_address(server: Server) -> None:
    asking = client(private_hosts("127.0.0.1"), ["127.0.0.1"])

    await get(asking, *[f"http://{host}.example:{server.port}/" for host in "aaba"])

    assert server.connections == 2


# TLS


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
async def secure(authority: trustme.CA) -> AsyncIterator[Server]:
    """A server with a certificate for two names."""
    server, context = Server(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("crm.internal", "shop.internal").configure_cert(context)

    def named(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        server.hosts.append(name)

    context.sni_callback = named
    async with serving(server, context=context) as running:
        yield running


async def test_a_certificate_is_held_against_the_name_of_the_file_and_not_against_the_address(secure: Server) -> None:
    asking = client(private_hosts("127.0.0.1"), ["127.0.0.1"])

    assert await get(asking, f"https://crm.internal:{secure.port}/") == ["hi"]
    assert secure.hosts == ["crm.internal"]


async def test_another_ones_certificate_is_refused(secure: Server) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        await get(client(private_hosts("127.0.0.1"), ["127.0.0.1"]), f"https://other.internal:{secure.port}/")

    assert secure.heads == []


async def test_two_hosts_at_one_address_have_a_tls_connection_each(secure: Server) -> None:
    asking = client(private_hosts("127.0.0.1"), ["127.0.0.1"])

    await get(asking, *[f"https://{host}.internal:{secure.port}/" for host in ("crm", "shop", "crm")])

    assert secure.hosts == ["crm.internal", "shop.internal"]


# Proxies


async def test_a_proxy_from_the_environment_is_asked_and_may_be_private_itself(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{server.port}")
    names = Names(["10.0.0.1"])

    assert await get(http_client(NONE, names), "http://api.example.com/x") == ["hi"]
    assert server.heads[0].startswith(b"GET http://api.example.com/x HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in server.heads[0]
    assert names.asked == []


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_a_proxy_is_asked_for_a_tunnel_where_there_is_tls(
    server: Server, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    server.answer = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    monkeypatch.setenv(variable, f"127.0.0.1:{server.port}")

    with pytest.raises(httpx.ProxyError):
        await get(http_client(NONE), "https://api.example.com/x")

    assert server.heads[0].startswith(b"CONNECT api.example.com:443 HTTP/1.1\r\n")


async def test_a_host_that_no_proxy_is_asked_for_is_looked_at(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("NO_PROXY", "internal,example.org")

    for host in ("crm.internal", "example.org", "api.example.org"):
        with pytest.raises(HostRefused):
            await get(client(NONE, ["127.0.0.1"]), f"http://{host}:{server.port}/")

    assert server.connections == 0


@pytest.mark.parametrize("proxy", ["ftp://proxy:21", "http://user:hush@proxy:x"])
def test_a_proxy_that_is_none_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)

    with pytest.raises(ConfigError, match="is no proxy's address") as refused:
        http_client(NONE)

    assert "hush" not in str(refused.value)


# What is left of an answer


async def test_no_cookie_of_one_caller_is_sent_for_another_one(server: Server) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=4711; Path=/\r\nContent-Length: 2\r\n\r\nhi"
    asking = client(private_hosts("127.0.0.1"), ["127.0.0.1"])

    await get(asking, *[f"http://a.example:{server.port}/"] * 2)

    assert len(server.heads) == 2
    assert b"cookie" not in server.heads[1].lower()


async def test_a_redirect_is_not_followed(server: Server) -> None:
    server.answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"
    names = Names(["127.0.0.1"])

    assert await get(http_client(private_hosts("127.0.0.1"), names), f"http://a.example:{server.port}/") == [""]
    assert names.asked == ["a.example"]
