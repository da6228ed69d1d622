"""Text as a terminal shows it: how wide it is, cut to a width, and with nothing in it that steers the terminal."""

from __future__ import annotations

from unicodedata import category, combining, east_asian_width

import click

from ..jobs import JobState

COLOURS = {
    JobState.RUNNING: "cyan",
    JobState.CLAIMED: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.QUARANTINED: "red",
    JobState.MISSED: "yellow",
    JobState.PAUSED: "yellow",
    JobState.CANCELLED: "bright_black",
}


def printable(text: str, keep: str = "") -> str:
    """Return text with its control characters written out, but those in `keep`: a stored error may hold any."""
    return "".join(_written_out(c) if category(c) in ("Cc", "Cf", "Cs") and c not in keep else c for c in text)


def is_text(word: str) -> bool:
    """Whether a word of the command line came as characters, not as bytes that mean none."""
    return not any(category(c) == "Cs" for c in word)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def width_of(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, width: int) -> str:
    """Return a text filled with spaces to a width; a longer one is left as it is."""
    return text + " " * (width - width_of(text))


def cut(text: str, width: int, *, keep_end: bool = False) -> str:
    """Return a text cut to a width, with an ellipsis where something is missing."""
    if width_of(text) <= width:
        return text
    taken = ""
    for character in reversed(text) if keep_end else text:
        if width_of(taken) + width_of(character) >= width:
            break
        taken += character
    return "…" + taken[::-1] if keep_end else taken + "…"


def coloured(state: str, text: str | None = None) -> str:
    """Return a state, or `text` instead, in the state's colour. `click.echo` drops colours where they do not belong."""
    colour = COLOURS.get(JobState(state)) if state in list(JobState) else None
    return click.style(text or state, fg=colour) if colour else text or state


def plural(count: int, noun: str) -> str:
    """Return a count and its noun: ``1 job``, ``2 jobs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
