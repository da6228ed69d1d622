"""The loop, cranked by hand: one process's turns in the caller's thread, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from apscheduler.triggers.base import BaseTrigger
from sqlalchemy import Connection, event, text

from scheduler_app.client.recurring import make_schedule
from scheduler_app.executors import DurableExecutor
from scheduler_app.jobs import TRANSITIONS, Job, JobState, Outcome, new_id
from scheduler_app.loop import CrankedScheduler, Pace, claiming, flight, heartbeat, rescuer, steps, turn, worker
from scheduler_app.loop.claiming import Claiming
from scheduler_app.loop.flight import Flight
from scheduler_app.loop.rescuer import Rescuer
from scheduler_app.loop.turn import Turn
from scheduler_app.loop.turned import Turned
from scheduler_app.loop.worker import Worker
from scheduler_app.outcomes import Refusal, Result
from scheduler_app.payload import Signer, encode_call
from scheduler_app.schedules import Schedule, encode_trigger, first_fire_time
from scheduler_app.store import Claim, NewJob, Store, add, find, schedules, workers
from scheduler_app.store.sqlite import READ_ONLY
from scheduler_app.tasks import Delivery, ModuleRule, Task, TaskRegistry

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SIGNER = Signer([b"the key of the conformance tests"])
TASK = "shop:ship"
ALLOWED = {(move.source and move.source.value, move.target.value) for move in TRANSITIONS}
"""Every move of a job that there may be."""


class ManualClock:
    """The store's time and the monotonic clock, both standing still until a test moves them."""

    def __init__(self) -> None:
        self.passed = 0.0

    def advance(self, seconds: float) -> datetime:
        self.passed += seconds
        return self.now()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed)

    reckon = now

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    def synchronize(self) -> float:
        return 0.0

    def forget(self) -> None:
        """There is nothing to forget."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (claiming, flight, heartbeat, rescuer, steps, turn, worker):
            for name in ("monotonic", "lasting"):
                monkeypatch.setattr(module, name, self.monotonic, raising=False)  # not each of them asks


class RecordingExecutor(DurableExecutor):
    """Holds claims until the test says how they end."""

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots
        self.submitted: list[Claim] = []
        self._waiting: list[Claim] = []
        self._running: list[Claim] = []

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        raise AssertionError("only stock schedulers submit stock jobs")

    def submit(self, claims: Sequence[Claim]) -> None:
        self.submitted += claims
        self._waiting += claims
        self.begin()

    def free_slots(self) -> int:
        return max(0, self.slots - len(self._waiting) - len(self._running))

    def waiting(self) -> int:
        return len(self._waiting)

    def running(self) -> list[Claim]:
        return list(self._running)

    def take_back(self, claimed_before: float | None = None) -> list[Claim]:
        old = [c for c in self._waiting if claimed_before is None or c.claimed_at < claimed_before]
        self._waiting = [c for c in self._waiting if c not in old]
        return old

    def begin(self) -> None:
        """Start as many claims as there are slots."""
        room = max(0, self.slots - len(self._running))
        started, self._waiting = self._waiting[:room], self._waiting[room:]
        self._running += started

    def end(self, claim: Claim, result: Result) -> None:
        self._running.remove(claim)
        self._report(self.alias, claim, result)
        self.begin()


def never_runs(_claim: Claim) -> Result:
    raise AssertionError("a recording executor runs nothing")


@dataclass
class Process:
    """One process with a loop, a worker's row and a recording executor."""

    store: Store
    clock: ManualClock
    slots: int = 10
    poll_seconds: float = 1.0
    queues: Sequence[str] | None = None
    tasks: Sequence[str] = ()
    max_crashes: int = 3
    limits: Mapping[str, int] = field(default_factory=dict)
    executor: RecordingExecutor = field(init=False)
    flight: Flight = field(init=False)
    claiming: Claiming = field(init=False)
    loop: Turn = field(init=False)
    wait: float = field(init=False, default=-1.0)

    def __post_init__(self) -> None:
        self.executor = RecordingExecutor(self.slots)
        self.worker = Worker(
            lease_seconds=30.0,
            queues=None if self.queues is None else tuple(self.queues),
            executors={"default": self.slots},
            key_ids=SIGNER.key_ids,
        )
        scheduler = self._assembled()
        self.flight, self.claiming, self.loop = scheduler._flight, scheduler._claiming, scheduler._turn
        self.rescuer = Rescuer(self.store, self.worker.lease_seconds, self.max_crashes)
        self.register()

    def _assembled(self) -> CrankedScheduler:
        """Return a scheduler with its parts put together as in production, and not begun: a test takes each step."""
        scheduler = CrankedScheduler(
            self.store,
            SIGNER,
            TaskRegistry(ModuleRule(())),
            lambda may_start: SimpleNamespace(run=never_runs),  # type: ignore[arg-type, return-value]
            lambda: {"default": self.executor},
            lambda _queue: "default",
            Pace(poll_seconds=self.poll_seconds, lease_seconds=30.0, max_crashes=self.max_crashes, limits=self.limits),
            self.worker,
            timezone=UTC,
            max_payload_bytes=10_000,
            reshape=lambda _executors: {},
            on_configured=lambda _scheduler: None,
        )
        scheduler._assemble()
        return scheduler

    def register(self, **changed: Any) -> None:
        """Store a worker's row under a new id, and renew the lease."""
        self.worker.be_reborn(self.clock.now())
        row = self.worker.row(self.clock.now(), self.tasks) | changed
        self.store.write(lambda connection: workers.register_if_absent(connection, self.store.dialect, row))
        self.worker.registered = True
        self.renew()

    def renew(self) -> None:
        self.worker.renewed_at = self.clock.monotonic()

    def beat(self) -> bool:
        self.renew()
        return self.store.write(
            lambda connection: workers.beat_if_registered(connection, self.worker.id, self.clock.now(), "running", "[]")
        )

    def leave(self) -> int:
        """Let go of all that it holds, as a process that stops; return how many jobs were given back."""
        started = {claim.id for claim in self.executor.running()}
        let_go = self.store.write(
            lambda c: workers.let_go(c, self.store.dialect, self.worker.id, started, self.clock.now())
        )
        return sum(one.state is not JobState.FAILED for one in let_go)

    def sweep(self) -> int:
        """Look at the other workers once; return how many jobs were taken back."""
        return self.rescuer.sweep(self.worker.id)

    def watch(self, seconds: float) -> int:
        """Look at the other workers for so long, at each heartbeat; return how many jobs were taken back."""
        taken = self.sweep()
        while seconds > 0:
            self.clock.advance(min(seconds, 5.0))
            seconds -= 5.0
            taken += self.sweep()
        return taken

    def turn(self) -> Turned:
        """Do one turn, with a lease that holds."""
        self.renew()
        self.wait, turned = self.loop.turn()
        return turned

    def claim(self) -> list[Claim]:
        """Do one turn; return what it claimed."""
        turned = self.turn()
        return [one for _alias, claims in turned.claimed for one in claims]

    def claim_one(self) -> Claim:
        [one] = self.claim()
        return one

    def end(self, claim: Claim, outcome: Outcome = Outcome.SUCCESS, **facts: Any) -> None:
        """Have the executor report an attempt's end."""
        now = self.clock.now()
        self.executor.end(claim, Result(now, now, outcome, **facts))

    def fail(self, claim: Claim, error: str = "ValueError: no such box") -> None:
        self.end(claim, Outcome.ERROR, error=error, traceback=f"Traceback ...\n{error}", exception=ValueError())

    def refuse(self, claim: Claim, refusal: Refusal, error: str | None = None) -> None:
        now = self.clock.now()
        self.executor.end(claim, Result(now, now, refusal=refusal, error=error))

    def finish(self, claim: Claim, outcome: Outcome = Outcome.SUCCESS, **facts: Any) -> Turned:
        """Report an end and settle it."""
        self.end(claim, outcome, **facts)
        return self.turn()


