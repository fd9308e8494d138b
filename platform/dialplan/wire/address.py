"""Addresses (URLs) as people may see them, and whether two of them are one. Pure."""

from urllib.parse import SplitResult, urlsplit

from dialplan import hosts
from dialplan.words import printable

#: Characters of an address that are shown.
_LONGEST = 160

_DEFAULT_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80}


def shown(url: str) -> str:
    """The address without what may be secret in it: a name and password before the host, and the query."""
    rest, mark, _ = url.partition("#")[0].partition("?")
    scheme, slashes, behind = rest.rpartition("://")
    if "@" in behind:
        # A password may hold slashes that nobody has quoted, so everything before the last @ goes.
        behind = "…@" + behind.rpartition("@")[2]
    visible = printable(scheme + slashes + behind, "?") + mark + "…" * bool(mark)
    return visible if len(visible) <= _LONGEST else visible[: _LONGEST - 1] + "…"


def same(one: str, other: str) -> bool:
    """Whether both lead to one place. The fragment does not count: Twilio keeps its connection overrides in it, and
    neither sends nor signs it."""
    return _place(one) == _place(other)


def without_fragment(url: str) -> str:
    """The address that is requested."""
    return url.partition("#")[0]


def path(url: str) -> str:
    """The path of an address; empty where it is none."""
    split = parts(url)
    return split.path if split else ""


def host(url: str) -> str:
    """The host of an address, with its port where that is not the usual one; empty where it is none."""
    split = parts(url)
    if split is None or not split.hostname:
        return ""
    name = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    return f"{name}:{split.port}" if split.port and split.port != _DEFAULT_PORTS.get(split.scheme) else name


def is_private(url: str) -> bool:
    """Whether the host's name says by itself that nobody on the internet can reach it."""
    split = parts(url)
    return hosts.is_private((split.hostname or "") if split else "")


def _place(url: str) -> tuple[str, ...]:
    split = parts(url)
    if split is None or not split.hostname:
        return (without_fragment(url),)
    user = split.netloc.rpartition("@")[0]
    return (split.scheme, user, host(url), split.path or "/", split.query)


def parts(url: str) -> SplitResult | None:
    """The address in its parts; None where it has a host or a port that cannot be read."""
    try:
        split = urlsplit(url)
        split.port  # noqa: B018 -- raises where it is no number
    except ValueError:
        return None
    return split
