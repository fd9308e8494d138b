"""Addresses that an operator wrote: whole or not, the same place or another, shown without their secrets."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80}

#: Names that no public name server knows (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`).
_AT_HOME = ("localhost", "local", "internal", "home.arpa", "lan")


def parts(url: str) -> SplitResult | None:
    """The address in its parts; None where it has no host, or is none at all."""
    try:
        split = urlsplit(url)
        whole = bool(split.hostname) and split.port != 0
    except ValueError:  # A port that is no number, half of a bracket.
        return None
    return split if whole else None


def shown(url: str) -> str:
    """The address for people: without user and password, and without what its query says."""
    split = parts(url)
    if split is None:
        return "something that is no address"
    netloc = split.netloc.rpartition("@")[2]
    return split._replace(netloc=netloc, query="…" if split.query else "", fragment="").geturl()


def same_place(one: str, other: str) -> bool:
    """Whether a request to either arrives at the same path of the same server, by the same scheme.

    Query and fragment do not matter: the fragment is Twilio's connection overrides, and stays with the operator.
    """
    first, second = parts(one), parts(other)
    return first is not None and second is not None and _place(first) == _place(second)


def same_host(one: str, other: str) -> bool:
    """Whether both name one host."""
    first, second = parts(one), parts(other)
    return first is not None and second is not None and first.hostname == second.hostname


def is_private(url: str) -> bool:
    """Whether nobody out there could reach it: this machine, a network at home, or none of either."""
    split = parts(url)
    host = (split.hostname or "") if split else ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.rstrip(".").endswith(tuple(f".{name}" for name in _AT_HOME))


def can_be_dialled(url: str) -> bool:
    """Whether Twilio could use it at all: streams are `wss` only, and private addresses are not out there."""
    return url.startswith("https:") and not is_private(url)


def _place(split: SplitResult) -> tuple[str, str, int | None, str]:
    return split.scheme, split.hostname or "", split.port or _PORTS.get(split.scheme), split.path or "/"
