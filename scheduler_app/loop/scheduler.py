"""`DurableScheduler`: APScheduler's `BackgroundScheduler` with our loop, store and executors in its place."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from threading import Event, Lock, Thread
from typing import Any

from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED

from .. import faults, signals
from ..clock import host_now, monotonic
from ..errors import ForeignPartError, StoreError, StoreUnavailableError, UnknownExecutorError
from ..executors import DurableExecutor, Hooks, Runner
from ..jobs import JobState
from ..outcomes import Refusal, Result
from ..payload import Signer
from ..serving import refuse_without_threads
from ..store import Claim, Connection, Store, find, workers
from ..store.claim import Unserved
from ..tasks import TaskRegistry
from .attendance import Attendance
from .claiming import Claiming
from .events import Announcer, signal_released
from .fire import Firing
from .flight import Flight
from .heartbeat import Heartbeat
from .held import Freed, Freeing
from .hooking import Hooking
from .jobstore import DurableJobStore
from .pace import Pace
from .pruner import Pruner
from .rescuer import Rescuer
from .surface import Surface
from .turn import Turn
from .turned import Turned
from .unserved import UnservedJobs
from .wakeups import Listening
from .worker import Worker

QUIET_FAILURES = 5
"""How many turns in a row may lose a race for a lock before that is worth a line in the log."""


MOST_DOUBLINGS = 20
"""Of the wait after a failed turn: more than any poll interval, and a number still after days of failures."""


class DurableScheduler(Surface):
    """Runs due jobs of one store in this process, together with any other process that does the same.

    It is a `BackgroundScheduler`: `add_job`, listeners, `pause`, `shutdown` and the rest work as in
    APScheduler. What differs is underneath: a turn claims in one transaction and writes ends in the
    next, `misfire_grace_time` is None unless given, and no error ends the thread.
    """

    _thread: Thread | None
    _pending_jobs: list[Any]

    def __init__(
        self,
        store: Store,
        signer: Signer,
        registry: TaskRegistry,
        make_runner: Callable[[Callable[[], bool]], Runner],
        make_executors: Callable[[], Mapping[str, DurableExecutor]],
        executor_of: Callable[[str], str],
        pace: Pace,
        worker: Worker,
        *,
        timezone: Any,
        max_payload_bytes: int,
        queue_names: Collection[str] = (),
        on_ready: Callable[[], None] = lambda: None,
        boot_facts: Callable[[], Mapping[str, Any]] = dict,
        handle_of: Callable[[str], Any] = lambda _job_id: None,
    ) -> None:
        self._store, self._signer, self._registry = store, signer, registry
        self._make_runner, self._make_executors, self._executor_of = make_runner, make_executors, executor_of
        self._pace, self.worker, self._on_ready, self._boot_facts = pace, worker, on_ready, boot_facts
        self._max_payload_bytes, self._queue_names = max_payload_bytes, queue_names
        self._handle_of = handle_of
        self._waiting_until = float("inf")
        self._ready = False
        self._failures = 0
        self._idle = Event()
        self._tentative = []
        self._runner: Runner | None = None
        self._turning = Lock()
        self.turned_at = float("-inf")
        """When the last turn ended well, on the monotonic clock."""
        super().__init__(timezone=timezone)

    # -- APScheduler's hooks -----------------------------------------------------------------------

    def _configure(self, config: dict[str, Any]) -> None:
        """Keep our store, executors and defaults, whatever someone else's configuration says."""
        config = {key: value for key, value in config.items() if key not in ("jobstores", "executors")}
        defaults = {"misfire_grace_time": None, **config.get("job_defaults", {})}
        super()._configure(config | {"job_defaults": defaults})
        if config.get("job_defaults", {}).get("misfire_grace_time") is None:
            self._job_defaults["misfire_grace_time"] = None
        for alias, executor in self._make_executors().items():
            self.add_executor(executor, alias)
        self.add_jobstore(self._create_default_jobstore(), "default")

    def _create_default_jobstore(self) -> DurableJobStore:
        return DurableJobStore.over(
            self._store, self._signer, self._registry,
            max_payload_bytes=self._max_payload_bytes, check_queue=self._check_queue,
        )  # fmt: skip

    def _check_queue(self, queue: str) -> None:
        """Raise `UnknownExecutorError` unless `add_job(executor=...)` names an executor, or a configured queue."""
        known = {*self._executors, *self._queue_names}
        if queue not in known:
            raise UnknownExecutorError(queue, known)

    def add_executor(self, executor: Any, alias: str = "default", **options: Any) -> None:
        """Add one of this package's executors. Raises `ForeignPartError` for any other, which could lose a job."""
        if not isinstance(executor, DurableExecutor):
            raise ForeignPartError("executor", alias, executor, "Set SCHEDULER_EXECUTORS instead.")
        super().add_executor(executor, alias, **options)
        if self._runner is not None:
            executor.bind(self._runner.run, self._report, self._runner)

    def add_jobstore(self, jobstore: Any, alias: str = "default", **options: Any) -> None:
        """Add the one job store. Raises `ForeignPartError` for any other, whose jobs nobody would claim."""
        if not isinstance(jobstore, DurableJobStore) or alias != "default":
            raise ForeignPartError("job store", alias, jobstore, "Its one job store is set by SCHEDULER_DATABASE_URL.")
        super().add_jobstore(jobstore, alias, **options)

    def start(self, paused: bool = False) -> None:
        """Start the loop in this process. Needs no database yet: the loop waits for one, and says so.

        Raises `NoThreadsError` where threads are greenlets, or stand still.
        """
        refuse_without_threads()
        self._tentative += self._pending_jobs  # those of an earlier start that never reached the database still wait
        self._pending_jobs = []
        self._assemble()
        self._start_threads(paused)

    def pause(self) -> None:
        """Start nothing more in this process, and have its worker's row say so."""
        super().pause()
        self._heartbeat.hasten()

    def resume(self) -> None:
        """Undo a pause."""
        super().resume()
        self._heartbeat.hasten()

    def _start_threads(self, paused: bool) -> None:
        super().start(paused=paused)
        self._announcer.start()
        self._heartbeat.start()
        self._listening.start()
        self._pruner.start()

    def _assemble(self) -> None:
        """Make the parts of one run: they are new at each start, so that nothing of an earlier one lingers."""
        self._ready = False
        self.worker.be_reborn(host_now())
        self._flight = Flight()
        executors: dict[str, DurableExecutor] = self._executors
        self._runner = self._make_runner(self.worker.may_start)
        for executor in executors.values():
            executor.bind(self._runner.run, self._report, self._runner)
        prefixes = frozenset(f"v1:{key}" for key in self.worker.key_ids)
        self._unserved = UnservedJobs(
            self._store, self._registry, prefixes, self._pace.unserved_seconds, 2 * self._pace.lease_seconds
        )
        self._claiming = Claiming(
            self._store, executors, self._executor_of, self._flight, self.worker.queues, self._pace.limits
        )
        firing = Firing(self._store, self._signer, self._pace.unserved_seconds)
        self._turn = Turn(
            self._store, self._flight, self.worker, self._claiming, firing, executors,
            poll_seconds=self._pace.poll_seconds, not_started_seconds=self._pace.not_started_seconds,
            max_crashes=self._pace.max_crashes,
        )  # fmt: skip
        self._attendance = Attendance(
            self._store, self._flight, self.worker, executors.values(), self._pace.poll_seconds
        )
        self._announcer = Announcer(self._dispatch_event, lambda: bool(self._listeners), self._names_of)
        self._hooking = Hooking(Hooks(self._runner, self._registry, self._handle_of))
        self._listening = Listening(self._store, self.wakeup)
        self._pruner = Pruner(
            self._store, self.worker, self._pace.retention, self._pace.prune_seconds, self._pace.audit_seconds
        )
        self._heartbeat = Heartbeat(
            self._store, self.worker, self._registry,
            Rescuer(
                self._store, self._pace.lease_seconds, self._pace.max_crashes,
                lambda rescued: self._hooking.tell_rescued(rescued),
            ), self._unserved,
            seconds=self._pace.heartbeat_seconds, on_beat=self._on_beat, on_reborn=self._on_reborn,
            on_rescued=self.wakeup, watch=self._watch, is_draining=lambda: self._turn.draining,
            is_paused=lambda: self.state == STATE_PAUSED,
        )  # fmt: skip

    def _names_of(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the names of the schedules of jobs that another process fired; none while the database is away."""
        try:
            return self._store.read(lambda connection: find.schedule_names(connection, self._store.dialect, ids))
        except StoreUnavailableError:  # listeners hear of such a job by its schedule's uid
            return {}

    # -- the loop ----------------------------------------------------------------------------------

    def _process_jobs(self) -> float | None:
        """Do one turn and return the seconds to wait. Never raises: a failed turn is told, and tried again."""
        self._waiting_until = float("inf")  # while it turns, whatever is new wakes it: it may have looked already
        try:
            wait = self._one_turn()
            self._failures = 0
        except Exception as error:  # whatever it was, the thread must live; the next turn tries again
            self._failures += 1
            wait = min(self._pace.poll_seconds, 0.01 * 2 ** min(self._failures, MOST_DOUBLINGS)) * random.uniform(
                0.5, 1.5
            )
            if self._failures > QUIET_FAILURES or not self._store.dialect.is_transient(error):
                self._store.recheck()
                signals.scheduler_failed.send(self, error=error, retry_seconds=wait)
        self._waiting_until = monotonic() + wait
        return wait

    def _one_turn(self) -> float:
        if not self.worker.registered:
            return self._pace.poll_seconds  # the heartbeat registers first, and wakes us
        if not self._ready:
            self._get_ready()
        self._turn.paused = self.state == STATE_PAUSED
        self._claiming.unserved = self._unserved.current()
        self._attendance.attend()
        with self._turning:
            wait, turned = self._turn.turn()
        self.turned_at = monotonic()
        self._note(turned)
        return wait

    def _get_ready(self) -> None:
        """Do once per start what needs the database: store what was added before it, and what the code declares."""
        while self._tentative:
            with self._jobstores_lock:
                self._store_tentative()
        self._try_once(self._on_ready, "a schedule that the code declares")
        self._ready = True
        signals.scheduler_started.send(
            self,
            worker_id=self.worker.id,
            store=self._store.url,
            executors=dict(self.worker.executors),
            note=self._store.dialect.note,
            **self._boot_facts(),
        )

    def _store_tentative(self) -> None:
        for added in self._tentative[:1]:
            self._try_once(partial(self._store_job, *added), f"the job {added[0].id!r}")
            self._tentative.remove(added)

    def _try_once(self, store_it: Callable[[], None], what: str) -> None:
        """Store something of this process's own; what cannot be stored is told and left out, and stops no job."""
        try:
            store_it()
        except Exception as error:
            if isinstance(error, StoreError) or self._store.may_pass(error):
                raise
            self._logger.error("%s cannot be stored and is left out: %s", what, error)

    def _note(self, turned: Turned) -> None:
        for settlement in turned.settled:
            if settlement.result.refusal in (Refusal.UNSERVED, Refusal.UNFIT):
                self._unserved.note(settlement.claim, settlement.result.refusal)
        if turned.has_news:
            self._announcer.tell(turned)
            self._hooking.tell(turned)

    def _report(self, alias: str, claim: Claim, result: Result) -> None:
        self._flight.land(alias, claim, self._unserved.judged(claim, result))
        self.wakeup()

    def wakeup(self) -> None:
        """Have the loop look again now. Harmless when it does not run."""
        if self._event is not None and not self._event.is_set():
            self._event.set()

    def wake_for(self, run_at_in: float) -> None:
        """Wake the loop if something due in so many seconds comes before what it waits for."""
        if monotonic() + run_at_in < self._waiting_until:
            self.wakeup()

    def has_room(self) -> bool:
        """Whether a job that is due now would start here at once, whichever executor it is for."""
        if self.state != STATE_RUNNING or not self._ready or self.worker.queues is not None:
            return False
        return all(executor.free_slots() for executor in self._executors.values())

    # -- keeping alive -----------------------------------------------------------------------------

    def _on_beat(self) -> None:
        self._turn.must_reconcile = True
        self.wakeup()

    def _on_reborn(self) -> None:
        """Let go of claims that have not started, for they were taken from us; those that run end superseded."""
        self._take_back_all()
        self.wakeup()

    def _watch(self) -> None:
        """Start the loop's thread again if it died."""
        thread = self._thread
        if self.state != STATE_STOPPED and thread is not None and not thread.is_alive():
            self._turn.must_reconcile = True
            self._thread = Thread(target=self._main_loop, name="APScheduler", daemon=True)
            self._thread.start()
            signals.loop_restarted.send(self)

    def is_healthy(self) -> bool:
        """Whether the loop turned well within the last few poll intervals."""
        recent = monotonic() - self.turned_at < 10 * self._pace.poll_seconds + self._pace.heartbeat_seconds
        return self.state != STATE_STOPPED and recent and self._heartbeat.is_alive()

    # -- the end -----------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, exiting: bool = False) -> int:
        """Stop claiming, give back what has not started, and wait for what runs (`wait`), up to the drain time.

        What still runs then goes on and is settled when it ends, unless the process is `exiting`: then
        it is given back, its attempt unspent. Nothing is lost either way. Returns how many jobs were
        given back at the end.
        """
        if self.state == STATE_STOPPED:
            raise SchedulerNotRunningError
        deadline = monotonic() + self._pace.drain_seconds
        self._stop_claiming()
        if wait:
            self._await_idle(deadline)
        self._take_back_all()
        if self._flight.has_airborne() and not exiting:
            Thread(target=self._finish_later, name="scheduler-drain", daemon=True).start()
            return 0
        return self._close()

    def _take_back_all(self) -> None:
        now = self._store.clock.reckon()
        for alias, executor in self._executors.items():
            for claim in executor.take_back():
                self._flight.land(alias, claim, Result(now, now, refusal=Refusal.NOT_STARTED))

    def _stop_claiming(self) -> None:
        """Have the loop claim no more, and see a turn end that may be in the middle of a claim."""
        self._turn.draining = True
        self._heartbeat.hasten()  # so that others see soon that this worker serves no more
        self.wakeup()
        if self._turning.acquire(timeout=self._pace.drain_seconds):
            self._turning.release()

    def serves(self, queue: str) -> bool:
        """Whether jobs of a queue may run here."""
        return self._ready and self._claiming.serves(queue)

    @property
    def unserved(self) -> Unserved:
        """What this process cannot run, and its claims leave to others."""
        return self._claiming.unserved

    @property
    def has_swept(self) -> bool:
        """Whether it has looked once for workers that died, and taken back what those of this host held."""
        return self._heartbeat.has_swept

    def is_idle(self) -> bool:
        """Whether the loop is ready, and holds no job and no end that is not written."""
        return self._ready and self._is_idle()

    def _is_idle(self) -> bool:
        busy = any(executor.waiting() or executor.running() for executor in self._executors.values())
        return not busy and not self._flight.claims and not self._flight.has_unwritten()

    def _await_idle(self, deadline: float) -> None:
        while not self._is_idle() and monotonic() < deadline and self.state != STATE_STOPPED:
            self._idle.wait(0.02)
            self.wakeup()

    def _finish_later(self) -> None:
        self._await_idle(float("inf"))
        if self.state != STATE_STOPPED:
            self._close()

    def _end_threads(self) -> None:
        self._heartbeat.stop()
        self._listening.stop()
        self._pruner.stop()
        super().shutdown(wait=False)

    def _close(self) -> int:
        self._end_threads()
        returned = self._sign_off()
        self._announcer.stop()
        self._hooking.stop()
        self._say_last_word()
        signals.scheduler_stopped.send(self, worker_id=self.worker.id, returned=returned)
        return returned

    def _sign_off(self) -> int:
        """Write the last ends, give the rest back, and remove this worker's row; leave it to rescue if that fails."""
        freeing, dialect, own = Freeing(self._store), self._store.dialect, self.worker.id

        def sign_off(connection: Connection, apart: bool) -> Freed:
            now = self._store.clock.reckon()
            act = partial(workers.let_go, connection, dialect, own, self._flight.begun(), now)
            freed = freeing.free(connection, workers.held_ids(connection, own) if apart else [], act, apart)
            faults.reach("release-before-commit")
            workers.remove(connection, own)
            return freed

        if not self.worker.registered:
            return 0
        self._take_back_all()  # a turn that took longer than the drain may have submitted some since
        try:
            if self._flight.has_unwritten():
                self._note(self._turn.turn()[1])
            freed = freeing.write(sign_off)
        except Exception as error:  # the process goes on to its end; another worker will find this one gone
            signals.scheduler_failed.send(self, error=error, retry_seconds=0.0)
            return 0
        finally:
            self.worker.registered = False
        signal_released(self, freed.jobs, "its worker stops")
        freeing.tell(freed)
        self._hooking.tell_rescued(freed.jobs)
        return sum(one.state is not JobState.FAILED for one in freed.jobs)
