"""What a model can do, by its entry in Poe's catalogue, and what a job asks of it."""

from __future__ import annotations

from contract.messages import Job, Model
from worker.poe.attachments import is_sent_along


def makes_media(model: Model | None) -> bool:
    """Return whether a model makes more than text."""
    return model is not None and any(made != "text" for made in model.output_modalities)


def lacks_tools(job: Job, model: Model | None) -> bool:
    """Return whether tools are offered to a model that, by the catalogue, calls none."""
    return bool(job.options.callable_tools) and model is not None and "tools" not in model.features


def has_linked_files(job: Job) -> bool:
    """Return whether a file other than an image is given by its address."""
    parts = (part for message in job.messages for part in message.media)
    return any(part.kind != "image" and not is_sent_along(part) for part in parts)
