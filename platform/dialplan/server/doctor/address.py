"""Whether PUBLIC_URL leads here."""

from dialplan.errors import PeerRefused, PeerSilent
from dialplan.server import addresses, asking, proof
from dialplan.server.doctor.finding import Check, Finding, State

#: Seconds for the one request.
SECONDS = 5.0

#: Characters of a secret that nobody guesses.
SAFE_LENGTH = 20

_MISSING = Finding(
    Check.ADDRESS,
    State.WRONG,
    "PUBLIC_URL is not set, so nobody can say where numbers should point",
    "set it in .env to what Twilio shall dial, such as https://voice.example.com; at home to what ngrok prints",
)


async def found(public_url: str, secret: str) -> list[Finding]:
    """What PUBLIC_URL is and where it leads.

    Args:
        public_url: without a slash at its end; empty where it is not set.
        secret: what a running server here would sign with; empty where it makes up its own.
    """
    if not public_url:
        return [_MISSING]
    return [*_form(public_url), *_strength(secret), await _reached(public_url, secret)]


def _form(public_url: str) -> list[Finding]:
    shown = addresses.shown(public_url)
    if addresses.is_private(public_url):
        help_ = "an address that the world knows: a domain with a proxy in front, or a tunnel such as ngrok"
        return [_finding(State.WARNING, f"{shown} is private: Twilio cannot reach it", help_)]
    if not addresses.can_be_dialled(public_url):
        help_ = "Twilio opens streams over TLS only: put a proxy in front, and begin PUBLIC_URL with https://"
        return [_finding(State.WARNING, f"{shown} is not encrypted", help_)]
    return []


def _strength(secret: str) -> list[Finding]:
    """Everybody may ask a server for a proof, and try at leisure which secret it was made with."""
    if not secret or len(secret) >= SAFE_LENGTH:
        return []
    message = f"DIALPLAN_SECRET has fewer than {SAFE_LENGTH} characters: it can be guessed, and with it streams opened"
    return [_finding(State.WARNING, message, "leave it out, or take what `openssl rand -hex 32` prints")]


async def _reached(public_url: str, secret: str) -> Finding:
    shown, nonce = addresses.shown(public_url), proof.nonce()
    try:
        async with asking.client() as client:
            answer = await asking.ask(client, "GET", f"{public_url}/healthz?nonce={nonce}", within=SECONDS)
    except PeerSilent as exc:
        return _finding(State.WRONG, f"{shown} {exc}", _NOBODY)
    except PeerRefused as exc:
        return _finding(State.WRONG, f"{shown} {exc}", _NOT_DIALPLAN)
    given = answer.headers.get(proof.HEADER, "")
    if not given:
        return _finding(State.WRONG, f"{shown} is not a Dialplan: {_told(answer)}", _NOT_DIALPLAN)
    if not secret:
        return _finding(State.WARNING, f"{shown} is a Dialplan; whether this one, nobody can tell", _CANNOT_TELL)
    if given != proof.proof(secret, nonce):
        return _finding(State.WRONG, f"{shown} is a Dialplan with another secret", _ANOTHER)
    return _finding(State.OK, f"{shown} leads to a Dialplan with this secret")


_NOBODY = "start dialplan serve; then look at the proxy or the tunnel, the firewall and the name server"
_NOT_DIALPLAN = "let the proxy or the tunnel pass everything on to dialplan serve; an older Dialplan looks the same"
_CANNOT_TELL = "set TWILIO_AUTH_TOKEN, or DIALPLAN_SECRET, as the server has it"
_ANOTHER = (
    "it is another server, or it was started with another TWILIO_AUTH_TOKEN or DIALPLAN_SECRET, or with --insecure; "
    "correct PUBLIC_URL, or restart it"
)


def _told(answer: asking.Answer) -> str:
    where = answer.headers.get("location", "")
    told = f"/healthz answers with status {answer.status}"
    return told + (f" and sends us to {addresses.shown(where)}" if where else "")


def _finding(state: State, message: str, help_: str = "") -> Finding:
    return Finding(Check.ADDRESS, state, message, help_)
