"""Every way to start an app: which process runs its jobs then, since when, and what becomes of them at its end.

The servers' tests take who, since when and which ends from here, the other lines and each end name the test that plays
them, and the table of docs/guide/servers.md is made from it: none of the three can say something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Runs(StrEnum):
    """Who runs jobs, in the words of the documentation."""

    ITSELF = "the process"
    CHILD = "the process that serves, not the reloader, its parent"
    PARENT = "the process, not the children that serve its requests"
    WORKERS = "each worker, not the process that makes them"
    NOBODY = "**nobody**: it stores jobs for others"


class Since(StrEnum):
    """Since when."""

    BOOT = "its start"
    REQUEST = "its first request"
    IMPORTS = "a second after its imports"
    CALL = "that call"
    NEVER = "-"


class End(StrEnum):
    """What becomes of the jobs that run as their process ends."""

    DRAINS = "drained"
    GIVES_BACK = "given back"
    DIES = "a crash"


SIGTERM = "SIGTERM"
SIGINT = "Ctrl-C"
RELOAD = "a reload"
OWN_RELOAD = "`--reload`"
TO_PARENT = "SIGTERM to the reloader"
SIGHUP = "SIGHUP"
MAX_REQUESTS = "`max_requests`"
TO_WORKER = "SIGTERM to a worker"
SIGUSR2 = "SIGUSR2"
AMID_A_REQUEST = "SIGTERM amid a request, which uWSGI cuts off"
EXIT = "its end"

Ends = Sequence[tuple[str, End]]
BY_SIGNAL: Ends = ((SIGTERM, End.DRAINS), (SIGINT, End.DRAINS))
RECYCLED: Ends = tuple((how, End.DRAINS) for how in (SIGTERM, TO_WORKER, SIGHUP, SIGUSR2, MAX_REQUESTS, OWN_RELOAD))
STOPPED_BY_UWSGI: Ends = ((SIGTERM, End.DRAINS), (AMID_A_REQUEST, End.DIES))


@dataclass(frozen=True)
class Start:
    """One way, or several that do not differ."""

    shown: str
    runs: Runs
    since: Since
    ends: Ends = ()
    names: Sequence[str] = ()
    """Which of `sites.SERVERS` that is."""
    played: str = ""
    """The test that plays it, where it is none of them."""


STARTS = (
    Start(
        "`flask run`, `app.run()`, also with the debugger and without the reloader",
        Runs.ITSELF, Since.BOOT, BY_SIGNAL,
        ("flask run", "flask run --debug --no-reload", "app.run", "app.run debug without reloader"),
    ),
    Start(
        "`flask run --debug`, `app.run(debug=True)`, also `--reload` without the debugger",
        Runs.CHILD, Since.BOOT, ((RELOAD, End.DRAINS), (SIGINT, End.GIVES_BACK), (TO_PARENT, End.DIES)),
        ("flask run --debug", "flask run --reload", "app.run debug"),
    ),
    Start(
        "`app.run(threaded=False, processes=4)`", Runs.PARENT, Since.BOOT, ((SIGTERM, End.DRAINS),),
        played="test_where_each_request_has_a_process_of_its_own_jobs_run_in_the_parent_alone",
    ),
    Start(
        "gunicorn with `-k sync` or `gthread`, with or without `--preload`",
        Runs.WORKERS, Since.BOOT, RECYCLED,
        ("gunicorn sync", "gunicorn sync preload", "gunicorn gthread", "gunicorn gthread preload"),
    ),
    Start(
        "gunicorn with `-k gevent`",
        Runs.NOBODY, Since.NEVER, (), ("gunicorn gevent", "gunicorn gevent preload"),
    ),
    Start(
        "waitress: `waitress-serve`, `waitress.serve(app)`",
        Runs.ITSELF, Since.BOOT, BY_SIGNAL, ("waitress-serve", "waitress.serve"),
    ),
    Start("uWSGI with `--enable-threads`", Runs.ITSELF, Since.BOOT, STOPPED_BY_UWSGI, ("uWSGI",)),
    Start(
        "uWSGI with `--enable-threads --master`, with or without `--lazy-apps`",
        Runs.WORKERS, Since.BOOT, (*STOPPED_BY_UWSGI, (SIGHUP, End.DRAINS), (MAX_REQUESTS, End.DRAINS)),
        ("uWSGI master", "uWSGI master lazy-apps"),
    ),
    Start("uWSGI without threads", Runs.NOBODY, Since.NEVER, (), ("uWSGI without threads",)),
    Start(
        "another WSGI server", Runs.ITSELF, Since.REQUEST, ((EXIT, End.DRAINS),),
        played="test_a_server_that_nobody_knows_and_that_names_itself_nowhere_starts_with_its_first_request",
    ),
    Start(
        "any of these, with `SCHEDULER_ROLE=client`", Runs.NOBODY, Since.NEVER,
        played="test_a_client_schedules_and_never_claims_and_another_process_runs_its_jobs",
    ),
    Start("`flask scheduler run`", Runs.ITSELF, Since.BOOT, BY_SIGNAL, ("flask scheduler run",)),
    Start(
        "`flask shell`, any other command, a test run, a script that imports the app", Runs.NOBODY, Since.NEVER,
        played="test_shells_commands_scripts_and_tests_schedule_but_claim_nothing",
    ),
    Start(
        "a Celery worker that imports the app", Runs.NOBODY, Since.NEVER,
        played="test_a_celery_worker_that_imports_the_app_schedules_but_claims_nothing",
    ),
    Start(
        "a script with `SCHEDULER_ROLE=embedded`", Runs.ITSELF, Since.IMPORTS, ((EXIT, End.DRAINS),),
        played="test_an_embedded_script_runs_jobs_and_gives_its_row_back_at_its_end",
    ),
    Start(
        "a script that calls `scheduler.start()`", Runs.ITSELF, Since.CALL, ((EXIT, End.DRAINS),),
        played="test_start_and_shutdown_may_be_called_twice_and_again",
    ),
    Start(
        "a child of any of these, by `os.fork` or `multiprocessing`", Runs.NOBODY, Since.NEVER,
        played="test_a_forked_child_of_a_process_that_serves_schedules_but_claims_nothing",
    ),
)  # fmt: skip
"""The table, line by line."""

ENDS_PLAYED = {
    (SIGTERM, End.DRAINS): "test_sigterm_lets_running_jobs_end_and_leaves_waiting_ones",
    (SIGINT, End.DRAINS): "test_ctrl_c_lets_running_jobs_end",
    (SIGINT, End.GIVES_BACK): "test_ctrl_c_under_the_reloader_gives_back_at_once_since_its_parent_will_not_wait",
    (RELOAD, End.DRAINS): "test_a_job_that_ends_within_the_drain_time_runs_to_its_end_before_a_reload",
    (OWN_RELOAD, End.DRAINS): "test_gunicorn_that_reloads_by_itself_lets_running_jobs_end",
    (TO_PARENT, End.DIES): "test_sigterm_to_the_reloader_counts_as_a_crash",
    (TO_WORKER, End.DRAINS): "test_processes_are_replaced_under_load_and_nothing_is_lost_or_repeated",
    (SIGHUP, End.DRAINS): "test_processes_are_replaced_under_load_and_nothing_is_lost_or_repeated",
    (SIGUSR2, End.DRAINS): "test_processes_are_replaced_under_load_and_nothing_is_lost_or_repeated",
    (MAX_REQUESTS, End.DRAINS): "test_processes_are_replaced_under_load_and_nothing_is_lost_or_repeated",
    (AMID_A_REQUEST, End.DIES): "test_sigterm_amid_a_request_of_uwsgis_counts_as_a_crash",
    (EXIT, End.DRAINS): "test_a_script_that_ends_lets_its_running_jobs_end",
}
"""Which test plays what becomes of a running job."""


def start_of(name: str) -> Start:
    """Return the line of a server."""
    return next(start for start in STARTS if name in start.names)


def servers(*runs: Runs) -> list[str]:
    """Return the servers under which these run jobs."""
    return [name for start in STARTS if start.runs in runs for name in start.names]


def ended_by(how: str, end: End) -> list[str]:
    """Return the servers that a running job meets this end under."""
    return [name for start in STARTS if (how, end) in start.ends for name in start.names]
