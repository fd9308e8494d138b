"""One request over the network, with a limit on its time and on the size of its answer; every failure is in words."""

import asyncio
import errno
import functools
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from dialplan import __version__
from dialplan.errors import ConfigError
from dialplan.server.beside import beside

T = TypeVar("T")

#: Bytes of an answer that are read; a page of numbers is some 400 KB.
MAX_BODY = 4_194_304


@dataclass(frozen=True, slots=True)
class Answer:
    """Somebody answered, whatever it was."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nobody did, or not to the end."""

    why: str
    """Goes on after the name of who was asked: `does not answer within 10 s`."""


def client() -> httpx.AsyncClient:
    """For all requests. No redirect is followed: it could take a token to another host. What is compressed could unfold
    without end, so that nothing may be.

    Raises:
        ConfigError: the environment names a proxy or certificates that cannot be used.
    """
    headers = {"user-agent": f"dialplan/{__version__}", "accept-encoding": "identity"}
    try:
        return httpx.AsyncClient(headers=headers, follow_redirects=False, timeout=None)  # noqa: S113 -- `ask` has one
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as exc:
        raise ConfigError(
            f"the network cannot be asked: {exc}\n"
            "Look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR in the environment."
        ) from exc


async def ask(client: httpx.AsyncClient, method: str, url: str, *, seconds: float, **request: Any) -> Answer | NoAnswer:
    """Ask, and read the answer as far as it is wanted.

    Args:
        client: see above.
        method: such as GET.
        url: the whole address.
        seconds: from the look-up of the name to the answer's last byte.
        request: more of httpx: auth, data, headers.
    """
    try:
        async with asyncio.timeout(seconds), client.stream(method, url, **request) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BODY:
                    return NoAnswer(f"answers with more than {MAX_BODY // 1_048_576} MB")
            return Answer(response.status_code, response.headers, bytes(body))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, OverflowError) as exc:
        return NoAnswer(why(exc, seconds))


def why(exc: BaseException, seconds: float) -> str:
    """Why nobody answered. An exception's own text is shown where it can only be about the network."""
    for cause in _causes(exc):
        for kind, words in _WORDS.items():
            if isinstance(cause, kind):
                return words(cause)
        if isinstance(cause, OSError) and _no_way(cause):
            return "cannot be reached: this machine has no network, or no way there"
        if isinstance(cause, TimeoutError | httpx.TimeoutException):
            return f"does not answer within {seconds:g} s"
    return "gives no answer that could be understood"


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """From the surface to the ground."""
    following: BaseException | None = exc
    while following is not None:
        yield following
        if isinstance(following, BaseExceptionGroup):
            for inner in following.exceptions:
                yield from _causes(inner)
        following = following.__cause__ or following.__context__


def _no_way(exc: OSError) -> bool:
    return exc.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)


def _unknown_name(exc: Any) -> str:
    if exc.errno == socket.EAI_AGAIN:
        return "cannot be found: this machine has no network, or its DNS does not answer"
    return "cannot be found: the DNS knows no such name, or this machine has no network"


_WORDS: Mapping[type[BaseException], Callable[[Any], str]] = {
    socket.gaierror: _unknown_name,
    UnicodeError: lambda exc: "cannot be found: no host has such a name",
    ssl.SSLCertVerificationError: lambda exc: f"has a certificate that is not trusted: {exc.verify_message}",
    ssl.SSLError: lambda exc: "cannot be spoken to: there is no TLS, or another kind of it",
    ConnectionRefusedError: lambda exc: "refuses the connection: nothing listens there",
    BrokenPipeError: lambda exc: "closes the connection without an answer",
    ConnectionResetError: lambda exc: "closes the connection without an answer",
    httpx.RemoteProtocolError: lambda exc: "closes the connection without an answer, or does not speak HTTP",
    httpx.ReadError: lambda exc: "closes the connection in the middle of its answer",
    httpx.ProxyError: lambda exc: "cannot be reached: the proxy in HTTPS_PROXY or ALL_PROXY refuses",
    httpx.InvalidURL: lambda exc: "has an address that cannot be right",
    httpx.UnsupportedProtocol: lambda exc: "has an address that cannot be right",
}


def run(asking: Coroutine[Any, Any, T]) -> T:
    """Run what asks. A name that is looked up for ever does not keep the process from ending."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Lookups())
        return runner.run(asking)


class _Lookups(ThreadPoolExecutor):
    """Looks names up in threads that nobody waits for, as those of an executor are when the process ends."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return beside(functools.partial(fn, *args, **kwargs), "lookup")
