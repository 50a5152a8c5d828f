"""The messages that cross Redis, as msgpack arrays.

Neither OpenAI's dialect nor Poe's is spoken here. A gateway and a worker may be one version
apart: fields are only ever appended, each with a default, and a reader ignores elements that it
does not know. Changing what is here changes bytes in production; the golden tests say so.

One answer is a sequence of events that ends with exactly one `Finished` or `Failed`.
"""

from __future__ import annotations

import enum
from typing import Any, Literal, TypeGuard

import msgspec

from contract.prices import Price


class FailureKind(enum.StrEnum):
    """Why a job failed, as far as its client is concerned. The set is closed."""

    INVALID_REQUEST = "invalid_request"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_REFUSED = "content_refused"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    NO_POINTS = "no_points"
    NO_TOKEN = "no_token"  # every Poe token is disabled or unfit  # noqa: S105
    RATE_LIMITED = "rate_limited"
    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"  # Redis is gone
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_EMPTY = "upstream_empty"
    INTERRUPTED = "interrupted"  # the worker died, or was told to stop
    CANCELLED = "cancelled"
    INTERNAL = "internal"


class Started(msgspec.Struct, frozen=True, array_like=True, tag="started"):
    """An attempt begins. Not output: another attempt may follow until the first output."""

    worker: str
    attempt: int
    bot: str
    token: str = ""
    """The token's label, never the token."""
    waited: float = 0.0
    """Seconds between the job's arrival in the queue and this attempt."""


class Text(msgspec.Struct, frozen=True, array_like=True, tag="text"):
    """More of the answer."""

    text: str


class Replaced(msgspec.Struct, frozen=True, array_like=True, tag="replaced"):
    """All text so far is void; the answer is now this text."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, array_like=True, tag="reasoning"):
    """More of what the model thinks before it answers."""

    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, array_like=True, tag="tool"):
    """A fragment of one tool call; `id` and `name` only in the call's first fragment."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """Why there is no answer of the form that was asked for; `Finished` follows."""

    text: str


class File(msgspec.Struct, frozen=True, array_like=True, tag="file"):
    """A file that the upstream made. `inline_ref` is how the text refers to it, if it does."""

    url: str
    name: str
    media_type: str
    inline_ref: str = ""


class Usage(msgspec.Struct, frozen=True, array_like=True, tag="usage"):
    """Token counts as the upstream reports them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    """Those of the prompt that the upstream had cached. None: it does not say."""
    reasoning_tokens: int | None = None
    """Those of the completion that are thoughts. None: it does not say."""
    written_tokens: int | None = None
    """Those of the prompt that the upstream has cached now. None: it does not say."""


class Verbatim(msgspec.Struct, frozen=True, array_like=True, tag="verbatim"):
    """An event of an upstream that speaks the client's own dialect, as it came.

    These are then the whole answer, in order, and any other output beside them only sums it up:
    `Usage` for the log, `Finished` for its end. An `error` of the upstream is never one of these,
    but a `Failed`.
    """

    name: str
    """As in its `event:` line."""
    data: str
    """One JSON document, on one line."""
    holds: Literal["", "text", "thought", "call"] = ""
    """What of the answer it adds to; empty: to none of these."""


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Finished(msgspec.Struct, frozen=True, array_like=True, tag="finished"):
    """The answer is complete."""

    reason: FinishReason = "stop"
    stop: str = ""
    """The stop sequence that has ended it; empty: none, or one that the upstream does not tell."""


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """The answer will not be completed. `message` is meant for the client's eyes."""

    kind: FailureKind
    message: str
    retry_after: float | None = None
    """Seconds after which another try may succeed."""
    charged: bool = False
    """Poe may have charged points for the attempt, so a blind retry may cost them twice."""
    param: str = ""
    """The field of the request that is at fault, in OpenAI's words, if one is."""


Event = (
    Started
    | Text
    | Replaced
    | Reasoning
    | ToolCallDelta
    | Refusal
    | File
    | Usage
    | Finished
    | Failed
    | Verbatim
)


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a job's log: the events of one flush, under the log id `<epoch>-<seq>`."""

    job: str
    epoch: int
    seq: int
    events: tuple[Event, ...]


Frame = list[Record]
"""What one publish carries: records of any number of jobs of one gateway."""


class ToolCall(msgspec.Struct, frozen=True, array_like=True):
    """A complete tool call in the history of a conversation."""

    id: str
    name: str
    arguments: str


class TextPart(msgspec.Struct, frozen=True, array_like=True, tag="text"):
    """A block of text within a message."""

    text: str


class MediaPart(msgspec.Struct, frozen=True, array_like=True, tag="media"):
    """An image, a recording or another file within a message."""

    kind: Literal["image", "audio", "file"]
    url: str
    """`https:`, `http:`, or, from a gateway of an earlier version, `data:`. Empty with a digest."""
    media_type: str = ""
    """As MIME names it. Empty: not known."""
    name: str = ""
    detail: str = ""
    """How closely an image is to be looked at, in OpenAI's words."""
    digest: str = ""
    """The SHA-256 of the content, in hex: Redis has its bytes in the blob of that name."""
    size: int = 0
    """The content's bytes, where `digest` is set."""


Part = TextPart | MediaPart


