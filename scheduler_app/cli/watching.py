"""Looking again and again, until Ctrl-C: drawn in place on a terminal, a line for each look in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from threading import Event
from typing import NoReturn

from ..errors import StoreError
from .output import echo, note
from .terminal import console, is_terminal

HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def keep_looking(frame: Callable[[], None], line: Callable[[], str], seconds: float) -> NoReturn:
    """Show what `frame` writes, or `line` where stdout is no terminal, every so many seconds; ended by Ctrl-C.

    While the database is away, its error is shown instead.
    """
    rest = Event()
    with _screen() as show:
        while True:
            if show is None:
                _write_line(line)
            else:
                show(_drawn(frame))
            rest.wait(seconds)


def _write_line(line: Callable[[], str]) -> None:
    try:
        echo(line())
    except StoreError as error:
        note(f"Error: {error}")


class _Drawn(StringIO):
    """Takes what is meant for a terminal, colours and all."""

    def isatty(self) -> bool:
        return True


def _drawn(frame: Callable[[], None]) -> str:
    """Return what a frame writes, its notes too."""
    drawn = _Drawn()
    with redirect_stdout(drawn), redirect_stderr(drawn):
        try:
            frame()
        except StoreError as error:
            note(f"Error: {error}")
    return drawn.getvalue()


@contextmanager
def _screen() -> Iterator[Callable[[str], None] | None]:
    """Give what draws a text in the place of the one before; None where stdout is no terminal."""
    terminal = console()
    if terminal is None:
        yield _redraw if is_terminal() else None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=terminal, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield lambda text: live.update(Text.from_ansi(text), refresh=True)


def _redraw(text: str) -> None:
    lines = "".join(f"{line}{REST_OF_LINE}\n" for line in text.splitlines())
    sys.stdout.write(f"{HOME}{lines}{REST_OF_SCREEN}")
    sys.stdout.flush()
