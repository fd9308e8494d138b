"""Hosts: which of them are on the internet, which of the others the operator lets functions reach, who is whose
neighbour. Pure."""

import ipaddress
import re
from dataclasses import dataclass

from dialplan.errors import ConfigError
from dialplan.words import listed, printable

#: The operator's list of hosts that functions may reach though they are not on the internet.
VARIABLE = "DIALPLAN_PRIVATE_HOSTS"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Names that lead to no place on the internet (RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`).
_PRIVATE_NAMES = ("localhost", "local", "internal", "home.arpa", "lan", "test", "invalid")

#: A name as DNS has it. The last part begins with a letter: what ends in a number is an address, or a broken one.
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

# What is not global unicast, by IANA's two registries of special addresses. Python's own `is_global` has changed with
# its versions, and counts multicast in.
_V4_SPECIAL = [
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # between a carrier and its customers; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's hosts, from its machines
        "169.254.0.0/16",  # link-local; the clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocols; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
]
_V6_UNICAST = ipaddress.IPv6Network("2000::/3")
_V6_SPECIAL = [
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocols, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which hides an IPv4 address
        "3fff::/20",  # documentation
    )
]

#: The last 32 bits of these are an IPv4 address, and that is where a connection ends (RFC 4291, RFC 6052).
_V4_INSIDE = [ipaddress.IPv6Network(network) for network in ("::ffff:0:0/96", "64:ff9b::/96")]


def is_global(address: Address) -> bool:
    """Whether an address is one host's on the internet: not private, not the machine's own, not for many."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _V4_SPECIAL)
    if any(address in network for network in _V4_INSIDE):
        return is_global(_last_bits(address))
    return address in _V6_UNICAST and not any(address in network for network in _V6_SPECIAL)


def is_private(host: str) -> bool:
    """Whether a host's name, or an address in its place, says by itself that nobody on the internet can reach it."""
    address = as_address(host)
    if address is not None:
        return not is_global(address)
    name = _plain(host)
    return "." not in name or name.rpartition(".")[2] in _PRIVATE_NAMES or name.endswith("home.arpa")


def as_address(host: str) -> Address | None:
    """The address that stands in the place of a name, if one does."""
    try:
        return ipaddress.ip_address(_plain(host))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class PrivateHosts:
    """The hosts that functions may reach beside those on the internet."""

    names: frozenset[str] = frozenset()
    """These may lead anywhere."""
    networks: tuple[_Network, ...] = ()

    def allow(self, host: str, address: Address) -> bool:
        """Whether a connection for this host may go to this address of it."""
        return is_global(address) or _plain(host) in self.names or self._hold(address)

    def may_allow(self, host: str) -> bool:
        """Whether a host may be reached, as far as can be told without asking where its name leads."""
        address = as_address(host)
        if address is not None:
            return self.allow(host, address)
        return not is_private(host) or _plain(host) in self.names or bool(self.networks)

    def _hold(self, address: Address) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any(address in network or (mapped is not None and mapped in network) for network in self.networks)


#: The list of an operator who lists nothing.
NONE = PrivateHosts()


def private_hosts(text: str) -> PrivateHosts:
    """The list, read: names, addresses and networks.

    Raises:
        ConfigError: an entry is none of these; the text names it.
    """
    names, networks = set(), []
    for entry in listed(text):
        name = _plain(entry)
        try:
            networks.append(ipaddress.ip_network(name))
        except ValueError:
            if len(name) > 253 or not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{VARIABLE} lists {printable(entry, '?')[:80]!r}; an entry is a host's name such as crm.internal, "
                    "an address such as 10.0.0.5, or a network such as 10.0.0.0/8"
                ) from None
            names.add(name)
    return PrivateHosts(frozenset(names), tuple(networks))


def _last_bits(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def neighbourhood(host: str) -> str:
    """An IP address; of an IPv6 one its network, since whoever has one of those has all (RFC 6177). Any other text is
    itself."""
    address = as_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address) if address else host
