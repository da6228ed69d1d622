"""The Flask extension, and the one composition root: only here are settings, store, executors and loop put together.

`Scheduler` is what an app makes; `Parts` is what it keeps for each app, in `app.extensions["scheduler"]`; `Starting`
decides where the loop starts by itself. `init_app` connects nowhere and runs no job.
"""

from .parts import Parts
from .scheduler import Scheduler

__all__ = ["Parts", "Scheduler"]
