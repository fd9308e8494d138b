"""Twilio's webhook: the answers (TwiML), the signature of a request, and the token of a stream.

Pure. The stream's own messages are in twilio.py.
"""

import base64
import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from dialplan.errors import LineRefused

#: Seconds from the webhook's answer to the stream's start. A long `notice` is spoken in between.
TOKEN_SECONDS = 300

#: Twilio's connection overrides, in a URL's fragment (twilio.com/docs/usage/webhooks/webhooks-connection-overrides):
#: asks again up to five times, so that a restarting process finds its calls still there.
RETRIED = "#ct=2000&rt=5000&tt=15000&rc=5&rp=ct,rt,5xx"


def connect(
    stream_url: str, action_url: str, parameters: Mapping[str, str], notice: str = "", language: str = ""
) -> str:
    """Speak the notice, then open a stream both ways; what comes after is asked at the action URL.

    Args:
        stream_url: `wss://…`, without a query string: Twilio drops it.
        action_url: `https://…`, asked when the stream has ended, however it ended.
        parameters: sent along in the stream's `start`; each name and value under 500 characters.
        notice: spoken by Twilio before the agent; empty for none.
        language: of the notice, such as `de-DE`.
    """
    response = ET.Element("Response")
    if notice:
        _say(response, notice, language)
    verb = ET.SubElement(response, "Connect", action=action_url, method="POST")
    stream = ET.SubElement(verb, "Stream", url=stream_url)
    for name, value in parameters.items():
        ET.SubElement(stream, "Parameter", name=name, value=_printable(value)[:499])
    return _document(response)


def say_and_hang_up(text: str, language: str = "") -> str:
    """One spoken line, then the end."""
    response = ET.Element("Response")
    _say(response, text, language)
    ET.SubElement(response, "Hangup")
    return _document(response)


def say_and_dial(text: str, language: str, to: str) -> str:
    """Put the caller through, after one spoken line where there is one; the end when the other side hangs up.

    Args:
        text: the line; empty for none.
        language: of the line, such as `de-DE`.
        to: a number, `sip:…` or `client:…`.
    """
    response = ET.Element("Response")
    if text:
        _say(response, text, language)
    noun = {"sip": "Sip", "sips": "Sip", "client": "Client"}.get(to.partition(":")[0], "Number")
    dial = ET.SubElement(response, "Dial")
    ET.SubElement(dial, noun).text = to.removeprefix("client:")
    return _document(response)


def hang_up() -> str:
    """The end, without a word."""
    response = ET.Element("Response")
    ET.SubElement(response, "Hangup")
    return _document(response)


def redirect(url: str) -> str:
    """Ask there instead."""
    response = ET.Element("Response")
    ET.SubElement(response, "Redirect", method="POST").text = url
    return _document(response)


def reject() -> str:
    """The busy tone; the call is not answered and not billed."""
    response = ET.Element("Response")
    ET.SubElement(response, "Reject", reason="busy")
    return _document(response)


def signature(auth_token: str, url: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """What Twilio writes into `X-Twilio-Signature` (twilio.com/docs/usage/webhooks/webhooks-security).

    Args:
        auth_token: the account's primary token.
        url: exactly as Twilio dialled it, `wss://…` for a stream; without the fragment.
        parameters: of a form; none for a GET or a stream.
    """
    values: defaultdict[str, set[str]] = defaultdict(set)
    for name, value in parameters:
        values[name].add(value)
    signed = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    return base64.b64encode(hmac.digest(auth_token.encode(), signed.encode(), "sha1")).decode("ascii")


def is_signed(auth_token: str, url: str, parameters: Iterable[tuple[str, str]], given: str) -> bool:
    """Whether the signature is Twilio's, with or without the port in the URL: Twilio is known to write either."""
    pairs = list(parameters)
    # As bytes: compare_digest refuses text that is not ASCII, and a stranger may send any.
    return any(
        hmac.compare_digest(signature(auth_token, candidate, pairs).encode(), given.encode())
        for candidate in _with_and_without_port(url)
    )


def stream_token(secret: str, call_sid: str, agent: str, expires: int) -> str:
    """What a stream must show in `start`: only Twilio saw it, for this call, this agent, until `expires` (Unix s)."""
    return f"{_token_mac(secret, call_sid, agent, expires)}.{expires}.{agent}"


def token_agent(secret: str, call_sid: str, token: str, now: float) -> str:
    """The agent that a stream's token was made for.

    Raises:
        LineRefused: the token is not ours, not for this call, or too old.
    """
    _, _, rest = token.partition(".")
    expires, _, agent = rest.partition(".")
    if not re.fullmatch("[0-9]{1,12}", expires):
        raise LineRefused("the stream's token is missing or malformed")
    # The whole token, not only its MAC: one that is spelled in two ways could be used twice.
    genuine = stream_token(secret, call_sid, agent, int(expires))
    if not hmac.compare_digest(genuine.encode(), token.encode()):
        raise LineRefused("the stream's token is not for this call")
    if now > int(expires):
        raise LineRefused("the stream's token is too old")
    return agent


def _token_mac(secret: str, call_sid: str, agent: str, expires: int) -> str:
    signed = json.dumps([call_sid, agent, expires]).encode()
    return base64.urlsafe_b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode("ascii").rstrip("=")


_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def _with_and_without_port(url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.port is None:
        default = _DEFAULT_PORTS.get(parts.scheme)
        return [url, parts._replace(netloc=f"{parts.netloc}:{default}").geturl()] if default else [url]
    return [url, parts._replace(netloc=parts.netloc.rpartition(":")[0]).geturl()]


def _say(response: ET.Element, text: str, language: str = "") -> None:
    say = ET.SubElement(response, "Say")
    if "-" in language:  # Twilio knows voices by region only.
        say.set("language", language)
    say.text = _printable(text)[:4096]


def _printable(text: str) -> str:
    """Without the characters that XML cannot hold at all."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def _document(response: ET.Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(response, encoding="unicode")
