"""The connection that all commands of a process share, against a real Redis."""

from __future__ import annotations

import asyncio
import signal

import pytest
from redis import exceptions

from contract.calls.gateway import GatewayHeartbeat
from contract.scripts import script
from store.faults import RedisFault
from store.link import Link
from tests.support.deployment import RedisServer, eventually
from tests.support.keys import keys


async def test_replies_belong_to_their_commands(redis_server: RedisServer) -> None:
    link = Link(redis_server.url, timeout=5.0)

    replies = await asyncio.gather(*(link.call("ECHO", number) for number in range(1000)))

    assert replies == [str(number).encode() for number in range(1000)]
    await link.aclose()


async def test_a_caller_that_gives_up_leaves_the_others_their_replies(
    redis_server: RedisServer,
) -> None:
    link = Link(redis_server.url, timeout=5.0)
    await link.call("PING")
    calls = [asyncio.create_task(link.call("ECHO", number)) for number in range(300)]
    await asyncio.sleep(0)

    for given_up in calls[::3]:
        given_up.cancel()
    replies = await asyncio.gather(*calls, return_exceptions=True)

    kept = [reply for number, reply in enumerate(replies) if number % 3]
    assert kept == [str(number).encode() for number in range(300) if number % 3]
    await link.aclose()


async def test_a_call_without_patience_fails_alone(redis_server: RedisServer) -> None:
    link = Link(redis_server.url, timeout=30.0)
    await link.run(GatewayHeartbeat("g-one"), "0")
    blocking = asyncio.create_task(link.call("BLPOP", "nothing", 0.3))
    await asyncio.sleep(0)

    hurried, patient = await asyncio.gather(
        link.run(GatewayHeartbeat("g-one"), "0", patience=0.05),
        link.call("ECHO", "after it"),
        return_exceptions=True,
    )

    assert isinstance(hurried, TimeoutError)
    assert patient == b"after it"
    assert await blocking is None
    await link.aclose()


async def test_a_refused_command_concerns_no_other(redis_server: RedisServer) -> None:
    link = Link(redis_server.url, timeout=5.0)

    refused, answered = await asyncio.gather(
        link.call("NOSUCHCOMMAND"), link.call("PING"), return_exceptions=True
    )

    assert isinstance(refused, exceptions.ResponseError)
    assert answered == b"PONG"
    await link.aclose()


async def test_a_server_that_does_not_know_a_script_is_sent_it(redis_server: RedisServer) -> None:
    link = Link(redis_server.url, timeout=5.0)
    await link.run(GatewayHeartbeat("g-one"), "0")

    await link.call("SCRIPT", "FLUSH")
    await link.run(GatewayHeartbeat("g-two"), "0")

    known = await link.call("SCRIPT", "EXISTS", script("gateway_heartbeat", keys.prefix).sha)
    members = await link.call("ZCARD", keys.gateways)
    assert (known, members) == ([1], 2)
    await link.aclose()


async def test_nothing_overtakes_a_script_that_the_server_does_not_know(
    redis_server: RedisServer,
) -> None:
    link = Link(redis_server.url, timeout=5.0)
    await link.call("SCRIPT", "FLUSH")

    _, known = await asyncio.gather(
        link.run(GatewayHeartbeat("g-one"), "0"), link.call("ZCARD", keys.gateways)
    )

    assert known == 1
    await link.aclose()


async def test_a_lost_connection_fails_what_is_under_way_and_is_made_anew(
    redis_server: RedisServer,
) -> None:
    link = Link(redis_server.url, timeout=5.0)
    await link.call("SET", "here", 1)
    waiting = asyncio.create_task(link.call("BLPOP", "nothing", 0))
    other = Link(redis_server.url, timeout=5.0)

    async def is_blocked() -> bool:
        return b"cmd=blpop" in await other.call("CLIENT", "LIST")

    await eventually(is_blocked, "the command")
    await other.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    with pytest.raises(exceptions.ConnectionError):
        await waiting
    assert await link.call("GET", "here") == b"1"
    await link.aclose()
    await other.aclose()


async def test_a_frozen_server_is_given_up_and_asked_again_when_it_is_back(
    redis_server: RedisServer,
) -> None:
    link = Link(redis_server.url, timeout=0.3)
    await link.call("PING")
    assert redis_server.child is not None

    redis_server.child.send(signal.SIGSTOP)
    replies = await asyncio.gather(*(link.call("PING") for _ in range(5)), return_exceptions=True)
    redis_server.child.send(signal.SIGCONT)

    assert all(isinstance(reply, TimeoutError) for reply in replies)
    assert await link.call("PING") == b"PONG"
    await link.aclose()


async def test_a_server_that_is_gone_is_a_fault(redis_server: RedisServer) -> None:
    link = Link(redis_server.url, timeout=5.0)
    await link.call("PING")
    assert redis_server.child is not None

    await redis_server.child.stop(signal.SIGKILL)

    for _ in range(2):
        with pytest.raises(RedisFault):
            await link.call("PING")
    await redis_server.start()
    assert await link.call("PING") == b"PONG"
    await link.aclose()


async def test_a_wrong_password_is_told(redis_server: RedisServer) -> None:
    admin = Link(redis_server.url, timeout=5.0)
    await admin.call("CONFIG", "SET", "requirepass", "right")
    link = Link(redis_server.url.replace("redis://", "redis://:wrong@"), timeout=5.0)

    with pytest.raises(exceptions.AuthenticationError) as caught:
        await link.call("PING")

    assert "wrong@" not in str(caught.value)
    await link.aclose()
    await admin.aclose()


async def test_something_that_is_no_redis_is_a_fault() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link(f"redis://127.0.0.1:{port}/0", timeout=5.0)

    with pytest.raises(RedisFault):
        await link.call("PING")

    await link.aclose()
    server.close()
    await server.wait_closed()


async def test_a_caller_that_gives_up_does_not_take_the_connection_from_others(
    redis_server: RedisServer,
) -> None:
    link = Link(redis_server.url, timeout=5.0)
    first = asyncio.create_task(link.call("PING"))
    second = asyncio.create_task(link.call("PING"))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == b"PONG"
    await link.aclose()
