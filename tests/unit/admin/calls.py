"""Functions that the tests of the admin schedule and never run."""

from __future__ import annotations

from typing import Any


def remind(*args: Any, **kwargs: Any) -> None:
    """Take whatever is passed."""


def tidy() -> None:
    """Take nothing."""
