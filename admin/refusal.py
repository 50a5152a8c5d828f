"""Why a request is not met."""

from __future__ import annotations


class Refusal(Exception):
    """A request that cannot be met: an HTTP status, and why.

    A page says why in the reader's language, by the text `error.<status>`.
    """

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
