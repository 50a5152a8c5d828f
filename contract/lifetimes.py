"""For how many seconds things in Redis last. What must outlive what is checked by the tests."""

ANSWER_LIFE = 600.0
"""How long the answer of a job that has ended stays readable."""

JOB_LIFE = 24 * 3600.0
"""How long an unfinished job is kept beyond the time that it may wait."""

CLAIM_LIFE = 60.0
"""How long a claimed idempotency key waits for its job to be queued."""

GATEWAY_LIFE = 15.0
"""How long a gateway counts as alive after a heartbeat. Then its jobs are dropped."""

GRANT_LIFE = 120.0
"""How long a call in flight counts without being extended.

A killed worker's calls are freed with its lease. A frozen worker's calls go on at Poe and count for
this long; the worker cuts them itself before they stop counting.
"""

LEDGER_LIFE = 90 * 24 * 3600.0
"""How long a record of the ledger is kept, unless the setting `ledgerLife` says otherwise."""
