"""Aligned columns: whole where nobody looks (a pipe), fitted to the terminal where somebody does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

from .words import cut, padded, printable, width_of

GAP = "  "


@dataclass(frozen=True)
class Column:
    """One column: its heading, what a record shows in it, and what it gives up where there is little room."""

    heading: str
    text: Callable[[Any], str]
    brief: Callable[[Any], str] | None = None
    """A shorter way to say the same."""
    least: int | None = None
    """How narrow it may be cut; None: it is never cut."""
    keep_end: bool = False
    """Whether its end tells more than its beginning."""
    leave_out: int = 0
    """Where there is no room, the column with the highest number is left out first; 0: never."""
    paint: Callable[[str, str], str] | None = None
    """Colours a cell: gets its text, and that text cut and padded."""


@dataclass(frozen=True)
class Layout:
    """Columns that fit, and their widths."""

    columns: Sequence[Column]
    widths: Sequence[int]
    cuts: bool
    """Whether longer texts are cut to the widths."""
    left_out: Sequence[str]
    """The headings of columns for which there was no room."""

    def heading(self) -> str:
        """Return the line of headings."""
        return self._line(column.heading.upper() for column in self.columns)

    def line(self, record: Any) -> str:
        """Return the line of a record."""
        return self._line(map(self._cell, self.columns, self.widths, repeat(record)))

    def _line(self, cells: Iterable[str]) -> str:
        return GAP.join(padded(cell, width) for cell, width in zip(cells, self.widths, strict=True)).rstrip()

    def _cell(self, column: Column, width: int, record: Any) -> str:
        text = printable(column.text(record))
        shown = cut(text, width, keep_end=column.keep_end) if self.cuts and column.least else text
        return column.paint(text, padded(shown, width)) if column.paint else shown


def fit(records: Sequence[Any], columns: Sequence[Column], room: int | None) -> Layout:
    """Return how to lay out these records in so many cells: texts get brief, columns are left out, then cut.

    `room` None: as wide as it takes, with nothing cut.
    """
    widths = _natural(records, columns)
    if room is None or _total(widths) <= room:
        return Layout(columns, widths, room is not None, ())
    kept = [replace(column, text=column.brief or column.text) for column in columns]
    left_out = []
    while _total(_narrowest(kept, _natural(records, kept))) > room and any(c.leave_out for c in kept):
        least_wanted = max(kept, key=lambda column: column.leave_out)
        kept.remove(least_wanted)
        left_out.append(least_wanted.heading)
    return Layout(kept, _cut_down(kept, _natural(records, kept), room), True, left_out)


def _cut_down(columns: Sequence[Column], widths: list[int], room: int) -> list[int]:
    """Return the widths that fit: what is missing is taken from whichever column has most to give."""
    widths = list(widths)
    narrowest = _narrowest(columns, widths)
    for _ in range(_total(widths) - room):
        widest = max(range(len(widths)), key=lambda index: widths[index] - narrowest[index])
        if widths[widest] == narrowest[widest]:
            break
        widths[widest] -= 1
    return widths


def _natural(records: Sequence[Any], columns: Sequence[Column]) -> list[int]:
    return [max(map(width_of, [c.heading, *(printable(c.text(r)) for r in records)])) for c in columns]


def _narrowest(columns: Sequence[Column], widths: Sequence[int]) -> list[int]:
    return [min(w, c.least or w) for c, w in zip(columns, widths, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)
