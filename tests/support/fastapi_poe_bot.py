"""Bots served by Poe's own server library, so that we do not only agree with ourselves.

`python -m tests.support.fastapi_poe_bot [--port N]` prints `fastapi_poe bots on
http://127.0.0.1:PORT` and serves until SIGTERM or SIGINT:

/bot/Echo       the last user message, word by word
/bot/Oddities   suggested replies, text that replace_response takes back, and an error at the end
                if the question is "fail"

Quirks of the library (0.0.83), which Poe's real answers need not share: lines end in CRLF; an
`error` event is followed by `done`, so the first of the two counts; without an `Authorization`
header it answers 401 even with `allow_without_key`, but any key will do; a query without `user_id`,
`conversation_id` and `message_id` is a 500; an exception of a bot is an `error` event with status
200; it prints warnings to standard output when it starts, after the line above.
"""

from __future__ import annotations

import argparse
import socket
import sys
import warnings
from collections.abc import AsyncIterator

with warnings.catch_warnings():
    # The library's models are declared as an older pydantic wanted it.
    warnings.simplefilter("ignore")
    import fastapi_poe as fp
import uvicorn


class Echo(fp.PoeBot):
    async def get_response(self, request: fp.QueryRequest) -> AsyncIterator[fp.PartialResponse]:
        for position, word in enumerate(request.query[-1].content.split(" ")):
            yield fp.PartialResponse(text=f" {word}" if position else word)


class Oddities(fp.PoeBot):
    async def get_response(
        self, request: fp.QueryRequest
    ) -> AsyncIterator[fp.PartialResponse | fp.ErrorResponse]:
        yield fp.PartialResponse(text="Thinking...", is_replace_response=True)
        yield fp.PartialResponse(text="You said: ", is_replace_response=True)
        yield fp.PartialResponse(text="Tell me more", is_suggested_reply=True)
        yield fp.PartialResponse(text=request.query[-1].content)
        if request.query[-1].content == "fail":
            yield fp.ErrorResponse(
                text="You do not have enough points.",
                error_type="insufficient_fund",
                allow_retry=False,
            )


def main() -> None:
    parser = argparse.ArgumentParser("fastapi_poe_bot")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    port = parser.parse_args().port
    app = fp.make_app(
        [Echo(path="/bot/Echo"), Oddities(path="/bot/Oddities")], allow_without_key=True
    )
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        # Connections wait in the backlog, so this is true before uvicorn has started.
        sys.stdout.write(f"fastapi_poe bots on http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
