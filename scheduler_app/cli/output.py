"""Writing an answer: as a table for people, or as JSON, CSV or ids for programs; notes go to stderr."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import StringIO
from itertools import chain, islice
from typing import IO, Any

import click

from .exits import Exit, Failed
from .table import Column, fit
from .words import padded, printable

Facts = Mapping[str, Any]

_LOOKED_AT = 200
"""How many rows decide a table's widths; further ones are fitted to them, so that a list of any length streams."""


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a text. What cannot be written, say on a full disk, ends the command: it is not the database's doing.

    A reader that has gone is left to click, which ends without a word.
    """
    try:
        click.echo(text, err=err, nl=nl)
    except BrokenPipeError:
        raise
    except OSError as error:
        _give_up(sys.stderr if err else sys.stdout)
        raise Failed(
            f"Cannot write to {'stderr' if err else 'stdout'}: {error.strerror or error}.", Exit.ERROR
        ) from error


def _give_up(stream: IO[str]) -> None:
    """Let what a stream still holds go nowhere, or Python would try to write it once more at its end."""
    with suppress(OSError):  # it stands on no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def note(text: str) -> None:
    """Tell a person something that is no data."""
    echo(text, err=True)


def write_json(value: Any) -> None:
    """Write one value as indented JSON."""
    echo(json.dumps(value, indent=2, ensure_ascii=False))


def write_facts(
    facts: Iterable[tuple[str, str]], indent: str = "", paint: Callable[[str, str], str] = lambda _name, text: text
) -> None:
    """Write names and values, aligned, with control characters written out; `paint(name, value)` may colour a value."""
    listed = list(facts)
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        echo(f"{indent}{padded(name, width)}  {paint(name, printable(value))}".rstrip())


def write_list(
    records: Iterable[Any],
    shape: str,
    columns: Sequence[Column],
    facts: Callable[[Any], Facts],
    names: Sequence[str],
) -> None:
    """Write records one by one, as they come: a list of any length takes no more memory than a page.

    `facts` gives what programs get of a record, `names` are the keys of all that, the first one its id.
    """
    if shape == "table":
        written: Iterator[str] = _table(iter(records), columns)
    elif shape == "json":
        written = _json_array(map(facts, records))
    elif shape == "csv":
        written = _csv(map(facts, records), names)
    elif shape == "ids":
        written = (str(facts(record)[names[0]]) for record in records)
    else:
        written = (json.dumps(facts(record), ensure_ascii=False) for record in records)
    for line in written:
        echo(line)


def room() -> int | None:
    """Return the width of the terminal that stdout is, or None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _table(records: Iterator[Any], columns: Sequence[Column]) -> Iterator[str]:
    first = list(islice(records, _LOOKED_AT))
    if not first:
        return
    layout = fit(first, columns, room())
    yield layout.heading()
    yield from map(layout.line, chain(first, records))
    if layout.left_out:
        note(f"Left out, because the terminal is narrow: {', '.join(reversed(layout.left_out))}.")


def _json_array(records: Iterable[Facts]) -> Iterator[str]:
    yield "["
    waiting = None
    for facts in records:
        if waiting is not None:
            yield f"{waiting},"
        waiting = json.dumps(facts, ensure_ascii=False)
    if waiting is not None:
        yield waiting
    yield "]"


def _csv(records: Iterable[Facts], names: Sequence[str]) -> Iterator[str]:
    yield _csv_line(names)
    for facts in records:
        yield _csv_line([_scalar(facts[name]) for name in names])


def _csv_line(values: Sequence[Any]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def _scalar(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
