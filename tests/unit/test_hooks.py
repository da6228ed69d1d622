"""APScheduler 3.x is as we rely on it below its public surface: `hooks.py` says in what, and why.

Within `>=3.11,<4` nothing promises that an underscore name stays. When a release moves one, the test of that hook fails
and says what was relied on; when this package begins to use another one, the last tests ask for its line there.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apscheduler
import pytest
from apscheduler.events import JobEvent, JobExecutionEvent, JobSubmissionEvent
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore
from apscheduler.schedulers import base
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from apscheduler.util import astimezone, obj_to_ref

from scheduler_app.executors import DurableExecutor, InlineExecutor
from scheduler_app.executors.threads import ThreadExecutor
from scheduler_app.loop import CrankedScheduler, DurableJobStore, DurableScheduler
from scheduler_app.loop.surface import Surface
from tests.unit.hooks import HOOKS, Hook

PACKAGE = Path(__file__).parents[2] / "scheduler_app"
OURS = [*(PACKAGE / "loop").glob("*.py"), *(PACKAGE / "executors").glob("*.py")]
KINDS = (BackgroundScheduler, BlockingScheduler, BaseScheduler, BaseJobStore, BaseExecutor, Job)
OUR_KINDS = (
    DurableScheduler, CrankedScheduler, DurableJobStore, DurableExecutor, ThreadExecutor, InlineExecutor
)  # fmt: skip
EVENTS = (JobEvent, JobExecutionEvent, JobSubmissionEvent)
TRIGGERS = (CronTrigger, DateTrigger, IntervalTrigger)
THEIRS = {thing.__name__: thing for thing in (*KINDS, *EVENTS, *TRIGGERS, run_job, astimezone, obj_to_ref)}


def found(name: str) -> Any:
    """Return what `name` means: one of THEIRS, or what such a class itself has or sets on its instances."""
    kind, _, attribute = name.partition(".")
    if not attribute:
        return THEIRS[kind]
    if attribute in vars(THEIRS[kind]):
        return vars(THEIRS[kind])[attribute]
    if f"self.{attribute} = " in text_of(THEIRS[kind]):
        return None
    raise AttributeError(f"{kind} has no {attribute}")


def text_of(function: Any) -> str:
    """Return the code of a function, a property or a class, whatever its formatting and comments."""
    function = function.fget if isinstance(function, property) else function
    return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_apscheduler_is_as_we_rely_on_it(hook: Hook) -> None:
    relied = f"APScheduler {apscheduler.version}: {hook.name} has changed. Relied on: {hook.reason}."
    try:
        standing, texts = found(hook.name), {place: text_of(found(place)) for place in hook.used}
    except AttributeError as error:
        pytest.fail(f"{relied} It is not there: {error}")
    if hook.signature is not None:
        assert str(inspect.signature(standing)) == hook.signature, relied
    for place, lines in hook.used.items():
        in_order = ".*".join(re.escape(line) for line in lines)
        wanted = f"{relied} {place} should have, in this order: {'; '.join(lines)}"
        assert re.search(in_order, texts[place], re.DOTALL), f"{wanted}\n{texts[place]}"


def test_a_job_store_has_the_verbs_that_ours_has() -> None:
    verbs = {
        "lookup_job": "(self, job_id)",
        "get_due_jobs": "(self, now)",
        "get_next_run_time": "(self)",
        "get_all_jobs": "(self)",
        "add_job": "(self, job)",
        "update_job": "(self, job)",
        "remove_job": "(self, job_id)",
        "remove_all_jobs": "(self)",
    }
    theirs = {name: str(inspect.signature(getattr(BaseJobStore, name))) for name in BaseJobStore.__abstractmethods__}
    assert theirs == verbs


def test_the_states_of_a_scheduler_are_three() -> None:
    assert (base.STATE_STOPPED, base.STATE_RUNNING, base.STATE_PAUSED) == (0, 1, 2)


def test_a_background_scheduler_and_its_ancestors_override_no_more_than_was_read() -> None:
    private = {kind: {name for name in vars(kind) if is_private(name)} for kind in Surface.__mro__[1:-1]}
    assert list(private) == [BackgroundScheduler, BlockingScheduler, BaseScheduler]
    assert private[BackgroundScheduler] == {"_thread", "_configure"}
    assert private[BlockingScheduler] == {"_event", "_main_loop"}


# -- nothing is relied on that is not in HOOKS -----------------------------------------------------


def private_names_of_apscheduler() -> set[str]:
    """Return every underscore name that a scheduler, job store, executor or job of APScheduler has or sets."""
    names = {name for kind in KINDS for name in vars(kind)}
    names |= {name for kind in KINDS for name in attributes(inspect.getsource(kind))}
    return {name for name in names if is_private(name)}


def attributes(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        if isinstance(node, ast.Attribute):
            yield node.attr


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and not name.startswith("_abc")


@pytest.mark.parametrize("path", OURS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_private_name_that_we_share_with_apscheduler_has_its_line(path: Path) -> None:
    """One that we use must be a contract; one that we made ourselves must not become APScheduler's unnoticed."""
    shared = {name for name in attributes(path.read_text()) if is_private(name)} & private_names_of_apscheduler()
    assert shared <= {hook.leaf for hook in HOOKS}


@pytest.mark.parametrize("kind", OUR_KINDS)
def test_everything_that_we_override_has_its_line(kind: type) -> None:
    inherited = {
        name for base in kind.__mro__[1:-1] if base.__module__.startswith("apscheduler") for name in vars(base)
    }
    overridden = {name for name in vars(kind) if is_private(name)} & inherited
    assert overridden <= {hook.leaf for hook in HOOKS}
