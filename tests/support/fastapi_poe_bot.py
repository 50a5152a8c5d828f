"""Bots served by Poe's own server library, an independent check of our reading of the protocol.

`python -m tests.support.fastapi_poe_bot [--port N]` prints `fastapi_poe bots on
http://127.0.0.1:PORT` and serves until SIGTERM or SIGINT:

/bot/Echo       the last user message, word by word
/bot/Reader     JSON of what the library has read of the query: messages, tools, calls and results
/bot/Caller     calls every tool that it is given, for Paris; with results, as Reader
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
import json
import socket
import sys
import warnings
from collections.abc import AsyncIterator

with warnings.catch_warnings():
    # The library's models are written for an older pydantic, which warns.
    warnings.simplefilter("ignore")
    import fastapi_poe as fp
import uvicorn
from sse_starlette import ServerSentEvent


class Echo(fp.PoeBot):
    async def get_response(self, request: fp.QueryRequest) -> AsyncIterator[fp.PartialResponse]:
        for position, word in enumerate(request.query[-1].content.split(" ")):
            yield fp.PartialResponse(text=f" {word}" if position else word)


class Reader(fp.PoeBot):
    async def get_response(
        self, request: fp.QueryRequest
    ) -> AsyncIterator[fp.PartialResponse | ServerSentEvent]:
        read = {"query", "tools", "tool_calls", "tool_results", "skip_system_prompt"}
        yield fp.PartialResponse(text=request.model_dump_json(include=read))


class Caller(Reader):
    async def get_response(
        self, request: fp.QueryRequest
    ) -> AsyncIterator[fp.PartialResponse | ServerSentEvent]:
        if request.tool_results or not request.tools:
            async for response in super().get_response(request):
                yield response
            return
        yield _chunk({"role": "assistant", "content": None})
        last = len(request.tools) - 1
        for index, tool in enumerate(request.tools):
            function: dict[str, str | None] = {"name": tool.function.name, "arguments": ""}
            call = {"index": index, "id": f"c{index}", "type": "function", "function": function}
            yield _chunk({"content": None, "tool_calls": [call]})
            function = {"name": None, "arguments": '{"city":"Paris"}'}
            rest = {"index": index, "id": None, "type": None, "function": function}
            # Poe's own client ignores deltas that come with a finish reason; ours must not.
            yield _chunk({"tool_calls": [rest]}, "tool_calls" if index == last else None)
        usage = {"prompt_tokens": 7, "completion_tokens": 5}
        yield ServerSentEvent(event="json", data=json.dumps({"choices": [], "usage": usage}))


def _chunk(delta: dict[str, object], finish_reason: str | None = None) -> ServerSentEvent:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return ServerSentEvent(event="json", data=json.dumps({"choices": [choice]}))


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
    bots = [bot(path=f"/bot/{bot.__name__}") for bot in (Echo, Reader, Caller, Oddities)]
    app = fp.make_app(bots, allow_without_key=True)
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        # Connections wait in the backlog, so this may be printed before uvicorn has started.
        sys.stdout.write(f"fastapi_poe bots on http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
