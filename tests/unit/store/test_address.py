"""What `redisUrl` may be, and what is said of one that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract import config
from store.address import Address, Login, checked, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        pytest.param("redis://h", Address((("h", 6379),)), id="a host"),
        pytest.param("redis://", None, id="nothing"),
        pytest.param("redis://:1/2/", Address((("localhost", 1),), db=2), id="a port"),
        pytest.param("redis://[::1]:7/", Address((("::1", 7),)), id="IPv6"),
        pytest.param("redis://h?db=4", Address((("h", 6379),), db=4), id="an option"),
        pytest.param(
            "redis://u:a%2Fb%40c:d@h",
            Address((("h", 6379),), login=Login("u", "a/b@c:d")),
            id="a login",
        ),
        pytest.param(
            "unix:///a%20b/c?db=2&password=p%2F",
            Address(path="/a b/c", db=2, login=Login("", "p/")),
            id="a socket",
        ),
        pytest.param(
            "redis+sentinel://:p@a,b:1,[::1]:2/3?service=m&sentinel_password=s",
            Address(
                (("a", 26379), ("b", 1), ("::1", 2)),
                db=3,
                login=Login("", "p"),
                service="m",
                sentinel_login=Login("", "s"),
            ),
            id="sentinels",
        ),
    ],
)
def test_a_url_is_read(url: str, address: Address | None) -> None:
    if address is None:
        with pytest.raises(ValueError, match="expected redis://"):
            parse(url)
    else:
        assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        pytest.param("http://s3cret@h", "expected redis://", id="scheme"),
        pytest.param("redis://:s3cret/x@h:1/0", "write %2F for /", id="slash in a password"),
        pytest.param("redis://:s3cret#x@h:1/0", "%23 for #", id="hash in a password"),
        pytest.param("redis://:s3cret?x@h:1/0", "%3F for ?", id="question mark in a password"),
        pytest.param("redis://:s3cret/x", "expected host:6379", id="half a password"),
        pytest.param("redis://:s3cret@h:99999", "expected host:6379", id="port too high"),
        pytest.param("redis://:s3cret@h:port", "expected host:6379", id="port in letters"),
        pytest.param("redis://:s3cret@h/none", "a database is a number", id="database"),
        pytest.param("redis://:s3cret@a,b", "redis+sentinel://", id="several hosts"),
        pytest.param("redis://h?s3cret=1", "behind ? expected", id="option"),
        pytest.param("redis://h?ssl_cert_reqs=none", "behind ? expected", id="TLS without TLS"),
        pytest.param("redis+sentinel://:s3cret@a,b/0", "service=", id="no service"),
        pytest.param("unix://s3cret", "unix:///path", id="no path"),
        pytest.param("rediss://h?ssl_ca_certs=/s3cret", "No such file", id="no certificates"),
        pytest.param("rediss://h?ssl_cert_reqs=s3cret", "ssl_cert_reqs", id="verification"),
    ],
)
def test_a_url_that_cannot_be_read_is_explained_without_a_secret(url: str, wrong: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        checked(url, "config.toml:3: `redisUrl`")

    assert str(caught.value).startswith("config.toml:3: `redisUrl`: ")
    assert wrong in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_holds_no_certificate_is_no_certificate(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")

    with pytest.raises(ValueError, match="ssl_ca_certs"):
        parse(f"rediss://h?ssl_ca_certs={file}")


def test_an_address_that_is_shown_shows_no_password() -> None:
    assert "s3cret" not in repr(
        parse("redis+sentinel://:s3cret@h?service=m&sentinel_password=s3cret")
    )
