"""What is raised where an answer has not the form that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from contract.messages import Event


class Mismatch(Exception):
    """The answer is complete, and not what was asked for; asking once more may help.

    `reason` is meant for the client's eyes and for the model's. `answer` is what the model wrote.
    `due` is what the client is to get of it before the reason, where it is not asked again.
    """

    def __init__(
        self, reason: str, answer: str, due: Sequence[Event] = (), *, is_final: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer
        self.due = due
        self.is_final = is_final
        """Whether to ask once more is of no use."""
