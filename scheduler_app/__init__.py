"""Deferred calls for Flask that survive: `schedule_after(3, send_mail, user.id)`, and it runs, once, on time.

PYTEST_DONT_REWRITE (this package has a pytest plugin, and an app may import it before it calls `pytest.main`)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from .client import Actor, JobHandle, TaskFunction, Verbs, audited, current_client, using_with
from .errors import SchedulerError
from .executors import current_job
from .extension import Scheduler
from .extension.scheduler import make_task
from .jobs import Job, JobState, Outcome
from .retry import RetryPolicy
from .store import include_name
from .tasks import Secret
from .wishes import GiveUp, Retry, Snooze

if TYPE_CHECKING:
    from .service import create_app

P = ParamSpec("P")
R = TypeVar("R")
_verbs = Verbs(current_client)
schedule_after = _verbs.schedule_after
schedule_at = _verbs.schedule_at
schedule_now = _verbs.schedule_now
schedule_many = _verbs.schedule_many
after_response = _verbs.after_response


def using(**options: Any) -> Verbs:
    """Return the scheduling verbs with options, apart from the function's own arguments.

    `queue`, `priority` ("urgent", "high", "normal", "low"), `key` with `on_conflict` ("existing", "debounce",
    "throttle", "raise"), `attempts` (runs in all, the first included), `retry` (a `RetryPolicy`), `tags`;
    `even_on_error` for `after_response`. Raises `OptionError`.

    `session` (db.session, a Session or a Connection of SQLAlchemy, on the scheduler's own database): the job is one
    more row in that transaction, at once, so that it exists if and only if that is committed. It has its id by then,
    and can be found, cancelled or moved after the commit. Nothing is tried again there: what the database raises is
    SQLAlchemy's. False: in a transaction of its own, also under `SCHEDULER_JOIN_SESSION`.
    """
    return using_with(current_client, **options)


@overload
def task(function: Callable[P, R], /) -> TaskFunction[P, R]: ...
@overload
def task(**options: Any) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
def task(function: Any = None, /, **options: Any) -> Any:
    """Make a function a task: ``@task``, or ``@task(name=..., queue=..., attempts=..., delivery=..., aliases=...)``.

    `redact=("token",)` names arguments that are shown nowhere, as ``token: Secret[str]`` does where it stands.
    The function stays a plain function, and gets `schedule_after`, `schedule_at`, `schedule_now`, `after_response` and
    `using`. Its name (default "module:function") is what is stored, so keep it, or keep the old one in `aliases`.
    """
    return make_task(current_client, function, options)


__all__ = [
    "Actor",
    "GiveUp",
    "Job",
    "JobHandle",
    "JobState",
    "Outcome",
    "Retry",
    "RetryPolicy",
    "Scheduler",
    "SchedulerError",
    "Secret",
    "Snooze",
    "after_response",
    "audited",
    "create_app",
    "current_job",
    "include_name",
    "schedule_after",
    "schedule_at",
    "schedule_many",
    "schedule_now",
    "task",
    "using",
]


def __getattr__(name: str) -> Any:
    """Import the stand-alone service only where `flask --app scheduler_app` asks for it."""
    if name == "create_app":
        from .service import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
