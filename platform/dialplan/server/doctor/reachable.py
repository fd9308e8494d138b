"""Whether PUBLIC_URL can be reached from here, and leads to this server and no other (see proof.py)."""

import asyncio
import secrets
from urllib.parse import urlsplit

import httpx

from dialplan.call.dialling import dialler
from dialplan.config.dialplan import Dialplan
from dialplan.errors import SpeechError
from dialplan.server import proof
from dialplan.server.doctor.asking import Answer, NoAnswer, ask
from dialplan.server.doctor.findings import Check, Finding, State
from dialplan.server.proof import Verdict
from dialplan.wire import address

#: A path where no stream is: a handshake that arrives there is answered with 403, a plain request with 404.
_NO_STREAM = "/twilio/doctor"

_SERVE = "start `dialplan serve`, and look at the proxy or tunnel in front of it, and at the name in PUBLIC_URL"


async def examine(
    client: httpx.AsyncClient, public_url: str, secret: str, dialplan: Dialplan, seconds: float
) -> list[Finding]:
    """Ask what answers there.

    Args:
        client: of asking.py.
        public_url: without a slash at its end; empty where it is not set.
        secret: of the stream tokens; empty where there is none, and then nothing can be proved.
        dialplan: of this project, whose routes the server should have too.
        seconds: for each request.
    """
    if not public_url:
        message = "PUBLIC_URL is not set: signatures are checked against whatever address a request names"
        return [_finding(State.WARNING, message, "write the address that Twilio dials into .env, and restart")]
    nonce = secrets.token_hex(proof.NONCE_LENGTH // 2)
    headers = proof.question(secret, nonce) if secret else {}
    answer = await ask(client, "GET", f"{public_url}/healthz?nonce={nonce}", seconds=seconds, headers=headers)
    found = _judged(address.shown(public_url), answer, secret, dialplan, nonce)
    findings = [*_doubts(public_url), found]
    if found.state is not State.WRONG:
        findings += await _websockets(public_url, seconds)
    return findings


def _doubts(public_url: str) -> list[Finding]:
    """What is to be seen without asking."""
    shown = address.shown(public_url)
    if address.is_private(public_url):
        message = f"{shown} is an address of this machine or network, which Twilio cannot reach"
        help_text = "let a proxy or a tunnel (at home: ngrok http 5000) lead here, and set PUBLIC_URL to its address"
        return [_finding(State.WARNING, message, help_text)]
    if public_url.startswith("http:"):
        message = f"{shown} is no https address: streams need wss, and anybody on the way can listen"
        return [_finding(State.WARNING, message, "put a proxy in front that ends TLS: docs/operations.md")]
    return []


def _judged(shown: str, answer: Answer | NoAnswer, secret: str, dialplan: Dialplan, nonce: str) -> Finding:
    if isinstance(answer, NoAnswer):
        return _finding(State.WRONG, f"{shown} {answer.why}", _SERVE)
    if answer.status != 200:
        return _other_status(shown, answer)
    match proof.verdict(secret, dialplan, nonce, answer.headers) if secret else Verdict.NO_PROOF:
        case Verdict.THIS:
            return _finding(State.OK, f"{shown} leads to this server")
        case Verdict.OTHER_ROUTES:
            message = f"{shown} leads to a Dialplan with this secret, whose agents answer other numbers or paths"
            help_text = "restart it where files have changed since; else PUBLIC_URL leads to another machine than this"
            return _finding(State.WARNING, message, help_text)
        case Verdict.OTHER_DIALPLAN:
            message = f"{shown} leads to a Dialplan with another secret: another project, machine or account"
            help_text = (
                "look where PUBLIC_URL leads, and whether it runs with this TWILIO_AUTH_TOKEN or DIALPLAN_SECRET; "
                "with --insecure it has neither"
            )
            return _finding(State.WRONG, message, help_text)
    if not secret and answer.body == b"alive":
        message = f"{shown} answers, but without TWILIO_AUTH_TOKEN or DIALPLAN_SECRET it cannot be told who"
        return _finding(State.WARNING, message, "set TWILIO_AUTH_TOKEN")
    help_text = "look where PUBLIC_URL leads, and restart `dialplan serve` if it is of an older version"
    return _finding(State.WRONG, f"{shown} is answered by something that is not this server", help_text)


def _other_status(shown: str, answer: Answer) -> Finding:
    status = answer.status
    if 300 <= status < 400:
        where = address.shown(answer.headers.get("location", ""))
        message = f"{shown} redirects to {where or 'nowhere'} ({status}); Twilio loses a call's fields on the way"
        return _finding(State.WRONG, message, "set PUBLIC_URL to the address behind the redirect")
    if status in (502, 503, 504, 530):
        message = f"{shown} is answered with {status}: a proxy or tunnel is there, and no server behind it"
        return _finding(State.WRONG, message, _SERVE)
    message = f"{shown} is answered by something else, with status {status}"
    return _finding(State.WRONG, message, "look where PUBLIC_URL leads: its /healthz must come through to this server")


async def _websockets(public_url: str, seconds: float) -> list[Finding]:
    """Whether what stands in between passes WebSockets on. Ours is never opened, so no call is begun or counted."""
    parts = urlsplit(public_url)
    url = parts._replace(scheme="wss" if parts.scheme == "https" else "ws", path=parts.path + _NO_STREAM).geturl()
    try:
        async with asyncio.timeout(seconds), dialler(close_seconds=1.0)(url, ""):
            status = "101"
    except SpeechError as exc:
        status = exc.code
    except TimeoutError:
        status = "unreachable"
    if status == "403":
        return [_finding(State.OK, "WebSockets come through")]
    what = "without an answer" if status == "unreachable" else f"with status {status}"
    message = f"WebSockets do not seem to come through: a handshake ends {what} where this server says 403"
    return [_finding(State.WARNING, message, "let the proxy pass the headers Upgrade and Connection on")]


def _finding(state: State, message: str, help_text: str = "") -> Finding:
    return Finding(Check.PUBLIC_URL, state, message, help_text)
