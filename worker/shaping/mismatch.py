"""What is raised where an answer has not the form that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from contract.messages import Event, Finished, Refusal


class Mismatch(Exception):
    """The answer is complete, and not what was asked for; asking once more may help.

    `reason` is meant for the client's eyes and for the model's. `answer` is what the model wrote.
    `due` is what the client is to get of it before the reason, where it is not asked again.
    """

    def __init__(
        self,
        reason: str,
        answer: str,
        due: Sequence[Event] = (),
        *,
        is_final: bool = False,
        is_refused: bool = True,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer
        self.due = due
        self.is_final = is_final
        """Whether to ask once more is of no use."""
        self.is_refused = is_refused
        """Whether the client is told the reason; otherwise `due` is all that it gets."""

    @property
    def end(self) -> list[Event]:
        """How the answer ends where it is not asked again."""
        refusal = [Refusal(self.reason)] if self.is_refused else []
        return [*self.due, *refusal, Finished("stop")]
