"""Where Redis is, as `redisUrl` says.

    redis://[[user]:password@]host[:port][/db]
    unix:///path/of/the/socket[?db=0&password=…]
    redis+sentinel://[[user]:password@]host[:port],host[:port],…[/db]?service=name

`rediss` in place of `redis` means TLS. A Sentinel URL lists the sentinels; user, password and
database are those of the servers that they watch. Any character of a user name or password may be
percent-encoded; `/`, `?`, `#` and `@` must be.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

import msgspec

from contract.config import ConfigError

PORT, SENTINEL_PORT = 6379, 26379

_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_URL = re.compile(r"(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
_HOST = re.compile(r"(?P<host>\[[\da-fA-F:.]+\]|[^\s:\[\]]*)(?::(?P<port>\d{1,5}))?")
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_SWITCH = {"true": True, "1": True, "false": False, "0": False}

_GENERAL = {"db", "username", "password"}
_OF_TLS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
_OF_SENTINEL = {"service", "sentinel_username", "sentinel_password"}


class Login(msgspec.Struct, frozen=True):
    """What we log in with. Without a user name, as the server's default user."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Login()"


class Tls(msgspec.Struct, frozen=True):
    """The certificates of a TLS connection. Files are in PEM."""

    ca_certs: str = ""
    """The authorities to trust. Empty: those that this machine trusts."""
    certfile: str = ""
    keyfile: str = ""
    cert_reqs: str = "required"
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """Return the context of a connection. Raises OSError for a file that cannot be used."""
        context = ssl.create_default_context()
        context.check_hostname = self.check_hostname and self.cert_reqs != "none"
        context.verify_mode = _VERIFY[self.cert_reqs]
        if self.ca_certs:
            context.load_verify_locations(self.ca_certs)
        if self.certfile:
            context.load_cert_chain(self.certfile, self.keyfile or None)
        return context


class Address(msgspec.Struct, frozen=True):
    """Where a Redis is, or the sentinels that know."""

    hosts: tuple[tuple[str, int], ...] = ()
    """One server, or all sentinels."""
    path: str = ""
    """The path of a Unix socket. Empty: there are hosts."""
    db: int = 0
    login: Login = Login()
    tls: Tls | None = None
    service: str = ""
    """The name under which the sentinels watch it. Empty: there are no sentinels."""
    sentinel_login: Login = Login()


def parse(url: str) -> Address:
    """Read a URL. Raises ValueError that says what is wrong, and repeats no part of the URL."""
    scheme, found, rest = url.partition("://")
    if not found or not rest or scheme not in _SCHEMES:
        *most, last = (f"{each}://…" for each in _SCHEMES)
        raise ValueError(f"expected {', '.join(most)} or {last}")
    authority, path, query = _parts(rest)
    of_sentinel, over_tls = scheme.endswith("+sentinel"), scheme.startswith("rediss")
    options = _options(query, of_sentinel=of_sentinel, over_tls=over_tls)
    userinfo, _, hosts = authority.rpartition("@")
    username, _, password = map(unquote, userinfo.partition(":"))
    login = Login(options.get("username", username), options.get("password", password))
    if scheme == "unix":
        if hosts or path in ("", "/"):
            raise ValueError("expected unix:///path/of/the/socket")
        return Address(path=unquote(path), db=_db(options.get("db", "")), login=login)
    service = options.get("service", "")
    if of_sentinel and not service:
        raise ValueError("expected ?service=…, the name under which the sentinels watch it")
    if not of_sentinel and "," in hosts:
        raise ValueError("several hosts are those of sentinels: redis+sentinel://…")
    port = SENTINEL_PORT if of_sentinel else PORT
    return Address(
        hosts=tuple(_host(each, port) for each in hosts.split(",")),
        db=_db(path.strip("/") or options.get("db", "")),
        login=login,
        tls=_tls(options) if over_tls else None,
        service=service,
        sentinel_login=Login(
            options.get("sentinel_username", ""), options.get("sentinel_password", "")
        ),
    )


def checked(url: str, where: object) -> str:
    """Return the URL if it can be read. Raises ConfigError that names `where` if not."""
    try:
        parse(url)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    return url


def _parts(rest: str) -> tuple[str, str, str]:
    """Split what follows the scheme into authority, path and query."""
    match = _URL.match(rest)
    assert match is not None  # noqa: S101  # each of its parts may be empty
    authority, path, query = match["authority"], match["path"], match["query"] or ""
    if match.end() < len(rest) or "@" in path + query:
        # What stands behind such a character would be taken for a host, a port or a path.
        wanted = "%2F for /, %3F for ?, %23 for #, %40 for @"
        raise ValueError(f"in a user name or password write {wanted}")
    return authority, path, query


def _options(query: str, *, of_sentinel: bool, over_tls: bool) -> dict[str, str]:
    known = _GENERAL | (_OF_SENTINEL if of_sentinel else set()) | (_OF_TLS if over_tls else set())
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not options.keys() <= known:
        # Not which: it may be the end of a password.
        raise ValueError(f"behind ? expected only {', '.join(sorted(known))}")
    return options


def _host(text: str, port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    number = int(match["port"] or port) if match else 0
    if match is None or not 0 < number < 65536:
        raise ValueError(f"expected host:{port}; a host is a name or an address, IPv6 in [ ]")
    return match["host"].strip("[]") or "localhost", number


def _db(text: str) -> int:
    if not re.fullmatch(r"\d{0,5}", text, re.ASCII):
        raise ValueError("a database is a number, such as /0")
    return int(text or 0)


def _tls(options: Mapping[str, str]) -> Tls:
    verify = options.get("ssl_cert_reqs", "required")
    check = options.get("ssl_check_hostname", "true").lower()
    if verify not in _VERIFY:
        raise ValueError(f"ssl_cert_reqs: expected {', '.join(_VERIFY)}")
    if check not in _SWITCH:
        raise ValueError("ssl_check_hostname: expected true or false")
    tls = Tls(
        options.get("ssl_ca_certs", ""),
        options.get("ssl_certfile", ""),
        options.get("ssl_keyfile", ""),
        verify,
        _SWITCH[check],
    )
    try:
        tls.context()
    except OSError as error:
        reason = error.strerror or "not in PEM"
        raise ValueError(f"ssl_ca_certs, ssl_certfile or ssl_keyfile: {reason}") from None
    return tls
