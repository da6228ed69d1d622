"""Named places in a job's life where a fault would hurt most; a test's process may act there.

Nothing happens in production: no environment variable and no setting reaches this, only code that
calls `install`. The kill test does, in processes of its own, and kills them at each place.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "insert-before-commit",
    "insert-after-commit",
    "fire-before-commit",
    "fire-after-commit",
    "claim-before-commit",
    "claim-after-commit",
    "submit",
    "start",
    "end",
    "settle-before-commit",
    "settle-after-commit",
    "release-before-commit",
    "rescue-before-commit",
    "rescue-after-commit",
)

_hook: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Say that this place is reached."""
    if _hook is not None:
        _hook(point)


def install(hook: Callable[[str], None] | None) -> None:
    """Have `hook` called with the name of each place that is reached; None takes it out again."""
    global _hook
    _hook = hook
