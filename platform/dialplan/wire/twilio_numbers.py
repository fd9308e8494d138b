"""What Twilio's REST API says of an account and its phone numbers, and the form that sets one.

Pure. Fields as in Twilio's OpenAPI document (github.com/twilio/twilio-oai, spec/json/twilio_api_v2010.json); a test
holds them against Twilio's own package. An answer that is not what it should be is None.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from dialplan.wire.fields import MALFORMED, fields_of, legible, text

DEFAULT_URL = "https://api.twilio.com"

#: Numbers on one page. Twilio allows a thousand; this many are some 400 KB.
PAGE_SIZE = 200

#: What of a number we may set: the field as Twilio answers it → its name in a form.
FORM_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "voice_url": "VoiceUrl",
        "voice_method": "VoiceMethod",
        "voice_fallback_url": "VoiceFallbackUrl",
        "voice_fallback_method": "VoiceFallbackMethod",
        "status_callback": "StatusCallback",
        "status_callback_method": "StatusCallbackMethod",
    }
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account. The answer holds the auth token too, which goes no further than this comparison."""

    status: str
    """`active`, `suspended` or `closed`."""
    type: str
    """`Full` or `Trial`."""
    primary: bool | None
    """Whether the token that we asked with is the one that the answer names; None where it names none."""


@dataclass(frozen=True, slots=True)
class Application:
    """A TwiML application: where the calls of its numbers go."""

    voice_url: str
    voice_method: str


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number of the account; what is not set is empty."""

    sid: str
    phone_number: str
    voice_url: str
    voice_method: str
    voice_fallback_url: str
    voice_fallback_method: str
    status_callback: str
    status_callback_method: str
    voice_application_sid: str
    """Where there is one, its addresses count, and those of the number do not."""
    trunk_sid: str
    """Where there is one, the trunk takes the calls, and the number's addresses do not count."""
    takes_calls: bool
    """Some numbers carry messages or faxes only."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the account's numbers."""

    numbers: tuple[Number, ...]
    malformed: int
    """Entries that are no number as we know it."""
    next_uri: str
    """Where the next page is, behind the API's address; empty on the last."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Twilio's words for an answer that is an error."""

    code: str
    message: str


def account_uri(account_sid: str) -> str:
    """Says whether the account and its token are accepted."""
    return f"/2010-04-01/Accounts/{quote(account_sid, safe='')}.json"


def numbers_uri(account_sid: str) -> str:
    """The first page of the account's numbers."""
    return _inside(account_sid, f"IncomingPhoneNumbers.json?PageSize={PAGE_SIZE}")


def number_uri(account_sid: str, number_sid: str) -> str:
    """Where one number is set."""
    return _inside(account_sid, f"IncomingPhoneNumbers/{quote(number_sid, safe='')}.json")


def application_uri(account_sid: str, application_sid: str) -> str:
    """One TwiML application."""
    return _inside(account_sid, f"Applications/{quote(application_sid, safe='')}.json")


def _inside(account_sid: str, rest: str) -> str:
    return f"/2010-04-01/Accounts/{quote(account_sid, safe='')}/{rest}"


def form(changes: Mapping[str, str]) -> dict[str, str]:
    """The form that sets these fields of a number."""
    return {FORM_NAMES[field]: value for field, value in changes.items()}


def parse_account(body: bytes, auth_token: str) -> Account | None:
    """An account, as the holder of this token sees it."""
    try:
        fields = fields_of(body)
        token = fields.get("auth_token")
        primary = hmac.compare_digest(token.encode(), auth_token.encode()) if token else None
        return Account(text(fields["status"]), text(fields.get("type") or ""), primary)
    except MALFORMED:
        return None


def parse_application(body: bytes) -> Application | None:
    """A TwiML application."""
    try:
        fields = fields_of(body)
        text(fields["sid"])
        return Application(_optional(fields, "voice_url"), _optional(fields, "voice_method"))
    except MALFORMED:
        return None


def parse_page(body: bytes) -> Page | None:
    """A page of numbers. An entry that is malformed costs nobody the others."""
    try:
        fields = fields_of(body)
        found = [_number(entry) for entry in fields["incoming_phone_numbers"]]
        next_uri = _optional(fields, "next_page_uri")
    except MALFORMED:
        return None
    # Behind the API's address it can lead to no other host, which would get the token.
    if next_uri and not next_uri.startswith("/"):
        return None
    numbers = tuple(number for number in found if number is not None)
    return Page(numbers, len(found) - len(numbers), next_uri)


def parse_number(body: bytes) -> Number | None:
    """One number: the answer to setting it."""
    try:
        return _number(fields_of(body))
    except MALFORMED:
        return None


def parse_refusal(body: bytes) -> Refusal | None:
    """Why Twilio said no, in its own words."""
    try:
        fields = fields_of(body)
        return Refusal(legible(fields.get("code") or ""), legible(fields["message"]))
    except MALFORMED:
        return None


def _number(fields: Any) -> Number | None:
    try:
        return Number(
            sid=text(fields["sid"]),
            phone_number=text(fields["phone_number"]),
            voice_application_sid=_optional(fields, "voice_application_sid"),
            trunk_sid=_optional(fields, "trunk_sid"),
            takes_calls=_takes_calls(fields),
            **{field: _optional(fields, field) for field in FORM_NAMES},
        )
    except MALFORMED:
        return None


def _takes_calls(fields: Mapping[str, Any]) -> bool:
    capabilities = fields.get("capabilities") or {}
    return capabilities.get("voice") is not False and fields.get("voice_receive_mode") != "fax"


def _optional(fields: Mapping[str, Any], name: str) -> str:
    return text(fields.get(name) or "")
