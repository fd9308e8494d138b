"""A stand-in of Twilio's REST API, as far as a doctor needs it, over a real socket in a thread of its own.

It is strict: another path, another field of the form, a wrong password or a page of more than a thousand is refused as
Twilio refuses it. What it answers has every key of Twilio's own answers.
"""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialplan.server.serve import listen

SID = "AC" + "0a" * 16
TOKEN = "0123456789abcdef0123456789abcdef"

#: Twilio's documented keys of a number, with the values of one that was just bought.
BOUGHT: dict[str, Any] = {
    "account_sid": SID,
    "address_requirements": "none",
    "address_sid": None,
    "api_version": "2010-04-01",
    "beta": False,
    "bundle_sid": None,
    "capabilities": {"fax": False, "mms": True, "sms": True, "voice": True},
    "date_created": "Thu, 30 Jul 2015 23:19:04 +0000",
    "date_updated": "Thu, 30 Jul 2015 23:19:04 +0000",
    "emergency_address_sid": None,
    "emergency_address_status": "unregistered",
    "emergency_status": "Inactive",
    "friendly_name": "(555) 010-0001",
    "identity_sid": None,
    "origin": "twilio",
    "sms_application_sid": "",
    "sms_fallback_method": "POST",
    "sms_fallback_url": "",
    "sms_method": "POST",
    "sms_url": "",
    "status": "in-use",
    "status_callback": "",
    "status_callback_method": "POST",
    "trunk_sid": None,
    "type": "local",
    "voice_application_sid": None,
    "voice_caller_id_lookup": False,
    "voice_fallback_method": "POST",
    "voice_fallback_url": None,
    "voice_method": "POST",
    "voice_receive_mode": "voice",
    "voice_url": "https://demo.twilio.com/welcome/voice/",
}

_FORM = {
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
}


def number_sid(phone_number: str) -> str:
    return "PN" + phone_number.removeprefix("+").rjust(32, "0")


def _refused(status: int, code: int, message: str) -> JSONResponse:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return JSONResponse({"code": code, "message": message, "more_info": more, "status": status}, status)


@dataclass
class TwilioRest:
    """The account, its numbers by their sid, and what was asked of it."""

    url: str = ""
    status: str = "active"
    type: str = "Full"
    page_size: int = 1000
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    instead: Callable[[Request], Response | None] = lambda request: None
    """May answer in its place."""

    def own(self, phone_number: str, **fields: Any) -> None:
        """Let the account have a number."""
        sid = number_sid(phone_number)
        uri = f"/2010-04-01/Accounts/{SID}/IncomingPhoneNumbers/{sid}.json"
        self.numbers[sid] = {**BOUGHT, "sid": sid, "phone_number": phone_number, "uri": uri, **fields}

    def application(self) -> Starlette:
        base = "/2010-04-01/Accounts/{sid}"
        return Starlette(
            routes=[
                Route(base + "/IncomingPhoneNumbers.json", self._checked(self._list)),
                Route(base + "/IncomingPhoneNumbers/{number}.json", self._checked(self._update), methods=["POST"]),
                Route(base + ".json", self._checked(self._account)),
                Route("/{path:path}", self._checked(self._missing), methods=["GET", "POST"]),
            ]
        )

    def _checked(self, answer: Callable[[Request, bytes], Response]) -> Callable[[Request], Any]:
        async def checked(request: Request) -> Response:
            self.asked.append(f"{request.method} {request.url.path}")
            body = await request.body()
            if (other := self.instead(request)) is not None:
                return other
            expected = "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
            if request.headers.get("authorization") != expected:
                return _refused(401, 20003, "Authenticate")
            if request.path_params.get("sid") != SID:
                return self._missing(request, body)
            return answer(request, body)

        return checked

    def _missing(self, request: Request, body: bytes) -> Response:
        return _refused(404, 20404, f"The requested resource {request.url.path} was not found")

    def _account(self, request: Request, body: bytes) -> Response:
        about = {"sid": SID, "status": self.status, "type": self.type, "friendly_name": "Ann", "auth_token": TOKEN}
        about |= {"date_created": BOUGHT["date_created"], "date_updated": BOUGHT["date_updated"]}
        about |= {"owner_account_sid": SID, "subresource_uris": {}, "uri": request.url.path}
        return JSONResponse(about)

    def _list(self, request: Request, body: bytes) -> Response:
        query = request.query_params
        size, page = min(int(query.get("PageSize", "50")), self.page_size), int(query.get("Page", "0"))
        if set(query) - {"PageSize", "Page", "PageToken"} or int(query.get("PageSize", "50")) > 1000:
            return _refused(400, 20001, "Invalid parameter")
        numbers = list(self.numbers.values())
        more = len(numbers) > (page + 1) * size
        here = f"{request.url.path}?PageSize={size}&Page="
        fields: dict[str, Any] = {"incoming_phone_numbers": numbers[page * size : (page + 1) * size]}
        fields |= {"page": page, "page_size": size, "uri": here + str(page), "first_page_uri": here + "0"}
        fields |= {"start": page * size, "end": min((page + 1) * size, len(numbers)) - 1, "previous_page_uri": None}
        fields["next_page_uri"] = f"{here}{page + 1}&PageToken=PAPN{page}" if more else None
        return JSONResponse(fields)

    def _update(self, request: Request, body: bytes) -> Response:
        number = self.numbers.get(request.path_params["number"])
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
        if number is None:
            return self._missing(request, body)
        if not form or set(form) - set(_FORM):
            return _refused(400, 20001, "Invalid parameter")
        self.forms.append(form)
        number |= {_FORM[name]: value for name, value in form.items()}
        return JSONResponse(number)


@contextmanager
def twilio_rest() -> Iterator[TwilioRest]:
    rest = TwilioRest()
    with served(rest.application()) as rest.url:
        yield rest


@contextmanager
def served(application: Starlette) -> Iterator[str]:
    """Serve it beside the test, which may block; whoever connects before it runs waits in the socket's queue."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(application, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
