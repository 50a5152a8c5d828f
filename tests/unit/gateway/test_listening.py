"""Where a gateway listens, by what operators write."""

from __future__ import annotations

import pytest

from gateway.listening import addresses, reached_at


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("127.1", ("127.0.0.1",)),
        ("0", ("0.0.0.0",)),
        ("0.0.0.0", ("0.0.0.0",)),
        ("127.0.0.2", ("127.0.0.2",)),
    ],
)
def test_an_address_is_itself(host: str, found: tuple[str, ...]) -> None:
    assert addresses(host) == found


@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_an_ipv6_address_needs_no_brackets(host: str) -> None:
    if "::1" not in addresses("localhost"):
        pytest.skip("this machine has no IPv6")

    assert addresses(host) == ("::1",)
    assert reached_at(host, 3700) == "http://[::1]:3700"


def test_localhost_is_that_of_every_family_there_is() -> None:
    assert set(addresses("localhost")) <= {"127.0.0.1", "::1"}
    assert reached_at("localhost", 3700) == "http://127.0.0.1:3700"


def test_a_star_is_everywhere() -> None:
    assert set(addresses("*")) <= {"0.0.0.0", "::"}
    assert reached_at("*", 3700) == "http://127.0.0.1:3700"


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("no.such.host.invalid", "no host of this name"),
        ("a..b", "not a host name"),
        ("x" * 300, "not a host name"),
        ("a\0b", "no host of this name"),
        ("192.0.2.1", "this machine has no such address"),
        ("2001:db8::1", "this machine has no such address"),
        ("fe80::1%eth0", "without a zone"),
        ("[fe80::1%1]", "without a zone"),
        ("localhost:3700", "the setting `port`"),
        ("http://localhost", "the setting `port`"),
    ],
)
def test_where_nothing_can_listen_is_told_why(host: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        addresses(host)
