"""All that the worker does in Redis: jobs, tokens, heartbeats, known uploads and the catalogue.

One `Queue` has them all, over one `RedisSession`; each part of the worker is given what it needs.
"""

from worker.queue.bell import BELL_WAIT
from worker.queue.blobs import Blobs
from worker.queue.catalogue import CatalogueStore
from worker.queue.jobs import Jobs
from worker.queue.known_uploads import KnownUploads
from worker.queue.queue import Queue
from worker.queue.tokens import Granted, Tokens

__all__ = [
    "BELL_WAIT",
    "Blobs",
    "CatalogueStore",
    "Granted",
    "Jobs",
    "KnownUploads",
    "Queue",
    "Tokens",
]
