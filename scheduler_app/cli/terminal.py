"""What a terminal can do that a pipe cannot: by rich where that is installed (the extra 'cli'), else plainly."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal(*, stderr: bool = False) -> bool:
    """Whether a stream is a terminal on which the cursor can be moved."""
    stream = sys.stderr if stderr else sys.stdout
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def console(*, stderr: bool = False) -> Console | None:
    """Return rich's console on a stream that is a terminal; None where it is none, or rich is not installed."""
    if is_terminal(stderr=stderr):
        with suppress(ImportError):
            from rich.console import Console

            return Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    return None
