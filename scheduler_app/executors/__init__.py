"""Executors: APScheduler executors that carry a claimed job to where it runs, and nothing else.

An executor neither retries, records nor logs: it calls the runner and reports the `Result`. User code is called in
exactly one file, `runner`: by `Runner.run`, and by `Runner.call_hook` once a job has ended. The contract is in
`base.DurableExecutor`; one conformance suite runs over every member.
"""

from .base import DurableExecutor
from .current import current_job
from .hooks import Ended, Hooks
from .inline import InlineExecutor
from .processes import ProcessExecutor
from .runner import Runner
from .threads import ThreadExecutor

__all__ = [
    "DurableExecutor",
    "Ended",
    "Hooks",
    "InlineExecutor",
    "ProcessExecutor",
    "Runner",
    "ThreadExecutor",
    "current_job",
]
