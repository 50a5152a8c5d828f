"""The screens, each a module: what it shows, and what its forms do."""

from __future__ import annotations

from admin.screens import accounts, keys, now, trial, usage
from admin.screens.screen import Screen, Services

__all__ = ["SCREENS", "Screen", "Services"]

SCREENS = (now.SCREEN, keys.SCREEN, accounts.SCREEN, usage.SCREEN, trial.SCREEN)
"""In the order of the navigation; the first is the one to begin with."""
