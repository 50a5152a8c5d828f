"""The names of everything in Redis. Keys of one job share a hash tag."""

PREFIX = "p2g:"
GROUP = "workers"
"""The consumer group of every job stream."""

RING = PREFIX + "ring"
BELL = PREFIX + "bell"
DEAD = PREFIX + "dead"
"""The last jobs that were given up because each process that began them died."""
AGAIN = PREFIX + "again"
TOTALS = PREFIX + "totals"
CLOCK = PREFIX + "clock"
"""What is known of Redis's clock; see clock.lua."""
ABANDONED = PREFIX + "abandoned"
PAYLOADS = PREFIX + "payloads"
WORKERS = PREFIX + "workers"
GATEWAYS = PREFIX + "gateways"
CATALOGUE = PREFIX + "catalogue"
CATALOGUE_VERSION = PREFIX + "catalogue:version"
"""Another value with every catalogue, for those who look whether there is a new one."""
CATALOGUE_LOCK = PREFIX + "catalogue:lock"
CATALOGUE_ASKED = PREFIX + "catalogue:asked"
"""Set for a while after somebody has asked for a model that the catalogue does not have."""


def choice(job: str, number: int) -> str:
    """The name of a request's choice, from 0, where the first of them is `job`."""
    return f"{job}-{number}" if number else job


def payload(job: str) -> str:
    """Where a request is stored, by the name of its first choice."""
    return f"{PREFIX}payload:{{{job}}}"


def jobs(client: str) -> str:
    return f"{PREFIX}jobs:{client}"


def client(client: str) -> str:
    return f"{PREFIX}client:{client}"


def idempotency(client: str, digest: str) -> str:
    return f"{PREFIX}idem:{client}:{digest}"


def readers(job: str) -> str:
    return f"{PREFIX}readers:{{{job}}}"


def log(job: str) -> str:
    return f"{PREFIX}log:{{{job}}}"


def job(job: str) -> str:
    return f"{PREFIX}job:{{{job}}}"


def asked(client: str) -> str:
    return f"{PREFIX}asked:{client}"


def served(gateway: str) -> str:
    return f"{PREFIX}served:{gateway}"


def events(gateway: str) -> str:
    return f"{PREFIX}events:{gateway}"


def control(worker: str) -> str:
    return f"{PREFIX}control:{worker}"


def worker(worker: str) -> str:
    return f"{PREFIX}worker:{worker}"


def owned(worker: str) -> str:
    return f"{PREFIX}owned:{worker}"


def upload(account: str, digest: str) -> str:
    return f"{PREFIX}upload:{account}:{digest}"


def lease(batch: str) -> str:
    return f"{PREFIX}lease:{batch}"


def token(token: str) -> str:
    return f"{PREFIX}token:{token}"


def unfit(token: str) -> str:
    return f"{PREFIX}unfit:{token}"


def uses(account: str) -> str:
    return f"{PREFIX}uses:{account}"


def grants(account: str) -> str:
    return f"{PREFIX}grants:{account}"


def account(token: str) -> str:
    return f"{PREFIX}account:{token}"
