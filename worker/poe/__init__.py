"""The ground that every upstream stands on: HTTP, server-sent events, errors, catalogue, uploads.

Knows no upstream in particular: neither `worker.bot` nor `worker.openai` nor the routing.
"""
