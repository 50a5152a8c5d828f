"""The Poe tokens of a deployment that the command's configuration does not have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

import msgspec
from redis.exceptions import RedisError

from contract.calls.accounts import AccountUse, ReadTokensSeen, SeenToken
from contract.calls.stored_tokens import ReadTokens
from contract.keys import Keys
from contract.stored_tokens import StoredToken
from poe2gpt.redis import TIMEOUT
from poe2gpt.serve import NO_REDIS
from store.accounts import read_uses
from store.link import Link
from worker.config import PoeToken, WorkerConfig, agreed_tokens
from worker.sealing import CannotUnseal
from worker.stored_tokens import opened

NO_TIME = "0"


class Others(msgspec.Struct, frozen=True):
    """What Redis knows beside the configuration."""

    added: Mapping[str, StoredToken] = {}
    """Tokens that were added at run time, by their ids."""
    used: int = 0
    """How many further tokens workers use, which are in a configuration of theirs."""


async def read_others(worker: WorkerConfig) -> Others:
    """Return what Redis knows; nothing if it cannot be read."""
    link = Link(worker.redis_url, Keys(worker.key_prefix), timeout=TIMEOUT)
    try:
        added = (await link.run(ReadTokens(), NO_TIME)).tokens or {}
        known = {*added, *(token.id for token in worker.tokens)}
        elsewhere = await read_elsewhere(link, known)
        return Others(added, sum(bool(use.worker) for _, use in elsewhere.values()))
    except (RedisError, OSError, *NO_REDIS):
        return Others()
    finally:
        await link.aclose()


async def read_elsewhere(
    link: Link, known: Collection[str]
) -> dict[str, tuple[SeenToken, AccountUse]]:
    """Return all other tokens that workers have had of late, by their ids; see `SEEN_LIFE`."""
    run = partial(link.run, now=NO_TIME)
    seen = await run(ReadTokensSeen())
    others = [(id_, token) for id_, token in seen.items() if id_ not in known]
    uses = await read_uses(run, others)
    return {id_: (token, use) for (id_, token), use in zip(others, uses, strict=True)}


def with_added(
    worker: WorkerConfig, added: Mapping[str, StoredToken]
) -> tuple[tuple[PoeToken, ...], list[str]]:
    """Return all tokens as workers have them, and the labels of those that cannot be decrypted."""
    tokens, sealed = {token.id: token for token in worker.tokens}, []
    for id_, stored in added.items():
        if id_ in tokens:
            continue
        try:
            token = opened(stored, worker)
        except CannotUnseal:
            sealed.append(stored.label)
        else:
            tokens.setdefault(token.id, token)
    return agreed_tokens([*tokens.values()]), sealed
