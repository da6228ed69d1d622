"""`flask scheduler`: what a person or a script says to an app's scheduler from a terminal.

Data goes to stdout, notes and questions to stderr, and the exit code says how it went (`Exit`). A command parses, asks
the client for one verb, and shows the answer; it decides nothing itself. Importing this package registers every
command on `scheduler_commands`.
"""

from . import (
    add,
    adopt,
    audit,
    cancel,
    check,
    config,
    database,
    doctor,
    listing,
    openapi,
    pause,
    prune,
    queues,
    recurring,
    release,
    run,
    show,
    status,
    tasks,
    timing,
    why,
    workers,
)
from .exits import Exit
from .group import scheduler_commands

__all__ = [
    "Exit",
    "add",
    "adopt",
    "audit",
    "cancel",
    "check",
    "config",
    "database",
    "doctor",
    "listing",
    "openapi",
    "pause",
    "prune",
    "queues",
    "recurring",
    "release",
    "run",
    "scheduler_commands",
    "show",
    "status",
    "tasks",
    "timing",
    "why",
    "workers",
]
