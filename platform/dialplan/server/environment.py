"""The operator's choices: environment variables and options, read once, checked, frozen."""

import ipaddress
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dialplan import hosts
from dialplan.errors import ConfigError
from dialplan.hosts import PrivateHosts
from dialplan.wire import address, deepgram, twilio_numbers
from dialplan.words import listed

#: Every variable that Dialplan reads, and what it is for.
VARIABLES: Mapping[str, str] = {
    "DEEPGRAM_API_KEY": "Key of the Deepgram project that agents without one of their own use; or several.",
    "DEEPGRAM_URL": f"The whole address of the Voice Agent API, or several; {deepgram.DEFAULT_URL} unless set.",
    "DEEPGRAM_MAX_SESSIONS": "How many sessions at once Deepgram allows for each key; no limit of ours unless set.",
    "TWILIO_ACCOUNT_SID": "The Twilio account, for `dialplan doctor`.",
    "TWILIO_AUTH_TOKEN": "Its primary auth token: signs every request of Twilio's.",
    "TWILIO_API_URL": f"Twilio's REST API; {twilio_numbers.DEFAULT_URL} unless set.",
    "PUBLIC_URL": "What Twilio dials and signs, such as https://voice.example.com.",
    "TRUSTED_PROXIES": "Addresses or networks whose X-Forwarded-For and -Proto count; this machine's own unless set.",
    "DATABASE_URL": "Where records of calls go: sqlite:///path or postgresql://…; var/dialplan.db unless set.",
    "DIALPLAN_SECRET": "Signs stream tokens; made from TWILIO_AUTH_TOKEN unless set.",
    "DIALPLAN_VAR": "The folder where plugins keep their files; var/ in the project unless set.",
    hosts.VARIABLE: "What `http` functions may reach beside the internet: names, addresses, networks.",
}

#: A proxy on this very machine, which nobody else can pretend to be.
LOOPBACK = ("127.0.0.1", "::1")

#: Reads one of them.
Reading = Callable[[Mapping[str, str]], str]


@dataclass(frozen=True, slots=True)
class Environment:
    """What the server was told by its operator."""

    auth_token: str = field(repr=False)
    """Empty: signatures are not checked (`--insecure`)."""
    secret: str = field(repr=False)
    deepgram_key: str = field(repr=False)
    """One, or several with commas or spaces between them."""
    deepgram_url: str
    """Likewise."""
    public_url: str
    """Without a slash at its end; empty: the address that the request was sent to."""
    deepgram_sessions: int | None = None
    """At once, with each of the server's keys; None for no limit."""
    trusted_proxies: tuple[str, ...] = LOOPBACK
    """Whose word counts for where a request comes from."""
    private_hosts: PrivateHosts = hosts.NONE
    """What `http` functions may reach beside the internet."""


def environment(variables: Mapping[str, str], *, insecure: bool = False, offline: bool = False) -> Environment:
    """Read the variables.

    Args:
        variables: of the process, those of `.env` included.
        insecure: do without signatures.
        offline: do without Deepgram; its stand-in's address takes the place of `deepgram_url` once it is known.

    Raises:
        ConfigError: one that is needed is missing or cannot be right; the text says what to do.
    """
    auth_token = "" if insecure else variables.get("TWILIO_AUTH_TOKEN", "")
    if not auth_token and not insecure:
        raise ConfigError(
            "TWILIO_AUTH_TOKEN is not set, so nobody could tell Twilio's calls from a stranger's.\n"
            "Set it in the environment or in .env; or run with --insecure, on a machine that nobody else can reach."
        )
    key = variables.get("DEEPGRAM_API_KEY", "")
    if not key and not offline:
        raise ConfigError(
            "DEEPGRAM_API_KEY is not set, so no agent could hear or speak.\n"
            "Set it in the environment or in .env; or run with --offline, which needs no key."
        )
    return Environment(
        auth_token=auth_token,
        secret=stream_secret(variables, auth_token) or secrets.token_hex(32),
        deepgram_key="offline" if offline else key,
        deepgram_url="" if offline else deepgram_url(variables),
        public_url=public_url(variables),
        deepgram_sessions=None if offline else deepgram_sessions(variables),
        trusted_proxies=trusted_proxies(variables),
        private_hosts=private_hosts(variables),
    )


def stream_secret(variables: Mapping[str, str], auth_token: str) -> str:
    """What signs stream tokens; empty where there is nothing to make it from."""
    # Not the token itself: who learns one must not have the other.
    return variables.get("DIALPLAN_SECRET") or (f"dialplan stream token {auth_token}" if auth_token else "")


def deepgram_url(variables: Mapping[str, str]) -> str:
    """The speech service's address, or several with a space between them: each is tried in turn."""
    given = listed(variables.get("DEEPGRAM_URL", "")) or [deepgram.DEFAULT_URL]
    return " ".join(_url({"DEEPGRAM_URL": url}, "DEEPGRAM_URL", "", ("wss", "ws")) for url in given)


def deepgram_sessions(variables: Mapping[str, str]) -> int | None:
    """How many sessions at once a key allows; None where nobody has said."""
    given = variables.get("DEEPGRAM_MAX_SESSIONS", "").strip()
    if given and not re.fullmatch("[1-9][0-9]{0,5}", given):
        raise ConfigError(f"DEEPGRAM_MAX_SESSIONS is {given[:40]!r}; it must be a whole number, such as 45")
    return int(given) if given else None


def trusted_proxies(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Whose `X-Forwarded-…` headers count."""
    given = listed(variables.get("TRUSTED_PROXIES", ""))
    for one in given:
        try:
            ipaddress.ip_network(one)
        except ValueError as exc:
            wanted = "addresses or networks, such as 10.0.0.5 or 10.0.0.0/8"
            raise ConfigError(f"TRUSTED_PROXIES lists {one[:60]!r}; it takes {wanted}") from exc
    return tuple(given) or LOOPBACK


def twilio_api_url(variables: Mapping[str, str]) -> str:
    """The address of Twilio's REST API, without a slash at its end."""
    return _url(variables, "TWILIO_API_URL", twilio_numbers.DEFAULT_URL, ("https", "http")).rstrip("/")


def public_url(variables: Mapping[str, str]) -> str:
    """The address that Twilio dials, without a slash at its end; empty where none is set."""
    url = _url(variables, "PUBLIC_URL", "", ("https", "http")).rstrip("/")
    if "/twilio" in url:
        raise ConfigError(
            f"PUBLIC_URL is {address.shown(url)!r}; it must be the server's address only: the paths are put behind it"
        )
    return url


def private_hosts(variables: Mapping[str, str]) -> PrivateHosts:
    """What `http` functions may reach beside the internet. Raises ConfigError: an entry cannot be read."""
    return hosts.private_hosts(variables.get(hosts.VARIABLE, ""))


def _url(variables: Mapping[str, str], name: str, default: str, schemes: tuple[str, ...]) -> str:
    url = variables.get(name) or default
    if url and not _is_whole(url, schemes):
        raise ConfigError(
            f"{name} is {address.shown(url)!r}; it must be a whole address that begins with {schemes[0]}://"
        )
    return url


def _is_whole(url: str, schemes: tuple[str, ...]) -> bool:
    split = address.parts(url)
    return split is not None and split.scheme in schemes and bool(split.hostname) and split.port != 0
