"""The exception for an answer that does not have the form that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from contract.messages import Event, Finished, Refusal


class Mismatch(Exception):
    """The answer is complete, and not what was asked for; asking once more may help.

    `reason` may be shown to the client and to the model. `answer` is what the model wrote. `due` is
    what the client gets of it before the reason, if the model is not asked again.
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
        """Whether asking again is of no use."""
        self.is_refused = is_refused
        """Whether the client is told the reason; if not, it gets `due` alone."""

    @property
    def end(self) -> list[Event]:
        """Return the end of the answer, for when the model is not asked again."""
        refusal = [Refusal(self.reason)] if self.is_refused else []
        return [*self.due, *refusal, Finished("stop")]
