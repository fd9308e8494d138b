"""Which addresses are on the internet, and what an operator may list beside them."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dialplan import hosts
from dialplan.errors import ConfigError
from dialplan.hosts import NONE, neighbourhood, private_hosts

SPECIAL = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.5",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "64:ff9b:1::a00:5",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6) | st.integers(0, 2**125 - 1).map(lambda low: IPv6Address((1 << 125) + low))


def hidden(inner: IPv4Address) -> list[IPv6Address]:
    """The forms of IPv6 whose packets end at an IPv4 address: mapped, compatible, NAT64, 6to4, Teredo's two places."""
    bits, site = int(inner), IPv6Address("2001::")
    return [
        IPv6Address((0xFFFF << 32) + bits),
        IPv6Address(bits),
        IPv6Address((0x64FF9B << 96) + bits),
        IPv6Address((0x2002 << 112) + (bits << 80) + 1),
        IPv6Address(int(site) + (bits << 64)),
        IPv6Address(int(site) + (bits ^ 0xFFFFFFFF)),
    ]


@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_is_not_on_the_internet(address: str) -> None:
    assert not hosts.is_global(ip_address(address))
    assert hosts.is_private(address)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",  # What DNS64 makes of an IPv4 host.
    ],
)
def test_an_address_of_one_host_is_on_it(address: str) -> None:
    assert hosts.is_global(ip_address(address))


@given(V4 | V6)
def test_what_python_takes_for_private_or_for_many_hosts_is_never_on_the_internet(
    address: IPv4Address | IPv6Address,
) -> None:
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    judged = inner or address

    if hosts.is_global(address):
        assert judged.is_global
        assert not any((judged.is_multicast, judged.is_loopback, judged.is_link_local, judged.is_unspecified))


@given(V4)
@example(IPv4Address("169.254.169.254"))
@example(IPv4Address("127.0.0.1"))
def test_an_address_inside_another_one_is_found(inner: IPv4Address) -> None:
    assume(not hosts.is_global(inner))

    for address in hidden(inner):
        assert not hosts.is_global(address)
        assert not NONE.allow("api.example.com", address)


@given(V4 | V6, st.text())
def test_without_a_list_only_the_internet_is_allowed(address: IPv4Address | IPv6Address, host: str) -> None:
    assert NONE.allow(host, address) == hosts.is_global(address)


def test_a_listed_name_may_lead_anywhere() -> None:
    private = private_hosts("crm.internal")

    assert private.allow("crm.internal", ip_address("10.0.0.5"))
    assert private.allow("CRM.internal.", ip_address("127.0.0.1"))
    assert not private.allow("x.crm.internal", ip_address("10.0.0.5"))
    assert not private.allow("evil.example", ip_address("10.0.0.5"))


def test_a_listed_network_may_be_reached_by_any_name() -> None:
    private = private_hosts("10.0.0.0/8 fd00::/8, 192.168.0.7")

    for address in ("10.1.2.3", "fd00::1", "192.168.0.7", "::ffff:10.1.2.3"):
        assert private.allow("any.example", ip_address(address))
    for address in ("11.0.0.1", "127.0.0.1", "192.168.0.8", "fe80::1", "2002:0a01:0203::"):
        assert private.allow("any.example", ip_address(address)) == hosts.is_global(ip_address(address))


@given(st.lists(V4 | V6), st.sampled_from([",", " ", ", ", "\n"]))
@example([IPv6Address("::ffff:10.0.0.1")], " ")
def test_every_listed_address_is_allowed(addresses: list[IPv4Address | IPv6Address], between: str) -> None:
    private = private_hosts(between.join(map(str, addresses)))

    assert all(private.allow("x", address) and private.may_allow(str(address)) for address in addresses)


@given(V4 | V6, st.sampled_from(["", "crm.internal", "10.0.0.0/8", "::1"]))
def test_an_address_in_the_place_of_a_name_is_told_beforehand_as_it_is_judged(
    address: IPv4Address | IPv6Address, listed: str
) -> None:
    private = private_hosts(listed)

    assert private.may_allow(str(address)) == private.allow(str(address), address)


def test_a_name_that_may_lead_into_a_listed_network_is_not_told_beforehand_to_be_refused() -> None:
    assert not private_hosts("").may_allow("crm.internal")
    assert not private_hosts("crm.lan").may_allow("crm.internal")
    assert private_hosts("10.0.0.0/8").may_allow("crm.internal")
    assert private_hosts("").may_allow("api.example.com")


@pytest.mark.parametrize(
    "entry",
    [
        "http://crm.internal",
        "crm.internal:8080",
        "*.internal",
        "10.0.0.0/40",
        "10.0.0.5/8",
        "10.0.0",
        "256.1.1.1",
        "crm..internal",
        "-crm",
        "[::1]",
        "crm/",
        "user@crm",
        "a" * 64,
        "x." * 130 + "x",
        "\x1b[2J",
    ],
)
def test_an_entry_that_cannot_be_read_is_named(entry: str) -> None:
    with pytest.raises(ConfigError, match="DIALPLAN_PRIVATE_HOSTS lists ") as refused:
        private_hosts(f"crm.internal, {entry}")

    assert entry[:40].replace("\x1b", "?") in str(refused.value)


@given(st.text())
def test_whatever_a_list_is_it_is_read_or_refused_in_words(text: str) -> None:
    with suppress(ConfigError):
        private = private_hosts(text)

        assert all(private.may_allow(name) for name in private.names)
        assert all(private.allow("x", network[0]) for network in private.networks)


@given(st.text())
def test_whatever_a_host_is_nothing_is_raised(text: str) -> None:
    hosts.is_private(text)
    NONE.may_allow(text)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_whoever_has_one_address_of_a_network_has_all_of_it(host: str, told: str) -> None:
    assert neighbourhood(host) == told