class Message(msgspec.Struct, frozen=True, array_like=True):
    """One message of the conversation; its content is a string unless more than text is in it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[Part, ...]
    name: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """All text of the content, its blocks on lines of their own."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def media(self) -> tuple[MediaPart, ...]:
        """All of the content that is not text."""
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if isinstance(part, MediaPart))


class Tool(msgspec.Struct, frozen=True, array_like=True):
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    """A JSON schema of its arguments. None: it takes none."""
    strict: bool = False
    """Whether the arguments must match the schema."""


class Format(msgspec.Struct, frozen=True, array_like=True):
    """The answer must be a JSON object, and match `schema` if there is one."""

    name: str = ""
    schema: dict[str, Any] | None = None


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""How much a model may think before it answers, from least to most."""


class Options(msgspec.Struct, frozen=True, array_like=True):
    """The client's parameters, in neutral terms. None or empty: not given."""

    temperature: float | None = None
    stop: tuple[str, ...] = ()
    logit_bias: dict[str, float] | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str = ""
    """One of `EFFORTS`."""
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["", "auto", "none", "required"] = ""
    tool_name: str = ""
    """The one tool that must be called; `tool_choice` is then `required`."""
    parallel_tool_calls: bool | None = None
    format: Format | None = None
    extra: dict[str, Any] = {}
    """Fields of the request that OpenAI does not know: parameters of the model's own."""
    summary: str = ""
    """How the model is to sum up its thoughts, in OpenAI's words: `auto`, `concise`, `detailed`."""
    names_stop: bool = False
    """Whether the client is told which stop sequence ends the answer: `Finished.stop`."""
    thinking_budget: int | None = None
    """Tokens that a model may think, for those that know a budget; others go by the effort."""

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools that the choice leaves."""
        if not self.tools or self.tool_choice == "none":
            return ()
        return tuple(tool for tool in self.tools if self.tool_name in ("", tool.name))


class Native(msgspec.Struct, frozen=True, array_like=True):
    """A request in its client's own words, for an upstream that speaks the same dialect."""

    path: str
    """Where the upstream speaks it, as a model's `endpoints` list it: `/v1/messages`."""
    body: tuple[bytes, ...]
    """The JSON as the client sent it, in pieces, of which there is one more than of blobs."""
    blobs: tuple[str, ...] = ()
    """The digests of those blobs whose base64 stands between the pieces, in order."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of the request that are meant for the upstream, their names in lower case."""


class Job(msgspec.Struct, frozen=True, array_like=True, weakref=True):
    """One request for one answer."""

    id: str
    client: str
    """The client's fingerprint, never its access token."""
    model: str
    """What the upstream calls the model; aliases are resolved by the gateway."""
    messages: tuple[Message, ...]
    options: Options = Options()
    created: float = 0.0
    """Unix time in seconds at which the gateway accepted the request."""
    stream: bool = False
    """Whether the client reads along."""
    usage: bool = False
    """Unused. The version before reads a bool here, so no other field may take the place yet."""
    native: Native | None = None
    """The same request, untranslated, where an upstream may understand it. It has the client's
    name of the model."""


class TokenCounts(msgspec.Struct, frozen=True, array_like=True):
    """A worker's tokens by what they can do now."""

    free: int = 0
    cooling: int = 0
    busy: int = 0
    parked: int = 0
    disabled: int = 0


class WorkerReport(msgspec.Struct, frozen=True, array_like=True):
    """What a worker reports with every heartbeat."""

    id: str
    version: str
    """Of the program. Nobody reads it, but what follows is found by its place."""
    tokens: TokenCounts
    running: int
    capacity: float = 0.0
    """Starts per second that the limits of its free, cooling and busy tokens allow."""
    others: int = 0
    """Tokens of its configuration that it does not own, and that are not known to be set aside."""
    unowned: int = 0
    """Tokens of its configuration that no worker has owned for a while."""
    lease_life: float = 6.0
    """Seconds without a heartbeat after which it is taken for dead."""


class Model(msgspec.Struct, frozen=True, array_like=True):
    """One entry of the upstream's catalogue."""

    id: str
    created: int
    """Unix time in seconds."""
    owned_by: str
    display_name: str = ""
    context_length: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    endpoints: tuple[str, ...] = ()
    """Paths such as `/v1/chat/completions` that the upstream lists for it: most have none."""
    features: tuple[str, ...] = ()
    """Such as `tools` and `web_search`."""
    parameters: dict[str, dict[str, Any]] = {}
    """The parameters that it declares, each with its JSON schema as the upstream gives it."""
    reasons: bool = False
    """Whether the upstream says that it thinks, or can, before it answers."""
    price: Price | None = None
    """None: the upstream does not say."""


class Catalogue(msgspec.Struct, frozen=True, array_like=True):
    """The models of the upstream, as one worker last fetched them."""

    fetched: float
    models: tuple[Model, ...]


# These are asked of every event on its way, and a comparison of types is the quickest answer.
_TERMINAL = frozenset({Finished, Failed})


def is_output(event: Event) -> bool:
    """Return whether a client may have seen something of the answer after this event."""
    return type(event) is not Started


def is_terminal(event: Event) -> TypeGuard[Finished | Failed]:
    """Return whether this event ends the job."""
    return type(event) in _TERMINAL
