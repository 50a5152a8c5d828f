"""The names of everything in Redis. The Lua scripts take theirs from here, too.

Each deployment has a prefix of its own for its keys and channels, so several can share a Redis.
"""

from __future__ import annotations

PREFIX = "p2g:"
"""The prefix of a deployment that is given no other one."""


class Keys:
    """The names of one deployment. Keys of one job share a hash tag.

    docs/contract.md says what is under each.
    """

    def __init__(self, prefix: str = PREFIX) -> None:
        self.prefix = prefix
        self.ring = prefix + "ring"
        self.bell = prefix + "bell"
        self.dead = prefix + "dead"
        """The last jobs that were given up because each worker that began them died."""
        self.again = prefix + "again"
        self.lanes = prefix + "lanes"
        self.totals = prefix + "totals"
        self.clock = prefix + "clock"
        """What is known of Redis's clock; see clock.lua."""
        self.abandoned = prefix + "abandoned"
        self.payloads = prefix + "payloads"
        self.blobs = prefix + "blobs"
        self.keeps = prefix + "keeps"
        self.alerts = prefix + "alerts"
        """Alerts that have not been delivered, each by when it is due."""
        self.ledger = prefix + "ledger"
        """What each request has cost."""
        self.corrected = prefix + "corrected"
        """The rows of Poe's history that the ledger knows."""
        self.reservations = prefix + "reservations"
        """What is reserved of budgets for jobs that have not ended."""
        self.groups = prefix + "groups"
        """The names of the groups that have budgets."""
        self.workers = prefix + "workers"
        self.gateways = prefix + "gateways"
        self.key_ids = prefix + "key-ids"
        self.key_names = prefix + "key-names"
        self.keys_made = prefix + "keys-made"
        """When the first key was made; it stays when the last one is removed."""
        self.poe_tokens = prefix + "poe-tokens"
        """The Poe tokens that were added at run time, encrypted."""
        self.poe_tokens_version = prefix + "poe-tokens-version"
        """Changes with them, and with what is parked by hand."""
        self.distributed = prefix + "distributed"
        """Up to where the ledger was read by those who reconcile it with Poe."""
        self.tokens_seen = prefix + "tokens-seen"
        """What workers say of their Poe tokens, those of their configuration too."""
        self.tokens_seen_at = prefix + "tokens-seen-at"
        self.catalogue = prefix + "catalogue"
        self.catalogue_version = prefix + "catalogue:version"
        """Changes with the catalogue, for those who look whether there is a new one."""
        self.catalogue_lock = prefix + "catalogue:lock"
        self.catalogue_asked = prefix + "catalogue:asked"
        """Set for a while after somebody has asked for a model that the catalogue does not have."""

    def payload(self, job: str) -> str:
        """Where a request is stored, by the id of its first choice."""
        return f"{self.prefix}payload:{{{job}}}"

    def blob(self, digest: str) -> str:
        """Where the content of an attachment is stored, by its SHA-256 in hex."""
        return f"{self.prefix}blob:{digest}"

    def job(self, job: str) -> str:
        return f"{self.prefix}job:{{{job}}}"

    def log(self, job: str) -> str:
        return f"{self.prefix}log:{{{job}}}"

    def kept(self, job: str) -> str:
        """What is kept of an answer beside its log, and of its request."""
        return f"{self.prefix}kept:{{{job}}}"

    def keeps_of(self, client: str) -> str:
        """A client's part of `keeps`."""
        return f"{self.prefix}keeps:{client}"

    def readers(self, job: str) -> str:
        return f"{self.prefix}readers:{{{job}}}"

    def jobs(self, client: str) -> str:
        return f"{self.prefix}jobs:{client}"

    def client(self, client: str) -> str:
        return f"{self.prefix}client:{client}"

    def asked(self, client: str) -> str:
        return f"{self.prefix}asked:{client}"

    def line(self, client: str, model: str) -> str:
        return f"{self.prefix}line:{client}:{model}"

    def lane(self, model: str) -> str:
        return f"{self.prefix}lane:{model}"

    def idem(self, name: str) -> str:
        """An idempotency key, by the name that `idempotency` gives it."""
        return f"{self.prefix}idem:{name}"

    def tries(self, name: str) -> str:
        """Equal requests that have no idempotency key and have not ended; see lib.lua."""
        return f"{self.prefix}tries:{name}"

    def ended(self, name: str) -> str:
        """The one of them that ended last."""
        return f"{self.prefix}ended:{name}"

    def refused(self, name: str) -> str:
        """How many of them were refused."""
        return f"{self.prefix}refused:{name}"

    def served(self, gateway: str) -> str:
        return f"{self.prefix}served:{gateway}"

    def events(self, gateway: str) -> str:
        return f"{self.prefix}events:{gateway}"

    def control(self, worker: str) -> str:
        return f"{self.prefix}control:{worker}"

    def worker(self, worker: str) -> str:
        return f"{self.prefix}worker:{worker}"

    def owned(self, worker: str) -> str:
        return f"{self.prefix}owned:{worker}"

    def knows(self, worker: str) -> str:
        return f"{self.prefix}knows:{worker}"

    def missed(self, worker: str) -> str:
        return f"{self.prefix}missed:{worker}"

    def stored_key(self, key: str) -> str:
        """An access token that was made at run time, by its id."""
        return f"{self.prefix}key:{key}"

    def key_secrets(self, key: str) -> str:
        return f"{self.prefix}key-secrets:{key}"

    def key_digest(self, digest: str) -> str:
        """Whose a secret is, by its SHA-256 in hex."""
        return f"{self.prefix}key-digest:{digest}"

    def group(self, name: str) -> str:
        """The budgets of a group."""
        return f"{self.prefix}group:{name}"

    def budget(self, counter: str) -> str:
        """What is spent and reserved of a budget; `contract.budgets` names the counters."""
        return f"{self.prefix}budget:{counter}"

    def total_of_key(self, key: str) -> str:
        """The counter of a stored key's budget that does not renew."""
        return self.budget(f"key:{key}:total")

    def short(self, counter: str) -> str:
        """Jobs that wait until less of a budget is reserved."""
        return f"{self.prefix}short:{counter}"

    def lease(self, batch: str) -> str:
        return f"{self.prefix}lease:{batch}"

    def token(self, token: str) -> str:
        return f"{self.prefix}token:{token}"

    def unfit(self, token: str) -> str:
        return f"{self.prefix}unfit:{token}"

    def account(self, token: str) -> str:
        return f"{self.prefix}account:{token}"

    def uses(self, account: str) -> str:
        return f"{self.prefix}uses:{account}"

    def grants(self, account: str) -> str:
        return f"{self.prefix}grants:{account}"

    def unreconciled(self, label: str) -> str:
        """Requests that nobody has looked for in Poe's points history, by a Poe token's label."""
        return f"{self.prefix}unreconciled:{label}"

    def reconciliation(self, account: str) -> str:
        """What is known of an account's points history, and what is still looked for in it."""
        return f"{self.prefix}reconciliation:{account}"

    def known_rows(self, account: str) -> str:
        """The rows of it that were seen."""
        return f"{self.prefix}known-rows:{account}"

    def reconciler(self, account: str) -> str:
        """Who looks into it."""
        return f"{self.prefix}reconciler:{account}"

    def upload(self, account: str, digest: str) -> str:
        return f"{self.prefix}upload:{account}:{digest}"


DEFAULT_KEYS = Keys()


def choice(job: str, number: int) -> str:
    """Return the id of a request's choice, counted from 0; that of the first is `job`."""
    return f"{job}-{number}" if number else job


def first_choice(job: str) -> str:
    """Return the id of the first choice of the request that this job is a choice of."""
    return job.partition("-")[0]


def idempotency(client: str, digest: str) -> str:
    """Return the name of a client's idempotency key, of which `digest` is made."""
    return f"{client}:{digest}"


def of_tries(name: str) -> str:
    """Return what a script takes for a request that is found by what it asks, not by a key."""
    return f"tries {name}"
