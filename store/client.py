"""Redis as both sides use it: connections that never repeat a command unseen.

Connections are made to the server that is the primary now. A connection whose server turns out to
be demoted is closed, and so are all idle ones of its pool: the next one asks the sentinels anew.
"""

from __future__ import annotations

from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Connection, Redis, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from store.address import Address, Login, parse
from store.faults import RedisFault

SENTINEL_TIMEOUT = 0.3
"""Seconds for which one sentinel is waited for, before the next is asked."""


class Primary:
    """The server that takes writes."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.at: tuple[str, int] | None = None
        """Where it was when it was last looked up."""
        self.tls = address.tls.context() if address.tls else None
        hosts = address.hosts if address.service else ()
        self._sentinels = [self._sentinel(host, port) for host, port in hosts]

    async def find(self) -> tuple[str, int]:
        """Return its host and port. Raises RedisFault where no sentinel knows them."""
        if self.address.path:
            raise TypeError("a socket has no port")
        self.at = await self._ask() if self.address.service else self.address.hosts[0]
        return self.at

    async def _ask(self) -> tuple[str, int]:
        for sentinel in tuple(self._sentinels):
            try:
                found: Any = await sentinel.sentinel_get_master_addr_by_name(self.address.service)
            except RedisFault:
                continue
            if found:
                # Whoever has just answered is asked first the next time.
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return found[0], int(found[1])
        raise exceptions.ConnectionError(f"no sentinel knows where {self.address.service} is")

    def _sentinel(self, host: str, port: int) -> Redis:
        options: dict[str, Any] = {
            "primary": Primary(Address(((host, port),), tls=self.address.tls)),
            "max_connections": 2,
            "timeout": SENTINEL_TIMEOUT,
            "decode_responses": True,
            **_limits(SENTINEL_TIMEOUT, SENTINEL_TIMEOUT),
            **_login(self.address.sentinel_login),
        }
        return Redis.from_pool(BlockingConnectionPool(connection_class=_Connection, **options))

    async def aclose(self) -> None:
        """Close the connections to the sentinels."""
        for sentinel in self._sentinels:
            await sentinel.aclose()


class _OnUvloop(AbstractConnection):
    """A connection whose loss is told as one.

    uvloop raises RuntimeError when a closed transport is written to, where asyncio drops the bytes.
    """

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        try:
            await super().send_packed_command(*args, **options)
        except RuntimeError as fault:
            raise exceptions.ConnectionError(f"the connection was lost: {fault}") from fault


class _UnixConnection(_OnUvloop, UnixDomainSocketConnection):
    """A connection to a socket on this machine."""


class _Connection(_OnUvloop, Connection):
    """A connection that is made to wherever the primary is at that time."""

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        super().__init__(**options)
        self._primary = primary
        self.is_demoted = False
        """The server has refused to be written to."""

    async def _connect(self) -> None:
        self.is_demoted = False
        self.host, self.port = await self._primary.find()
        await super()._connect()  # type: ignore[no-untyped-call]

    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._primary.tls}

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except exceptions.ReadOnlyError:
            # Not closed at once: in a pipeline the other replies are still to be read.
            self.is_demoted = True
            self.mark_for_reconnect()  # type: ignore[no-untyped-call]
            raise


class _Pool(BlockingConnectionPool):
    """Drops its idle connections as soon as the primary is found to be elsewhere."""

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        super().__init__(primary=primary, **options)
        self._primary = primary

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        before = self._primary.at
        await super().ensure_connection(connection)
        if before not in (None, self._primary.at):
            await self.disconnect(inuse_connections=False)

    async def release(self, connection: AbstractConnection) -> None:
        demoted = isinstance(connection, _Connection) and connection.is_demoted
        await super().release(connection)
        if demoted:
            await self.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        await super().aclose()
        await self._primary.aclose()


def connect(
    url: str,
    *,
    connections: int,
    timeout: float,
    connect_timeout: float = 5.0,
    decode_responses: bool = False,
) -> Redis:
    """A client that opens up to `connections`; a command may take `timeout` seconds.

    redis-py repeats every command ten times by default, and its plain pool raises when it is
    empty. Here nothing is repeated, and a call waits for a connection. Raises ValueError for a URL
    that `store.address` cannot read.
    """
    address = parse(url)
    options: dict[str, Any] = {
        "max_connections": connections,
        "timeout": timeout,
        "db": address.db,
        "decode_responses": decode_responses,
        **_limits(timeout, connect_timeout),
        **_login(address.login),
    }
    pool: BlockingConnectionPool
    if address.path:
        pool = BlockingConnectionPool(
            connection_class=_UnixConnection, path=address.path, **options
        )
    else:
        pool = _Pool(connection_class=_Connection, primary=Primary(address), **options)
    return Redis.from_pool(pool)


def _limits(timeout: float, connect_timeout: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": timeout,
        "socket_connect_timeout": connect_timeout,
        "retry": Retry(NoBackoff(), 0),
    }


def _login(login: Login) -> dict[str, str | None]:
    return {"username": login.username or None, "password": login.password or None}
