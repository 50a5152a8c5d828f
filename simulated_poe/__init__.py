"""A Poe to test against: both of its dialects, its limits, its failures and its oddities.

    async with SimulatedPoe(Settings(enforce=True, rate_limit=10)) as poe:
        ...  # talk to poe.url
        assert poe.record.violations == []

or `python -m simulated_poe --port 8080`. What is public knowledge is simulated as it is known;
what is not is a setting (see `settings`).

Keys. `sim-` and anything is a good key with an account of its own; `sim-bad…` is refused (401),
`sim-broke…` has no points (402), `sim-limited…` is always over its limit (429, Retry-After: 2).

Routes. POST /bot/{bot}, POST /v1/chat/completions, GET /v1/models, GET /usage/current_balance,
POST /poe_api/file_upload_3RD_PARTY_POST; and for tests GET and DELETE /_simulated/record, and
PATCH /_simulated/catalogue with {"status": of GET /v1/models, "models": [more of them, as
{"display_name": …, "plays": "count", "tools": true, "parameters": […]}]}.

Checks. What Poe's own library would not send to /bot is refused with 400: attachments need url,
content_type and name; tools, tool_calls and tool_results are whole, and of the latter two each
has its other. /v1 takes only fields that are OpenAI's or that the model declares, with values
that it admits; parts of the kinds text, image_url, file and input_audio (which is stripped); a
`tool_choice` among the tools. Some models refuse `temperature` (o4-mini, GPT-5.4-Pro), those of
OpenAI `max_tokens` below 16. Words stand for tokens: `max_tokens` ends an answer after so many,
with the finish reason `length`; `stop` ends it too.

Uploads take the bare key (else 403 and HTML) and fail if the file's name says so: fail-500 and
other statuses, fail-html, fail-empty (no URL). `record.uploads` has them all.

Tools. Models of Poe's that list `tools` do as Tool when given some; then, as with Tool and Agent,
text and calls are OpenAI chunks in `json` events of /bot. All other bots take no notice of tools.

Bots, by name in any case; what follows a hyphen is a variant. Numbers are read from the last user
message ("count to 20 every 50ms", "1000 words, seed 7", "wait 3"), or from its parameters
(`count`, `words`, `seed`, `seconds`, `events`, `every` in seconds); on /v1 these are fields.

Echo            the last user message in pieces of five characters; -notools: refuses tools with
                an error event
Count           1 2 3 … `count`
Long            `words` words that `long_text(seed, words)` makes too
Think           placeholders by replace_response, then the answer
Reason          the thoughts as a Markdown quote, then the answer; -tags: in <think>; -only: nothing
                after the thoughts
Replace         the text grown by replace_response; -rewrite: takes back what was sent as text
Draw            placeholder, file event, Markdown that refers to it; -bare: the file and no text;
                -video, -audio: a file of that kind
Suggest         suggested replies between the text
Roles           JSON of what was received: the body, and `parameters` of the last user message
See             a line for each attachment or part that is no text: "1. NAME (TYPE): URL", where
                "N characters" stand for a data: URL
Tool            calls what the last user message says, all at once: `call NAME {"json": "object"}`
                any number of times, else the first tool with the least that its schema takes;
                once the results are there, "NAME says: RESULT" in lines. -talk: text before the
                calls; -broken: arguments are no JSON; -stop: the finish reason is `stop`
Agent           performs the `call NAME {…}` steps of the last user message that has some, one per
                round, then says "All steps are done: N. The last one gave: RESULT". NAME and the
                names of arguments may be parts of the real ones: read {"path": …} fits
                ReadFile(filePath); what else is required is made up
Json            the smallest JSON object that matches the first schema in the system messages, or
                in the user's; else {"answer": TEXT}. -fenced: in a code block with prose; -broken:
                no JSON, until it stands in the conversation; -wrong: another object, likewise;
                -never: always broken
Private         echoes, but only at /bot and in no catalogue
Silent          nothing for `seconds`, then an answer; -open: after the head; -stall: after some
                text; -ping: `: ping` comments meanwhile; -pingevent: ping events
Nodone          echoes, and ends without done
Cut             drops the connection after `events` events; Cut-3 after 3, Cut-0 before the head
Garbage         broken JSON between good text; -line: a line of 2 MiB; -utf8: invalid bytes;
                -unknown: unknown events; -type: data of wrong types; -empty: an event with empty
                data; -html: a page with status 200
Empty           done and no text
Fail            the failure that the variant names, or the last user message: -400 -401 -402 -403
                -404 -408 -413 -429 -500 -502 -503 -529 (each with -a or -b for the shape of its
                body, as Fail-429-b), -html; as the first event: -internal, -insufficient_fund,
                -user_message_too_long, -user_caused_error, -privacy_authorization_error,
                -subscription_required (each with -retry or -noretry); -late after some text, also
                with any of these, as Fail-late-insufficient_fund; -done: error, then done
Flaky           fails as Fail-500, or as the variant says, when first asked a conversation; then
                echoes
Script          plays the JSON list in the last user message: {"event": name, "data": any},
                {"raw": text}, {"sleep": seconds}, {"cut": true},
                {"status": n, "headers": {}, "body": any}
Emulate         says the texts of the JSON list that the last user message with one holds, one per
                round: what a model would write that a prompt has taught to call tools
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
