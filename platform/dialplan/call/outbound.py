"""Connections of `http` functions: only to addresses that they may reach, and only while their request has time left.

A name is resolved once, what it leads to is looked at, and the connection goes to the very address that was looked at:
between the two nobody can have it lead elsewhere. The address takes no other part; pools and TLS go by the name.
"""

import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from dialplan import __version__, hosts
from dialplan.errors import ConfigError
from dialplan.hosts import PrivateHosts

#: Connections that are kept open for the next request, and for how many seconds.
_KEPT = 20
_KEPT_SECONDS = 5.0

#: Bytes that are sent before it is asked again how much time is left.
_PIECE = 16_384

#: When the request of this thread must be over, in seconds of the monotonic clock.
_until: ContextVar[float] = ContextVar("until")

#: Looks a name up, as `socket.getaddrinfo` does with the arguments `host`, `port` and `type`.
Resolve = Callable[..., Iterable[tuple[Any, ...]]]


class HostRefused(httpx.ConnectError):
    """The host leads to no address that may be reached; the text is for the operator."""


def http_client(private: PrivateHosts, resolve: Resolve = socket.getaddrinfo) -> httpx.Client:
    """A client for all `http` functions, to be used inside `within`.

    What is compressed could unfold without end, so that nothing may be; and nothing is kept of an answer, since the
    next request may be another caller's.

    Args:
        private: hosts that may be reached beside those on the internet.
        resolve: how a name becomes addresses.

    Raises:
        ConfigError: the environment names a proxy that is none.
    """
    return httpx.Client(
        transport=_Transport(private, resolve),
        headers={"user-agent": f"dialplan/{__version__}", "accept-encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        timeout=httpx.Timeout(None),
    )


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give all requests in here this much time in sum: a server that sends a byte a second is late like one that sends
    none."""
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def _left(late: type[Exception]) -> float:
    """Seconds that the request still has. Raises `late`: none."""
    seconds = _until.get() - time.monotonic()
    if seconds <= 0:
        raise late("the request took too long")
    return seconds


class _Timed(httpcore.NetworkStream):
    """A connection each of whose steps has what is left of its request's time, whatever timeout it is given."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[begin : begin + _PIECE], _left(httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, _left(httpcore.ConnectTimeout)))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _ToProxy(httpcore.SyncBackend):
    """Connects to the operator's own proxy. Which hosts it lets through is its affair."""

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *more: Any, **others: Any) -> _Timed:
        return _Timed(super().connect_tcp(host, port, _left(httpcore.ConnectTimeout), *more, **others))


class _Direct(_ToProxy):
    """Connects to those addresses of a host that may be reached, in turn."""

    def __init__(self, private: PrivateHosts, resolve: Resolve) -> None:
        self._private = private
        self._resolve = resolve

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *more: Any, **others: Any) -> _Timed:
        *before, last = self._addresses(host, port)
        for address in before:
            try:
                return super().connect_tcp(address, port, timeout, *more, **others)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                pass
        return super().connect_tcp(last, port, timeout, *more, **others)

    def _addresses(self, host: str, port: int) -> list[str]:
        """What may be reached of all that a name leads to; at least one."""
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError(f"{host} cannot be found") from exc
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        allowed = [address for address in addresses if self._private.allow(host, ip_address(address))]
        if not allowed:
            named = list(addresses) != [host]
            where = (
                f"leads to {', '.join(list(addresses)[:3])} and not to the internet"
                if named
                else "is not on the internet"
            )
            raise HostRefused(
                f"{host} {where}, and was not asked; to let functions reach it, add it to {hosts.VARIABLE}"
            )
        return allowed


class _Transport(httpx.BaseTransport):
    """httpx's own takes neither a network backend nor, where it is replaced, the environment's proxies."""

    def __init__(self, private: PrivateHosts, resolve: Resolve) -> None:
        context, proxies = httpx.create_ssl_context(), urllib.request.getproxies()
        self._direct = _pool(context, _Direct(private, resolve))
        self._proxied = {
            scheme: _pool(context, _ToProxy(), _proxy(proxy))
            for scheme in ("http", "https")
            if (proxy := proxies.get(scheme) or proxies.get("all"))
        }

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        assert isinstance(request.stream, httpx.SyncByteStream)
        asked = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = self._pool_for(url).handle_request(asked)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    def _pool_for(self, url: httpx.URL) -> httpcore.ConnectionPool:
        proxied = self._proxied.get(url.scheme)
        # By NO_PROXY, or by what the system says.
        return self._direct if proxied is None or urllib.request.proxy_bypass(url.netloc.decode()) else proxied

    def close(self) -> None:
        for pool in (self._direct, *self._proxied.values()):
            pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def _pool(
    context: ssl.SSLContext, backend: httpcore.NetworkBackend, proxy: httpcore.Proxy | None = None
) -> httpcore.ConnectionPool:
    # How many there may be at once is bounded by the functions at work: no agent waits for another one's.
    return httpcore.ConnectionPool(context, proxy, None, _KEPT, keepalive_expiry=_KEPT_SECONDS, network_backend=backend)


def _proxy(url: str) -> httpcore.Proxy:
    try:
        given = httpx.Proxy(url if "://" in url else f"http://{url}")
    except (ValueError, httpx.InvalidURL):  # Not its text: a password may stand in there.
        raise ConfigError(
            "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is no proxy's address, as in http://proxy:3128"
        ) from None
    address = httpcore.URL(
        scheme=given.url.raw_scheme, host=given.url.raw_host, port=given.url.port, target=given.url.raw_path
    )
    return httpcore.Proxy(address, given.raw_auth, given.headers.raw)


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Every error of httpcore has one in httpx of the same name."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as exc:
        raise getattr(httpx, type(exc).__name__)(str(exc)) from exc
