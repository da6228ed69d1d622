"""Functions that the tests of the admin schedule and never run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scheduler_app import Secret, task


def remind(*args: Any, **kwargs: Any) -> None:
    """Take whatever is passed."""


def tidy() -> None:
    """Take nothing."""


@task(name="mail.welcome", aliases=("mail.hello",), attempts=3, redact=("pin",))
def welcome(
    user_id: int, name: str = "ann", *, at: datetime | None = None, token: Secret[str] = "", pin: str = ""
) -> None:
    """Welcome a user.

    Nothing is sent.
    """
