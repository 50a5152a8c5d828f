"""The seam between the gateway and the dialects of its clients. Types only.

A dialect is one folder. It parses a body into an `Ask`, encodes the events of its answer, and
words every `Problem`. `app.py` lists the dialects; nothing else knows which there are.

    bytes ── parse ──► Ask ── queue, worker ──► events ── Encoder ──► frames   (a stream)
                                                       └─ Collector ─► body    (a whole answer)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

import msgspec

from contract.calls.kept import Turn
from contract.config import ReasoningMode
from contract.messages import Event, Message, Model, Native, Options
from gateway.models import ModelTable
from gateway.problems import Problem

Headers = list[tuple[str, str]]
"""Names in lower case, and values."""


class Keep(msgspec.Struct, frozen=True):
    """That an answer is kept, to be had again by its id."""

    items: bytes = b""
    """The request's own part of the conversation, as its dialect writes it."""
    background: bool = False
    """Whether it goes on without its client."""


class Ask(msgspec.Struct, frozen=True):
    """What a client asks for. A dialect adds what its encoder needs in a subclass of its own."""

    model: str
    """As the client wrote it."""
    messages: tuple[Message, ...]
    options: Options = Options()
    stream: bool = False
    choices: int = 1
    """How many answers, each of them by a job of its own."""
    prompt_tokens: int = 0
    """The estimate for the conversation; 0: not made yet."""
    digest: str = ""
    """The same for all requests that ask for the same; empty: not computed yet."""
    native: Native | None = None
    """The body as it came, where Poe speaks the dialect as well: one piece of valid JSON."""
    previous: str = ""
    """The job whose answer it goes on from; empty: none."""
    keep: Keep | None = None
    """None: the answer is not kept."""

    @property
    def in_background(self) -> bool:
        """Whether it goes on without its client."""
        return self.keep is not None and self.keep.background

    def shown_for(self, model: Model | None) -> Self:  # noqa: ARG002
        """Return the request as its answer repeats it, when this model gives it."""
        return self

    def options_for(self, model: Model | None) -> Options:  # noqa: ARG002
        """Return the options as they go to this model: None is one that no catalogue lists."""
        return self.options


@dataclass(frozen=True)
class Head:
    """What is known of an answer before it comes."""

    job: str
    created: int
    """Unix time in seconds."""
    model: str
    """As the client calls it."""
    prompt_tokens: Callable[[], int]
    """Estimates the conversation, for when the upstream counts nothing and the client is told."""
    choices: int = 1
    reasoning: ReasoningMode = "separate"
    request: str = ""
    """The id of the request, for errors within its stream."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One server-sent event. `data` is one line of text, JSON as a rule."""

    data: str
    event: str = ""
    """The event's name; empty for a dialect whose events have none."""


