"""Twilio's REST API for tests, as far as phone numbers go: over a real socket, and as strict as Twilio.

Answers have the fields of Twilio's documentation; forms may have only those that Twilio's own package knows.
"""

import asyncio
import base64
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from twilio.rest.api.v2010.account.incoming_phone_number import IncomingPhoneNumberContext

from tests.prompt import Prompt

SID = "AC" + "0" * 31 + "1"
TOKEN = "12345678901234567890123456789012"

#: As the package spells them in Python; a form spells them in CamelCase.
SETTABLE = [name for name in inspect.signature(IncomingPhoneNumberContext.update).parameters if name != "self"]


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


@dataclass
class TwilioRest:
    """An account and its numbers."""

    numbers: list[dict[str, Any]] = field(default_factory=list)
    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=lambda: {"status": "active", "type": "Full", "auth_token": TOKEN})
    page_size: int = 1000
    """At most."""
    instead: dict[str, Response] = field(default_factory=dict)
    """Answers to every path that ends so."""
    asked: list[str] = field(default_factory=list)
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def add(self, phone_number: str, **fields: Any) -> dict[str, Any]:
        """A number of the account."""
        sid = f"PN{len(self.numbers):032x}"
        number = {
            "sid": sid,
            "account_sid": SID,
            "friendly_name": phone_number,
            "phone_number": phone_number,
            "origin": "twilio",
            "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
            "voice_receive_mode": "voice",
            "voice_url": "",
            "voice_method": "POST",
            "voice_fallback_url": "",
            "voice_fallback_method": "POST",
            "voice_caller_id_lookup": False,
            "voice_application_sid": "",
            "trunk_sid": None,
            "status_callback": "",
            "status_callback_method": "POST",
            "sms_url": "https://sms.example.com",
            "status": "in-use",
            "uri": f"/2010-04-01/Accounts/{SID}/IncomingPhoneNumbers/{sid}.json",
            **fields,
        }
        self.numbers.append(number)
        return number

    def application(self) -> Starlette:
        base = f"/2010-04-01/Accounts/{SID}"
        return Starlette(
            routes=[
                Route(f"{base}.json", self._guarded(self._account)),
                Route(f"{base}/IncomingPhoneNumbers.json", self._guarded(self._list)),
                Route(f"{base}/IncomingPhoneNumbers/{{sid}}.json", self._guarded(self._update), methods=["POST"]),
                Route(f"{base}/Applications/{{sid}}.json", self._guarded(self._application)),
                Route("/{rest:path}", self._guarded(self._nothing), methods=["GET", "POST"]),
            ]
        )

    def _guarded(self, endpoint: Any) -> Any:
        async def guarded(request: Request) -> Response:
            self.asked.append(f"{request.method} {request.url.path}")
            for end, answer in self.instead.items():
                if request.url.path.endswith(end):
                    return answer
            expected = "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
            if request.headers.get("authorization") != expected:
                return error(401, 20003, "Authenticate")
            response: Response = await endpoint(request)
            return response

        return guarded

    async def _account(self, request: Request) -> Response:
        return JSONResponse({"sid": SID, "friendly_name": "Ann", **self.account})

    async def _list(self, request: Request) -> Response:
        size = min(int(request.query_params.get("PageSize", 50)), self.page_size)
        page = int(request.query_params.get("Page", 0))
        start, end = page * size, (page + 1) * size
        more = f"{request.url.path}?PageSize={size}&Page={page + 1}&PageToken=PA{page + 1}"
        return JSONResponse(
            {
                "incoming_phone_numbers": self.numbers[start:end],
                "first_page_uri": f"{request.url.path}?PageSize={size}&Page=0",
                "next_page_uri": more if end < len(self.numbers) else None,
                "previous_page_uri": None,
                "page": page,
                "page_size": size,
                "start": start,
                "end": min(end, len(self.numbers)) - 1,
                "uri": str(request.url.path),
            }
        )

    async def _update(self, request: Request) -> Response:
        number = next((n for n in self.numbers if n["sid"] == request.path_params["sid"]), None)
        if number is None:
            return error(404, 20404, "The requested resource was not found")
        if request.headers["content-type"] != "application/x-www-form-urlencoded":
            return error(415, 20415, "Unsupported media type")
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, strict_parsing=True))
        names = {camel(name): name for name in SETTABLE}
        if unknown := set(form) - set(names):
            return error(400, 20001, f"Unknown parameter {', '.join(unknown)}")
        if any(value not in ("GET", "POST") for name, value in form.items() if name.endswith("Method")):
            return error(400, 21403, "Method is not valid")
        self.forms.append((number["phone_number"], form))
        number.update({names[name]: value for name, value in form.items()})
        return JSONResponse(number)

    async def _application(self, request: Request) -> Response:
        application = self.applications.get(request.path_params["sid"])
        if application is None:
            return error(404, 20404, "The requested resource was not found")
        return JSONResponse({"sid": request.path_params["sid"], "friendly_name": "App", **application})

    async def _nothing(self, request: Request) -> Response:
        return error(404, 20404, "The requested resource was not found")


def error(status: int, code: int, message: str) -> Response:
    """An error in Twilio's form."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return JSONResponse({"code": code, "message": message, "more_info": more, "status": status}, status)


@asynccontextmanager
async def twilio_rest() -> AsyncIterator[TwilioRest]:
    rest = TwilioRest()
    async with http_server(rest.application()) as rest.url:
        yield rest


@asynccontextmanager
async def http_server(application: Any, **options: Any) -> AsyncIterator[str]:
    """An ASGI application on a free port; its address."""
    options = {"lifespan": "off", "log_config": None, "port": 0, "timeout_graceful_shutdown": 1, **options}
    server = _Abrupt(uvicorn.Config(application, **options))
    serving = asyncio.create_task(server.run_on())
    await server.ready.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"{'https' if 'ssl_certfile' in options else 'http'}://127.0.0.1:{port}"
    finally:
        server.leave.set()
        await serving


class _Abrupt(Prompt):
    """Does not wait for what clients have left open."""

    async def shutdown(self, sockets: Any = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0)


@asynccontextmanager
async def raw_server(answer: bytes | None, *, drips: bool = False) -> AsyncIterator[str]:
    """Sends these bytes to whoever has said something, and closes; None says nothing, and waits to be left.

    Args:
        answer: what is sent.
        drips: goes on with a byte now and then.
    """
    loop = asyncio.get_running_loop()
    raws: list[_Raw] = []

    def connected() -> _Raw:
        raws.append(_Raw(answer, drips))
        return raws[-1]

    server = await loop.create_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for raw in raws:
            if not raw.gone.is_set():
                raw.transport.abort()
        # Transports are gone one turn of the loop after they were told so.
        await asyncio.gather(*(raw.gone.wait() for raw in raws))


class _Raw(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, answer: bytes | None, drips: bool) -> None:
        self._answer = answer
        self._drips = drips
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer is not None:
            self.transport.write(self._answer)
            if self._drips:
                self._drip()
            else:
                self.transport.close()

    def _drip(self) -> None:
        self.transport.write(b"x")
        if not self.transport.is_closing():
            asyncio.get_running_loop().call_later(0.01, self._drip)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
