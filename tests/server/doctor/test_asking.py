"""Every way in which nobody answers ends in words, and in time."""

import asyncio
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
import trustme
from starlette.responses import Response

from dialplan.errors import ConfigError
from dialplan.server.doctor import asking
from dialplan.server.doctor.asking import Answer, NoAnswer, ask
from tests.twilio_rest import http_server, raw_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def asked(url: str, seconds: float = 5.0) -> Answer | NoAnswer:
    async with asking.client() as client:
        return await ask(client, "GET", url, seconds=seconds)


async def why(url: str, seconds: float = 5.0) -> str:
    answer = await asked(url, seconds)
    assert isinstance(answer, NoAnswer), answer
    return answer.why


async def test_an_answer_is_its_status_headers_and_body() -> None:
    async with raw_server(OK) as url:
        answer = await asked(url)

    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (200, b"ok")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with raw_server(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n") as url:
        answer = await asked(url)

    assert isinstance(answer, Answer)
    assert answer.status == 302


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "closes the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", "closes the connection"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 999999 what\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5_000_000), "more than 4 MB"),
        (b"\xff\x00" * 99, "does not speak HTTP"),
    ],
    ids=["closed", "cut off", "ssh", "status", "header", "huge", "noise"],
)
async def test_what_is_no_answer_is_said_in_words(sent: bytes, words: str) -> None:
    async with raw_server(sent) as url:
        assert words in await why(url)


async def test_silence_ends_in_time() -> None:
    async with raw_server(None) as url:
        assert await why(url, 0.2) == "does not answer within 0.2 s"


async def test_an_answer_that_drips_ends_in_time() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", drips=True) as url:
        assert await why(url, 0.3) == "does not answer within 0.3 s"


async def test_nobody_listening_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "nothing listens there" in await why(f"http://127.0.0.1:{free.getsockname()[1]}")


async def test_a_name_that_does_not_exist_is_said() -> None:
    assert "cannot be found" in await why("http://there-is-no-such-name.invalid")


@pytest.mark.parametrize("url", ["http://", "x", "ftp://a.example.com", "http://a..b/", "http://a:99999", "http://[z"])
async def test_an_address_that_cannot_be_right_is_said(url: str) -> None:
    assert await why(url)


async def test_a_certificate_that_nobody_trusts_is_said(tmp_path: Path) -> None:
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "pem")

    async with http_server(Response("ok"), ssl_certfile=tmp_path / "pem") as url:
        assert "certificate that is not trusted" in await why(url)


async def test_https_where_http_is_spoken_is_said() -> None:
    async with raw_server(OK) as url:
        assert "no TLS" in await why(url.replace("http:", "https:"))


@pytest.mark.parametrize(
    ("name", "value"), [("ALL_PROXY", "nonsense://x"), ("ALL_PROXY", "socks5://127.0.0.1:9"), ("SSL_CERT_FILE", "/no")]
)
def test_an_environment_that_cannot_be_used_is_a_mistake_of_the_operators(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match="the network cannot be asked"):
        asking.client()


def test_a_name_that_is_looked_up_for_ever_holds_nobody_up() -> None:
    never = threading.Event()

    async def look_up() -> str:
        try:
            async with asyncio.timeout(0.05):
                await asyncio.get_running_loop().run_in_executor(None, never.wait)
        except TimeoutError as exc:
            return asking.why(exc, 0.05)
        return ""

    began = time.monotonic()

    assert asking.run(look_up()) == "does not answer within 0.05 s"
    assert time.monotonic() - began < 5
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "lookup")
    never.set()


def test_words_are_found_for_every_failure_that_httpx_has() -> None:
    for kind in (httpx.ConnectError, httpx.ReadTimeout, httpx.WriteError, httpx.DecodingError, httpx.TooManyRedirects):
        assert "canary" not in asking.why(kind("canary"), 1.0)
