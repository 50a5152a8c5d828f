"""A simulated Poe for tests: its four interfaces, its limits, its failures and its quirks.

    async with SimulatedPoe(Settings(enforce=True, rate_limit=10)) as poe:
        ...  # talk to poe.url
        assert poe.record.violations == []

or `python -m simulated_poe --port 8080`. Documented behaviour is simulated as documented;
where Poe's behaviour is unknown, there is a setting (see `settings`).

Keys. `sim-` and anything is a valid key with an account of its own; `sim-bad…` is refused (401),
`sim-broke…` has no points (402), `sim-limited…` is always over its limit (429, Retry-After: 2).

Routes. POST /bot/{bot}, POST /v1/chat/completions, POST /v1/responses,
POST /v1/messages, GET /v1/models, GET /usage/current_balance, GET /usage/points_history,
POST /poe_api/file_upload_3RD_PARTY_POST; and for tests GET and DELETE /_simulated/record, and
PATCH /_simulated/catalogue with {"status": of GET /v1/models, "models": [more of them, as
{"display_name": …, "plays": "count", "tools": true, "parameters": […]}]}.

Points. A call that begins costs its tokens at the prices of the catalogue, or what a request costs
there; of a model without a price, the setting `price`. It is charged when it ends, however it
does, and is then in the account's points history. `SimulatedPoe.history` can have that come late,
lack the breakdown, repeat rows or fail.

Validation. /bot refuses with 400 what Poe's own library would not send: attachments need url,
content_type and name; tools, tool_calls and tool_results must be complete, and every call must
have a result and vice versa. /v1 accepts only OpenAI's fields and those that the model declares,
with valid values; content parts of the types text, image_url, file and input_audio (which is
stripped); a `tool_choice` among the tools. Some models refuse `temperature` (o4-mini,
GPT-5.4-Pro), OpenAI's models refuse `max_tokens` below 16. Words are counted as tokens:
`max_tokens` words end an answer with the finish reason `length`; `stop` ends it too.

/v1/messages, for models that list it (else 500), accepts Anthropic's fields, tools of the client's
only, `adaptive` thoughts where the model declares `output_effort`, and messages of the role
`system` if the setting `system_messages` says so. It verifies signatures, hidden thoughts, and that
a round of tools begins with a thought if there are any. Who asks for thoughts gets one; if the
question has the word "redacted", also a hidden one. What is marked by `cache_control` is written to
a cache of the account's, and read from there the next time, as `usage` says.

/v1/responses accepts only the fields of Poe's page, ignores `instructions`, and fails with a
`previous_response_id`. OpenAI's models refuse a strict schema beyond OpenAI's subset, and JSON
without a schema if the input lacks the word. Where `text.format` asks for JSON, models answer as
Json does, unless the setting `formats` is "ignored". Thoughts are told, as a summary, only to who
asks for one.

Uploads need the bare key (else 403 and HTML) and fail if the file's name says so: fail-500 and
other statuses, fail-html, fail-empty (no URL). `record.uploads` lists all of them.

Tools. Poe's models that list `tools` behave like Tool when a request has tools; then, as with Tool
and Agent, text and calls are OpenAI chunks in `json` events of /bot. All other bots ignore tools.

Bots are named in any case; a hyphen introduces a variant. Numbers are read from the last user
message ("count to 20 every 50ms", "1000 words, seed 7", "wait 3"), or from its parameters
(`count`, `words`, `seed`, `seconds`, `events`, `every` in seconds); on /v1 these are fields.

Echo            the last user message in pieces of five characters; -notools: refuses tools with
                an error event
Count           1 2 3 … `count`
Long            `long_text(seed, words)`: `words` words
Think           placeholders by replace_response, then the answer
Reason          the thoughts as a Markdown quote, then the answer; -tags: in <think>; -only: nothing
                after the thoughts
Replace         the text, growing by replace_response; -rewrite: replaces text already sent
Draw            placeholder, file event, Markdown that refers to it; -bare: the file and no text;
                -video, -audio: a file of that kind
Suggest         suggested replies between the text
Roles           JSON of what was received: the body, and `parameters` of the last user message
See             a line for each attachment or non-text part: "1. NAME (TYPE): URL", with
                "N characters" in place of a data: URL
Tool            calls the tools named in the last user message, all at once: any number of
                `call NAME {"json": "object"}`; without any, the first tool with minimal arguments.
                Given the results, answers with lines of "NAME says: RESULT". -talk: text before
                the calls; -broken: arguments are not JSON; -stop: the finish reason is `stop`
Agent           performs the `call NAME {…}` steps of the last user message that has some, one per
                round, then says "All steps are done: N. The last one gave: RESULT". NAME and the
                names of arguments may be parts of the real ones: read {"path": …} matches
                ReadFile(filePath); other required arguments are made up
Json            the smallest JSON object that matches the first schema in the system messages, or
                in the user's; else {"answer": TEXT}. -fenced: in a code block with prose; -broken:
                invalid JSON until the conversation contains it; -wrong: a wrong object, likewise;
                -never: always broken
Private         echoes, but is only at /bot and not in the catalogue
Silent          silent for `seconds`, then answers; -open: sends the head first; -stall: sends some
                text first; -ping: sends `: ping` comments meanwhile; -pingevent: ping events
Nodone          echoes, and ends without a `done` event
Cut             drops the connection after `events` events; Cut-3 after 3, Cut-0 before the head
Garbage         broken JSON between good text; -line: a line of 2 MiB; -utf8: invalid bytes;
                -unknown: unknown events; -type: data of wrong types; -empty: an event with empty
                data; -html: a page with status 200
Empty           a `done` event and no text
Fail            the failure named by the variant or the last user message: -400 -401 -402 -403
                -404 -408 -413 -429 -500 -502 -503 -529 (each with -a or -b for the shape of its
                body, as Fail-429-b), -html; as the first event: -internal, -insufficient_fund,
                -user_message_too_long, -user_caused_error, -privacy_authorization_error,
                -subscription_required (each with -retry or -noretry); -late after some text, also
                with any of these, as Fail-late-insufficient_fund; -done: error, then done
Flaky           fails like Fail-500, or as the variant says, the first time it receives a
                conversation; then echoes
Script          plays the JSON list in the last user message: {"event": name, "data": any},
                {"raw": text}, {"sleep": seconds}, {"cut": true},
                {"status": n, "headers": {}, "body": any}
Emulate         answers with the texts of the JSON list in the last user message that has one, one
                per round: what a model would write that a prompt has taught to call tools
"""

from simulated_poe.accounts import fingerprint
from simulated_poe.catalogue import Catalogue, Model
from simulated_poe.record import Call, Record, Upload, Violation
from simulated_poe.server import SimulatedPoe
from simulated_poe.settings import KeySettings, Settings, load
from simulated_poe.words import checksum, long_text

__all__ = [
    "Call",
    "Catalogue",
    "KeySettings",
    "Model",
    "Record",
    "Settings",
    "SimulatedPoe",
    "Upload",
    "Violation",
    "checksum",
    "fingerprint",
    "load",
    "long_text",
]
