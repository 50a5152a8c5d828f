"""Anthropic's API: Messages, the estimate of their tokens, and the list of models.

Exports one object, `ANTHROPIC` in `dialect`. Pure.
"""
