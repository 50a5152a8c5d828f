"""OpenAI's errors, with advice for who asks at a path that is not served."""

from __future__ import annotations

from dataclasses import replace

from gateway.dialect import Reply
from gateway.openai.advice import advice
from gateway.problems import Kind, Problem
from gateway.render import openai_errors


def reply(problem: Problem) -> Reply:
    """Return the response for a problem."""
    return openai_errors.reply(_advised(problem))


def body(problem: Problem) -> str:
    """Render the body, as ASCII."""
    return openai_errors.body(_advised(problem))


def _advised(problem: Problem) -> Problem:
    if problem.kind is not Kind.UNKNOWN_PATH:
        return problem
    return replace(problem, message=f"{problem.message} {advice(problem.path)}".rstrip())
