"""What to say of a path that is not served: clients try other APIs, and base URLs are mistyped."""

from __future__ import annotations

_NOT_OFFERED = {
    "embeddings": "Poe has no embeddings, so this server has none either.",
    "audio": "Audio routes are not offered here; audio bots answer at /v1/chat/completions.",
    "videos": "Video routes are not offered here; video bots answer at /v1/chat/completions.",
    "images": "Of the images API, only /v1/images/generations is offered here.",
    "files": "This server keeps no files; send them in the messages, as parts of type `file`.",
    "uploads": "This server keeps no files; send them in the messages, as parts of type `file`.",
    "dashboard": "There is no billing here.",
    **dict.fromkeys(
        (
            "assistants",
            "batches",
            "conversations",
            "edits",
            "engines",
            "evals",
            "fim",
            "fine-tunes",
            "fine_tuning",
            "moderations",
            "organization",
            "realtime",
            "rerank",
            "threads",
            "vector_stores",
        ),
        "Poe offers nothing of the kind, so this server does not either.",
    ),
}
"""What to say of routes of other APIs that clients try on a server like this one."""

_ENDPOINTS = (
    "chat/completions",
    "completions",
    "images/generations",
    "messages",
    "models",
    "responses",
)
"""What a client adds to its base URL, and people therefore copy into it."""


def advice(path: str) -> str:
    """Return what to do instead of asking at this path, or nothing."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["v1", "v1", *_]:
            return "The base URL has /v1 twice: your client adds it, or you did."
        case _ if endpoint := _endpoint_within(parts):
            return (
                f"The base URL ends in /v1: take {endpoint} off it, which your client adds itself."
            )
        case ["v1", name, *_] | [name, *_] if name in _NOT_OFFERED:
            return _NOT_OFFERED[name]
        case ["v1", *_]:
            return ""
        case _:
            return "The base URL ends in /v1."


def _endpoint_within(parts: list[str]) -> str:
    """Return the endpoint that a base URL ends in, so that something follows it; else nothing."""
    path = "/".join(part for part in parts if part != "v1") + "/"
    return next((f"/{each}" for each in _ENDPOINTS if path.startswith(f"{each}/")), "")