# -- jobs and rows -----------------------------------------------------------------------------------


def job(clock: ManualClock, *args: Any, after: float = 0.0, **columns: Any) -> NewJob:
    """Return a new, signed job of the task "shop:ship"."""
    now = clock.now()
    columns = {"task": TASK, "queue": "default", "priority": 2, "id": new_id(now)} | columns
    payload = encode_call(args, {}, max_bytes=10_000, allowed=lambda _module: False)
    signature = SIGNER.sign(columns["id"], columns["task"], columns["queue"], payload)
    run_at = now + timedelta(seconds=after)
    return NewJob(**({"payload": payload, "signature": signature, "run_at": run_at, "created_at": now} | columns))


def put(store: Store, *new: NewJob) -> None:
    """Store jobs; one with a key the way that jobs with a key are stored."""
    plain = [n for n in new if n.key is None]
    if plain:
        store.write(lambda connection: add.insert_jobs(connection, store.dialect, plain))
    for keyed in new:
        if keyed.key is not None:
            put_keyed(store, keyed)


def put_keyed(store: Store, new: NewJob, on_conflict: add.OnConflict = add.OnConflict.RAISE) -> tuple[str, bool]:
    return store.write(
        lambda connection: add.insert_keyed(connection, store.dialect, new, on_conflict, lambda i: signed_for(i, new))
    )