class Reply(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    body: bytes
    headers: Headers = []


class RateLimit(msgspec.Struct, frozen=True):
    """How often a client may ask now."""

    limit: int
    """Requests in any 60 seconds."""
    remaining: int
    reset: float
    """Seconds until one more may be asked."""


class Encoder(Protocol):
    """Renders one answer as a stream.

    It gets all events of each choice in order, and the same records must give the same frames: an
    answer that is resumed is rendered again from its start.
    """

    def begin(self) -> list[Frame]:
        """Return what goes before the first frame of any choice.

        It is not called for a client that resumes behind it, and must not change what `feed`
        returns.
        """
        ...

    def feed(self, choice: int, events: Sequence[Event]) -> list[Frame]:
        """Return what the events of one record add.

        A `Finished` or `Failed` comes last, and ends the choice; `end` tells why one has failed.
        """
        ...

    def end(self, problem: Problem | None) -> list[Frame]:
        """Return what closes the stream: after the last choice, or because of a problem.

        Only the frames of a problem that a record brought are stamped with its id.
        """
        ...


@runtime_checkable
class Reassuring(Protocol):
    """An encoder whose clients count events while they wait, and no comments."""

    def still(self) -> list[Frame]:
        """Return an event that says only that the answer is under way.

        It comes behind `begin`, is no part of the answer, and must not change what `feed` returns.
        """
        ...


class Collector(Protocol):
    """Renders one answer as one body."""

    def feed(self, choice: int, events: Sequence[Event]) -> None:
        """Take the events of one record."""
        ...

    def body(self) -> bytes:
        """Return the answer, which has finished. Raises Problem where it holds none."""
        ...


A = TypeVar("A", bound=Ask)

Standing = Literal["queued", "in_progress", "ended"]
"""How far an answer has come."""


class Wanted(msgspec.Struct, frozen=True):
    """What a client wants with a kept answer."""

    id: str
    """The answer's, as the client writes it."""
    job: str
    action: Literal["show", "stream", "list", "cancel", "delete"]
    """`list`: the conversation that it answers."""
    after: int = -1
    """The number, from 0, of the last event that the client has. -1: it has none."""


@dataclass(frozen=True)
class Archive(Generic[A]):
    """How the answers of an endpoint are kept, and had again by their ids."""

    path: str
    """Each answer's is below it, and this ends in `/`."""
    id_of: Callable[[str], str]
    """Returns the id of the answer that a job makes."""
    wanted: Callable[[str, str, str], Wanted]
    """Takes the method, the rest of the path and the query. Raises Problem."""
    show: Callable[[Head, A, Sequence[Event], Standing, Problem | None], bytes]
    """Renders an answer at any time. The problem is why it has ended, if it has failed."""
    output: Callable[[Head, A, Sequence[Event], Problem | None], bytes]
    """Writes what of an answer belongs to the conversation that goes on from it."""
    parse_after: Callable[[bytes, Sequence[bytes]], A]
    """Parses a body that goes on from these parts of a conversation; otherwise as `parse`."""
    list: Callable[[Sequence[Turn], str], bytes]
    """Renders a conversation. Takes its turns, and the query. Raises Problem."""
    deleted: Callable[[str], bytes]
    """Says that the answer with this id has been deleted."""


@dataclass(frozen=True)
class Posted(Generic[A]):
    """A path to which requests are sent with POST."""

    name: str
    """Tells its requests from those of other endpoints with the same Idempotency-Key."""
    path: str
    """Without `/v1`, which clients may write or leave out."""
    ask: type[A]
    parse: Callable[[bytes], A]
    """Raises Problem. A function of a module: a large body is parsed in a child process."""


@dataclass(frozen=True)
class Endpoint(Posted[A]):
    """A path at which answers are asked for."""

    encoder: Callable[[Head, A], Encoder] | None
    """None: no answer is streamed, and `parse` refuses who asks for one."""
    collector: Callable[[Head, A], Collector]
    forwards: tuple[str, ...] = ()
    """The request headers that go to Poe, where it speaks the dialect. Names in lower case."""
    archive: Archive[A] | None = None
    """None: its answers are not kept."""


@dataclass(frozen=True)
class Inquiry(Posted[A]):
    """A path at which a request is answered from its body alone, without an upstream."""

    reply: Callable[[A], Reply]


Render = Callable[[ModelTable, tuple[str, ...], str, str], bytes]
"""Takes the models, those that the client may use (none: all), the rest of the path, and the
query. Raises Problem."""


@dataclass(frozen=True)
class Page:
    """A path at which the models are read with GET.

    One that ends in `/` also stands for all paths below it; `render` gets the rest of the path.
    """

    path: str
    render: Render
    is_open: bool = False
    """Whether it is shown to clients without a key, too."""


class Dialect(Protocol):
    """One API that clients speak."""

    @property
    def name(self) -> str: ...

    @property
    def mark(self) -> str:
        """The request header by which its clients are known; empty: there is none.

        It decides at paths that several dialects serve, or none.
        """
        ...

    @property
    def longest_silence(self) -> float:
        """The seconds for which its streams may be silent, whatever the setting says."""
        ...

    @property
    def endpoints(self) -> tuple[Endpoint[Any], ...]: ...

    @property
    def inquiries(self) -> tuple[Inquiry[Any], ...]: ...

    @property
    def pages(self) -> tuple[Page, ...]: ...

    @property
    def exposed(self) -> tuple[str, ...]:
        """The names of its headers that a web page may read."""
        ...

    def headers(self, request_id: str) -> Headers:
        """Return headers of every response, beside those of all dialects."""
        ...

    def error(self, problem: Problem, request_id: str) -> Reply:
        """Give a problem its status, headers and body, before the first byte of an answer."""
        ...

    def stamp(self, frame: Frame, event_id: str) -> Frame:
        """Put into a frame the id from which its stream can be resumed."""
        ...

    def rate_limit_headers(self, limit: RateLimit) -> Headers:
        """Return the headers that tell a client how often it may ask."""
        ...

    def keep_alive(self, position: int | None = None, eta: float | None = None) -> bytes:
        """Return what keeps an idle stream open.

        `position` is the request's in the queue, from 1, while it waits; `eta` is in seconds.
        """
        ...
