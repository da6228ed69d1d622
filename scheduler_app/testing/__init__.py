"""Testing an app that schedules: `SchedulerClock` runs its jobs in the test's own thread, at the time that it shows.

Nothing here is a stand-in for what production does: the jobs are rows of a real store, which a test has for itself;
the turns, claims, runner and retries are the loop's. What differs is who turns (the test, by `run_due()`, `advance()`
and `drain()`; there is no thread) and what "now" is: what the app's own code sees, which `freezegun` moves.

Needs no pytest. Under pytest the fixture `scheduler_clock` is there without any import: see `pytest_scheduler_app`.
"""

from .scheduler_clock import SchedulerClock

__all__ = ["SchedulerClock"]
