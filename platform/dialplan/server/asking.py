"""One HTTP request, bounded in time and size: whatever answers, it ends in an answer or in one of two errors."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from dialplan import __version__
from dialplan.errors import PeerRefused, PeerSilent

#: Of an answer's body; a thousand of Twilio's numbers are two to three million.
MAX_BYTES = 8_388_608


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: httpx.Headers
    body: bytes


def client(auth: tuple[str, str] | None = None) -> httpx.AsyncClient:
    """Follows no redirect: who is asked is who was named. Proxies are the environment's; the time is kept by `ask`."""
    # Not compressed, so that what is small on the wire is small in memory.
    headers = {"User-Agent": f"dialplan/{__version__}", "Accept-Encoding": "identity"}
    return httpx.AsyncClient(auth=auth, headers=headers, timeout=60.0, follow_redirects=False)


async def ask(
    client: httpx.AsyncClient, method: str, url: str, *, within: float, form: Mapping[str, str] | None = None
) -> Answer:
    """Ask once.

    Args:
        client: carries the credentials.
        method: GET or POST.
        url: the whole address.
        within: seconds, from the name server to the last byte.
        form: the body's fields.

    Raises:
        PeerSilent: nothing came, or not in time.
        PeerRefused: it was no HTTP, or too long.
    """
    try:
        async with asyncio.timeout(within):
            async with client.stream(method, url, data=form) as response:
                return Answer(response.status_code, response.headers, await _body(response))
    except TimeoutError as exc:
        raise PeerSilent(f"did not answer within {within:g} s") from exc
    except httpx.RemoteProtocolError as exc:
        raise PeerRefused("did not answer as HTTP servers do, or broke off") from exc
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as exc:
        raise PeerSilent(_reason(exc)) from exc


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            raise PeerRefused("sent an answer without end", response.status_code)
    return body


def _reason(exc: BaseException) -> str:
    """Why there was no connection, in the words of whoever knew; these name hosts and certificates, and no secrets."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"does not speak TLS as it should: {cause.reason or 'the handshake failed'}"
        cause = cause.__cause__ or cause.__context__
    match exc:
        case httpx.ProxyError():
            return "cannot be reached through the proxy of this machine"
        case httpx.ConnectError():
            return f"cannot be reached: {exc}"
        case httpx.TransportError():
            return "broke off the connection"
        case _:
            return "cannot be asked: the address is not a usable one"