def signed_for(job_id: str, new: NewJob) -> Mapping[str, Any]:
    signature = SIGNER.sign(job_id, new.task, new.queue, new.payload)
    return {"task": new.task, "payload": new.payload, "queue": new.queue, "signature": signature}


def job_of(store: Store, job_id: str) -> Job:
    found = store.read(lambda connection: find.job(connection, job_id))
    assert found is not None
    return found


def state_of(store: Store, job_id: str) -> JobState:
    return job_of(store, job_id).state


def attempts_of(store: Store, job_id: str) -> list[tuple[int, str, str | None]]:
    """Return (attempt, outcome, superseded) of each recorded attempt."""
    found = store.read(lambda connection: find.attempts_of(connection, job_id))
    return [(a.attempt, a.outcome.value, a.superseded) for a in found]


def value_of(store: Store, job_id: str, column: str) -> Any:
    return fetch(store, f"SELECT {column} FROM scheduler_jobs WHERE id = :id", id=job_id)[0][0]


def fetch(store: Store, statement: str, **parameters: Any) -> list[Any]:
    return store.read(lambda connection: list(connection.execute(text(statement), parameters)))


# -- what is written behind the loop's back -----------------------------------------------------------


def forge(store: Store, statement: str, **parameters: Any) -> None:
    """Change the tables as a person with a SQL prompt would; such moves are not counted as the store's."""
    store.write(lambda connection: connection.execute(text(statement), parameters))
    forget_moves(store)


WATCH = {
    "sqlite": (
        "CREATE TABLE moves (job_id TEXT, source TEXT, target TEXT)",
        "CREATE TRIGGER moves_made AFTER INSERT ON scheduler_jobs"
        " BEGIN INSERT INTO moves VALUES (NEW.id, NULL, NEW.state); END",
        "CREATE TRIGGER moves_seen AFTER UPDATE OF state ON scheduler_jobs WHEN OLD.state <> NEW.state"
        " BEGIN INSERT INTO moves VALUES (NEW.id, OLD.state, NEW.state); END",
    ),
    "mysql": (
        "CREATE TABLE moves (job_id text, source text, target text)",
        "CREATE TRIGGER moves_made AFTER INSERT ON scheduler_jobs FOR EACH ROW"
        " INSERT INTO moves VALUES (NEW.id, NULL, NEW.state)",
        "CREATE TRIGGER moves_seen AFTER UPDATE ON scheduler_jobs FOR EACH ROW"
        " INSERT INTO moves SELECT NEW.id, OLD.state, NEW.state FROM DUAL WHERE OLD.state <> NEW.state",
    ),
    "postgresql": (
        "CREATE TABLE moves (job_id text, source text, target text)",
        "CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF TG_OP = 'INSERT' THEN INSERT INTO moves VALUES (NEW.id, NULL, NEW.state);"
        " ELSIF OLD.state <> NEW.state THEN INSERT INTO moves VALUES (NEW.id, OLD.state, NEW.state); END IF;"
        " RETURN NULL; END $$",
        "CREATE TRIGGER moves_seen AFTER INSERT OR UPDATE ON scheduler_jobs FOR EACH ROW EXECUTE FUNCTION note_move()",
    ),
}


