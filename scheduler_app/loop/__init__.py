"""The loop: APScheduler's scheduler, doing our turns. The only folder that imports APScheduler's schedulers.

One thread turns: settle, fire, claim, commit, submit (`turn`). A second beats, sweeps for dead workers and watches the
first (`heartbeat`, `rescuer`). A third listens for other processes' writes (`wakeups`), a fourth tells listeners
(`events`). They share the `Flight`: what this process holds in memory. Everything that must survive is in the store;
a kill at any line loses time, never work. Tests crank the same turns by hand, without any thread (`cranked`).
"""

from .cranked import CrankedScheduler
from .hosted import HostedScheduler
from .jobstore import DurableJobStore
from .pace import Pace
from .scheduler import DurableScheduler
from .worker import Worker

__all__ = ["CrankedScheduler", "DurableJobStore", "DurableScheduler", "HostedScheduler", "Pace", "Worker"]
