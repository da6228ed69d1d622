"""Acting on jobs and schedules: named one by one, on the lines of stdin or by keys; or all that a filter means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import chain
from typing import Any, NoReturn, TypeVar, cast

import click

from ..asking import Verb
from ..client import current_client
from ..client.many import Bulk
from ..errors import (
    DuplicateKeyError,
    JobConflictError,
    JobNotFoundError,
    MalformedTriggerError,
    NeverFiresError,
    NeverMeetError,
    ScheduleConflictError,
    ScheduleNotFoundError,
)
from ..filters import filter_of_words, is_filter
from .exits import Exit, code_of, message_of
from .losses import confirm
from .output import echo, note
from .words import plural, printable

F = TypeVar("F", bound=Callable[..., Any])
WHICH = "ID... | FILTER..."
Act = Callable[..., str]
"""Does something to one thing, given as `job_id`, `key` or `name`; returns the line that says what came of it."""

_OF_ONE = (
    JobNotFoundError, JobConflictError, DuplicateKeyError, ScheduleNotFoundError, ScheduleConflictError,
    NeverFiresError, NeverMeetError, MalformedTriggerError,
)  # fmt: skip
"""What keeps one of many from being acted on, and none of the others."""


def key_option(function: F) -> F:
    """Add ``--key``, which the command gets as `keys`."""
    return click.option(
        "--key", "keys", multiple=True, metavar="KEY", help="The job that holds this key; may be repeated."
    )(function)


def filter_options(function: F) -> F:
    """Add ``--dry-run``, ``--expect`` and ``--yes``, which the command gets as one `Care`, `care`."""

    @wraps(function)
    def run(*args: Any, dry_run: bool, expect: int | None, yes: bool, **options: Any) -> Any:
        return function(*args, care=Care(dry_run, expect, yes), **options)

    dry_run = click.option("--dry-run", is_flag=True, help="Change nothing; only say how many are meant.")
    expect = click.option(
        "--expect", type=click.IntRange(min=0), metavar="N", help="Change nothing unless so many are meant."
    )
    yes = click.option("--yes", is_flag=True, help="Do not ask.")
    return cast(F, dry_run(expect(yes(run))))


@dataclass(frozen=True)
class Care:
    """What keeps an action on a filter from doing more than is meant."""

    dry_run: bool
    expect: int | None
    yes: bool

    def refuse_without_filter(self) -> None:
        """Raise where it was asked for and no filter was given."""
        if self.dry_run or self.expect is not None:
            raise click.UsageError("--dry-run and --expect go with a filter, such as state=failed.")


def act_on_filter(
    ctx: click.Context, action: str, words: Sequence[str], could: str, care: Care, **moves: Any
) -> NoReturn:
    """Act on all jobs that a filter means, once it is sure that these are meant, and end the command."""
    client, wanted = current_client(), filter_of_words(words)
    counted = client.bulk(action, wanted, expect=care.expect, dry_run=True, **moves)
    many = many_of(counted)
    if care.dry_run or (counted.complete and not counted.matched):
        note(f"{many} would be {could}.")
        ctx.exit(Exit.OK)
    confirm(f"{many} with {printable(str(wanted))} will be {could}.", care.yes)
    done = client.bulk(action, wanted, expect=care.expect, **moves)
    asked = f", {done.asked:,} asked to stop" if action == Verb.CANCEL else ""
    echo(f"{done.done:,} {could.split(' or ')[0]}{asked}")
    if done.conflicts:
        note(f"{plural(done.conflicts, 'job')} could not be: they have moved on, or newer ones hold their keys.")
    ctx.exit(Exit.PARTLY if done.conflicts else Exit.OK)


def many_of(counted: Bulk) -> str:
    """Return how many jobs were counted; a count that stopped early is one of at least so many."""
    return plural(counted.matched, "job") if counted.complete else f"{counted.matched:,} or more jobs"


def is_any_filter(words: Sequence[str]) -> bool:
    """Whether the jobs are named by a filter. Raises where some are and others not."""
    filters = [word for word in words if is_filter(word)]
    if filters and len(filters) < len(words):
        odd = next(word for word in words if word not in filters)
        raise click.UsageError(f"Name jobs either by ids or by a filter, not by both; for a text, say q={odd}")
    return bool(filters)


def act_on_jobs(
    ctx: click.Context,
    action: str,
    words: Sequence[str],
    keys: Sequence[str],
    act: Act,
    could: str,
    care: Care,
    **moves: Any,
) -> NoReturn:
    """Act on the jobs that are named, one by one, or on all that a filter means, and end the command."""
    if not is_any_filter(words):
        care.refuse_without_filter()
        act_on_each(ctx, _jobs_of(words, keys), act, could)
    if keys:
        raise click.UsageError("Name jobs either by --key or by a filter, such as key=order:42:*.")
    act_on_filter(ctx, action, words, could, care, **moves)


def act_on_each(
    ctx: click.Context, named: Iterable[dict[str, str]], act: Act, could: str, *, noun: str = "job", names: str = "ids"
) -> NoReturn:
    """Act on each job or schedule, say what came of it, and end with the code that stands for all.

    `could` completes "3 of 4 jobs could be ...".
    """
    codes = [_act(act, name) for name in named]
    if not codes:
        note(f"No {names} came on stdin, so nothing was {could.split()[0]}.")
    if len(codes) > 1:
        note(f"{codes.count(Exit.OK):,} of {plural(len(codes), noun)} could be {could}.")
    ctx.exit(_overall(codes))


def act_on_schedules(ctx: click.Context, names: Sequence[str], act: Act, could: str) -> NoReturn:
    """Act on each schedule of these names, and of those on the lines of stdin where a name is "-"."""
    act_on_each(ctx, ({"name": name} for name in words_of(names)), act, could, noun="schedule", names="names")


def words_of(words: Iterable[str]) -> Iterator[str]:
    """Yield words, and in the place of a "-" the lines of stdin; what is no text there is written out."""
    for word in words:
        if word == "-":
            lines = (line.decode(errors="backslashreplace").strip() for line in sys.stdin.buffer)
            yield from (line for line in lines if line)
        else:
            yield word


def _jobs_of(ids: Sequence[str], keys: Sequence[str]) -> Iterator[dict[str, str]]:
    """Return which jobs are named. Without any id and key it is wrong usage."""
    if not ids and not keys:
        raise click.UsageError(
            "Name at least one job: by its ID, by --key, by a filter such as state=failed,"
            " or by '-' for ids on the lines of stdin."
        )
    return chain(({"job_id": job_id} for job_id in words_of(ids)), ({"key": key} for key in keys))


def _act(act: Act, name: dict[str, str]) -> Exit:
    try:
        said = act(**name)
    except _OF_ONE as error:
        note(f"Error: {printable(message_of(error))}")
        return code_of(error)
    echo(said)
    return Exit.OK


def _overall(codes: Sequence[Exit]) -> Exit:
    """Return the one code of all, or `PARTLY` where they differ."""
    different = set(codes) or {Exit.OK}
    return different.pop() if len(different) == 1 else Exit.PARTLY