def watch_moves(store: Store) -> None:
    """Have the database itself write down every change of a job's state, whoever makes it."""
    for statement in WATCH[store.dialect.name]:
        with store.begin() as connection:
            connection.exec_driver_sql(statement)


def moves(store: Store) -> set[tuple[str | None, str]]:
    return {(row.source, row.target) for row in fetch(store, "SELECT source, target FROM moves")}


def forget_moves(store: Store) -> None:
    store.write(lambda connection: connection.execute(text("DELETE FROM moves")))


@contextmanager
def lost_reply(store: Store) -> Iterator[None]:
    """Have the next COMMIT of a write succeed and its reply be lost, as when the connection breaks in between."""
    dialect = store.engine.dialect
    commit = dialect.do_commit
    writes = False

    def note(connection: Connection) -> None:
        nonlocal writes
        writes = not connection.get_execution_options().get(READ_ONLY, False)

    def commit_and_break(connection: Any) -> None:
        commit(connection)
        if not writes:
            return
        dialect.do_commit = commit  # type: ignore[method-assign]
        if store.dialect.name == "postgresql":
            connection.driver_connection.close()
        if store.dialect.name == "mysql":
            connection.driver_connection._force_close()
        raise broken(store)

    event.listen(store.engine, "commit", note)
    dialect.do_commit = commit_and_break  # type: ignore[method-assign]
    try:
        yield
    finally:
        event.remove(store.engine, "commit", note)
        dialect.do_commit = commit  # type: ignore[method-assign]


def broken(store: Store) -> Exception:
    """Return the driver's error of a database that does not answer any more."""
    driver = store.engine.dialect.dbapi
    assert driver is not None
    lost = (2013, "the connection broke") if store.dialect.name == "mysql" else ("the connection broke",)
    error = driver.OperationalError(*lost)
    if store.dialect.name == "sqlite":
        error.sqlite_errorname = "SQLITE_BUSY"
    return error


# -- schedules ---------------------------------------------------------------------------------------


def schedule(clock: ManualClock, name: str, trigger: BaseTrigger | str, **facts: Any) -> Schedule:
    """Return a new, signed schedule of the task "shop:ship"; a trigger may be given as its stored text."""
    first = facts.pop("next_run_time", None)
    if isinstance(trigger, BaseTrigger):
        first, trigger = first or first_fire_time(trigger, clock.now()), encode_trigger(trigger)
    payload = encode_call((name,), {}, max_bytes=10_000, allowed=lambda _module: False)
    task = Task(TASK, schedule, delivery=facts.pop("delivery", Delivery.AT_LEAST_ONCE))
    return make_schedule(
        SIGNER, clock.now(), name=name, title=name, task=task, payload=payload, trigger=trigger, queue="default",
        next_run_time=first or clock.now(), **facts,
    )  # fmt: skip


def put_schedules(store: Store, *new: Schedule) -> None:
    for one in new:
        assert store.write(lambda connection, one=one: schedules.insert_if_absent(connection, one))  # type: ignore[misc]


def schedule_named(store: Store, name: str) -> Schedule | None:
    return store.read(lambda connection: schedules.by_name(connection, name))


def jobs_of(store: Store, one: Schedule) -> list[Job]:
    """Return a schedule's jobs, the earliest fire time first."""
    rows = fetch(store, "SELECT id FROM scheduler_jobs WHERE schedule_uid = :uid ORDER BY fire_time", uid=one.uid)
    return [job_of(store, row.id) for row in rows]
