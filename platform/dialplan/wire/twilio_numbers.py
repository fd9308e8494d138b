"""Twilio's account and its phone numbers, as its REST API writes them (version 2010-04-01): JSON in, form fields out.

Pure. Field by field as at twilio.com/docs/phone-numbers/api/incomingphonenumber-resource and
twilio.com/docs/iam/api/account; who asks is server/twilio_account.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dialplan.wire.fields import MALFORMED, fields_of, legible, text

DEFAULT_URL = "https://api.twilio.com"

#: An account's id; that of an API key begins with SK.
ACCOUNT_SID = re.compile("AC[0-9a-fA-F]{32}")

_NUMBER_SID = re.compile("PN[0-9a-fA-F]{32}")

#: What may be set at a number: our names, which are those of Twilio's JSON → Twilio's form fields.
FORM_FIELDS: Mapping[str, str] = MappingProxyType(
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
    """A Twilio account."""

    status: str
    """`active`, `suspended` or `closed`."""
    type: str
    """`Trial` or `Full`."""


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number of an account, and where its calls go; what is not set is empty."""

    sid: str
    phone_number: str
    voice_url: str = ""
    voice_method: str = ""
    voice_fallback_url: str = ""
    voice_fallback_method: str = ""
    status_callback: str = ""
    status_callback_method: str = ""
    voice_application_sid: str = ""
    """Where set, the application's URLs count and the number's own do not."""
    trunk_sid: str = ""
    """Likewise: calls go to the SIP trunk."""
    takes_calls: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """Some of an account's numbers."""

    numbers: tuple[Number, ...]
    next: str
    """The path and query of the page after it; empty for the last one."""


def account_path(account_sid: str) -> str:
    """Where an account is read."""
    return f"/2010-04-01/Accounts/{account_sid}.json"


def numbers_path(account_sid: str) -> str:
    """Where the first page of an account's numbers is read; Twilio gives a thousand at most."""
    return f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers.json?PageSize=1000"


def number_path(account_sid: str, number_sid: str) -> str:
    """Where one number is changed."""
    return f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers/{number_sid}.json"


def form(values: Mapping[str, str]) -> dict[str, str]:
    """The form that sets these fields of a number, and no other."""
    return {FORM_FIELDS[name]: value for name, value in values.items()}


def read_account(body: bytes) -> Account:
    """Raises ValueError: it is no account."""
    try:
        fields = fields_of(body)
        return Account(status=text(fields["status"]), type=_text(fields, "type"))
    except MALFORMED as exc:
        raise ValueError("not an account") from exc


def read_page(body: bytes) -> Page:
    """Raises ValueError: it is no page of numbers."""
    try:
        fields = fields_of(body)
        numbers = tuple(_number(each) for each in fields["incoming_phone_numbers"])
        return Page(numbers, _next_page(fields))
    except MALFORMED as exc:
        raise ValueError("not a page of phone numbers") from exc


def read_number(body: bytes) -> Number:
    """Raises ValueError: it is no number."""
    try:
        return _number(fields_of(body))
    except MALFORMED as exc:
        raise ValueError("not a phone number") from exc


def read_refusal(body: bytes) -> str:
    """Why Twilio refused, in its own words and with its code; empty where it does not say."""
    try:
        fields = fields_of(body)
    except ValueError:
        return ""
    code, message = fields.get("code"), fields.get("message")
    said = legible(message)[:200] if isinstance(message, str) else ""
    return f"{said} ({code})" if said and isinstance(code, int) and abs(code) < 10**6 else said


def _number(fields: Any) -> Number:
    sid = text(fields["sid"])
    if not _NUMBER_SID.fullmatch(sid):  # It becomes a part of a path.
        raise ValueError(sid)
    return Number(
        sid=sid,
        phone_number=text(fields["phone_number"]),
        voice_application_sid=_text(fields, "voice_application_sid"),
        trunk_sid=_text(fields, "trunk_sid"),
        takes_calls=(fields.get("capabilities") or {}).get("voice") is not False,
        **{name: _text(fields, name) for name in FORM_FIELDS},
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    """What is not set is null, an empty text, or not there."""
    value = fields.get(name)
    return "" if value is None else text(value)


def _next_page(fields: Mapping[str, Any]) -> str:
    path = _text(fields, "next_page_uri")
    if path and not path.startswith("/"):  # Elsewhere, the account's token would be told to a stranger.
        raise ValueError(path)
    return path
