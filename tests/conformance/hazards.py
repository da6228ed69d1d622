"""What stock APScheduler 3.11 does to deferred work, and what happens here: as data, for the tests and for a page.

`test_hazards.py` plays each scene on both schedulers and compares what it saw with the words below;
`docs/generate.py` makes the table of `docs/apscheduler-hazards.md` of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the job: the word that the scene answers with, and why."""

    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Hazard:
    """One thing that goes wrong in production: `name` is that of the function that plays the scene."""

    name: str
    title: str
    scene: str
    stock: Seen
    here: Seen


HAZARDS = (
    Hazard(
        "killed_while_it_runs",
        "A kill loses what runs",
        "A process is killed (SIGKILL) in the middle of a job, and another one starts.",
        Seen("lost", "the row is removed as soon as the job is handed to the pool, before it has run"),
        Seen("runs again", "the row stays until the end of the job is stored; the dead worker's jobs are rescued"),
    ),
    Hazard(
        "the_pool_refuses",
        "A job that could not be handed over is removed",
        "A job becomes due when the thread pool takes nothing any more, as at the end of a process.",
        Seen("lost", "the error is logged, and the row is removed as if the job had been submitted"),
        Seen("runs", "what has no thread keeps its row: it starts on a new thread, or is given back"),
    ),
    Hazard(
        "late_by_five_seconds",
        "One second late is too late",
        "No process was up at the time of a job; one starts five seconds later, with nothing configured.",
        Seen("missed", "`misfire_grace_time` is 1 second unless set; what is later is not run, and its row removed"),
        Seen("runs", "it is None unless set: late work runs; a job that must not be late says so"),
    ),
    Hazard(
        "an_old_process_lists",
        "Looking at jobs deletes those of a newer deploy",
        "An old process lists the jobs; the function of one of them exists only in the new code.",
        Seen("deleted", "a row that cannot be restored is deleted by whoever reads it, a listing too"),
        Seen("runs", "what cannot be read here is left alone, and runs where its function exists"),
    ),
    Hazard(
        "an_executor_is_missing",
        "A process without the executor removes the job",
        "A job is for the executor `mails`; a process that has no such executor is the first to see it due.",
        Seen("deleted", "the lookup of the executor fails, and the row is removed"),
        Seen(
            "runs",
            "a process told which queues it serves leaves it to others; one that was not uses its default executor",
        ),
    ),
    Hazard(
        "the_database_is_busy",
        "One database error ends the scheduler's thread",
        "Another program holds SQLite's write lock for a moment, while a job is due.",
        Seen(
            "thread dead", "only reading the due jobs is guarded: a failing remove or update ends the thread for good"
        ),
        Seen("runs", "a failed turn is told and tried again; no error ends the thread, and a watchdog looks after it"),
    ),
    Hazard(
        "two_schedulers",
        "Two processes run the same job",
        "Two schedulers share one database, and a job becomes due.",
        Seen("run twice", "a job is submitted first and removed then: whoever has read the row by then runs it"),
        Seen("run once", "a claim is one committed update of the row, fenced: one process gets it"),
    ),
    Hazard(
        "a_crowd_is_due",
        "All that is due is taken at once",
        "100 jobs are due in a process that has one thread.",
        Seen("all taken", "every due row is read, unpickled, queued in memory and removed: a kill now loses all"),
        Seen("rest waits", "it claims for free threads and a little ahead; other processes can take the rest"),
    ),
    Hazard(
        "added_by_another_process",
        "What another process adds is not noticed",
        "A scheduler with nothing to do sleeps; another process adds a job that is due now.",
        Seen("sleeps on", "the wait has no upper bound, and nothing tells it: the job is late without limit"),
        Seen("runs", "it polls, and the database's own notice (`data_version`, NOTIFY) wakes it sooner"),
    ),
    Hazard(
        "a_row_is_forged",
        "Who can write a row can run code",
        "Somebody who can write the table, and no more, changes a stored job so that it calls something else.",
        Seen("code ran", "rows are pickles: code in one runs in whichever process reads it"),
        Seen("refused", "rows are JSON, signed with a key that is not in the database; this one is set aside"),
    ),
    Hazard(
        "asked_while_draining",
        "A shutdown locks requests out",
        "`shutdown(wait=True)` waits for a job that runs; a request asks for a job meanwhile.",
        Seen("blocked", "the drain holds the lock of the job stores; a job that asks waits for itself, for ever"),
        Seen("answered", "no lock is held while it drains"),
    ),
)
