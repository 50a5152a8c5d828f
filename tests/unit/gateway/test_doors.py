"""Where a request comes from, and what a web page may not send."""

from __future__ import annotations

import ipaddress

import pytest

from gateway.doors import client_address, refused_origin
from runtime.hosts import refused_host

PROXIES = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.0.0.0/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        pytest.param("192.0.2.1", "", "192.0.2.1", id="nobody between"),
        pytest.param("192.0.2.1", "198.51.100.1", "192.0.2.1", id="a stranger's claim"),
        pytest.param("127.0.0.1", "192.0.2.1", "192.0.2.1", id="a proxy"),
        pytest.param("127.0.0.1", "8.8.8.8, 192.0.2.1", "192.0.2.1", id="a claim before a proxy"),
        pytest.param("127.0.0.1", "192.0.2.1, 10.1.1.1", "192.0.2.1", id="two proxies"),
        pytest.param("::ffff:127.0.0.1", "2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param("127.0.0.1", "", "127.0.0.1", id="a proxy that says nothing"),
        pytest.param("127.0.0.1", "192.0.2.1, unknown", "127.0.0.1", id="one that says nonsense"),
        pytest.param("127.0.0.1", "10.0.0.2,,", "10.0.0.2", id="a client among the proxies"),
    ],
)
def test_the_address_is_the_last_that_no_trusted_proxy_has(
    peer: str, forwarded: str, address: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


@pytest.mark.parametrize(
    ("host", "refused", "refused_if_exposed"),
    [
        pytest.param("localhost:3700", False, False, id="localhost"),
        pytest.param("LOCALHOST", False, False, id="in capitals"),
        pytest.param("app.localhost:1", False, False, id="below localhost"),
        pytest.param("127.0.0.1:3700", False, False, id="loopback"),
        pytest.param("127.9.9.9", False, False, id="all of loopback"),
        pytest.param("[::1]:3700", False, False, id="loopback of IPv6"),
        pytest.param("chat.example:3700", False, False, id="an allowed name"),
        pytest.param("192.0.2.1:3700", True, False, id="an address"),
        pytest.param("[2001:db8::1]", True, False, id="an address of IPv6"),
        pytest.param("evil.example", True, True, id="a name"),
        pytest.param("127.0.0.1.evil.example", True, True, id="a name like an address"),
        pytest.param("localhost.evil.example", True, True, id="a name like localhost"),
        pytest.param("localhost@evil.example", True, True, id="a name behind a user"),
        pytest.param("", True, True, id="none"),
    ],
)
def test_a_name_that_may_be_rebound_is_refused(
    host: str, refused: bool, refused_if_exposed: bool
) -> None:
    assert refused_host(host, ["chat.example"], exposed=False) is refused
    assert refused_host(host, ["chat.example"], exposed=True) is refused_if_exposed
    assert not refused_host(host, ["*"], exposed=False)


@pytest.mark.parametrize(
    ("origin", "refused"),
    [
        pytest.param("", False, id="no browser"),
        pytest.param("http://localhost:8080", False, id="a page of this machine"),
        pytest.param("http://192.0.2.1:3700", False, id="a page of the server itself"),
        pytest.param("https://chat.example", False, id="an allowed page"),
        pytest.param("https://evil.example", True, id="a foreign page"),
        pytest.param("http://192.0.2.1:80", True, id="another server of the machine"),
        pytest.param("null", True, id="a page that hides"),
        pytest.param("https://localhost.evil.example", True, id="a name like localhost"),
        pytest.param("https://[", True, id="nonsense"),
        pytest.param("chrome-extension://abcdef", True, id="an extension"),
    ],
)
def test_a_foreign_page_is_refused(origin: str, refused: bool) -> None:
    assert refused_origin(origin, "192.0.2.1:3700", ["chat.example"]) is refused
    assert not refused_origin(origin, "192.0.2.1:3700", ["*"])
