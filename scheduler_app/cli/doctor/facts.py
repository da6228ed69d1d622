"""What the rules judge: plain facts of this process, of the database and of the work in it, as of one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ...client import QueueStatus, UnknownTask
from ...client.liveness import SILENT, state_of
from ...settings import ExecutorSettings
from ...store.examine import Look
from ...store.place import Place
from ...store.workers import WorkerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What signs jobs here; no key is in it."""

    source: str
    """"SCHEDULER_SIGNING_KEY", "SECRET_KEY", "file", or "" where there is none."""
    shortest: int = 0
    """The length of the shortest secret."""
    is_well_known: bool = False
    """Whether one of them is a word that stands in many tutorials."""
    count: int = 1
    """How many are believed: the first one signs."""
    signs_with: str | None = None
    """The id of the one that signs; None where it is not made yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """How the REST API is opened here; no token is in it."""

    is_open: bool
    """Whether tokens are set, or the app decides by `@scheduler.authorize`."""
    is_debug: bool
    shortest: int | None = None
    """The length of the shortest token; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool of connections of the app's own."""

    name: str
    capacity: int | None
    """How many it gives at once; None: as many as are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What can be done on this machine."""

    has_processes: bool
    can_limit_memory: bool
    temporary: Sequence[str]
    """Folders that are emptied at a start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What waits, and who is there to do it; only of a database whose tables can be used."""

    now: datetime
    lease_seconds: float
    workers: Sequence[WorkerRow]
    queues: Sequence[QueueStatus]
    unknown_tasks: Sequence[UnknownTask]
    quarantined: int
    """How many jobs are put aside."""

    @property
    def live(self) -> Sequence[WorkerRow]:
        """Those that have renewed their lease."""
        return [row for row in self.workers if state_of(row, self.now, self.lease_seconds) != SILENT]

    @property
    def running(self) -> Sequence[WorkerRow]:
        """Those of them that take jobs."""
        return [row for row in self.live if row.state == "running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the rules judge."""

    url: str
    """The database's, without its password."""
    upgrades_at_start: bool
    """Whether the tables are older than this version needs, or not there, and are brought up to it by themselves."""
    role: str
    executors: Mapping[str, ExecutorSettings]
    app_path: str | None
    key: Key
    admin: Admin
    pools: Sequence[Pool]
    host: Host
    autogenerate: str | None
    """What is wrong with the app's own migrations; None where they leave the scheduler's tables alone."""
    place: Place | None
    look: Look | None
    """None where the database could not be looked at."""
    unusable: str | None
    """Why the database or its tables cannot be used, in words."""
    work: Work | None
