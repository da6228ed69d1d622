"""Queues: limits that hold across processes, pauses, and a flood that keeps nobody else waiting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import Any

import pytest
from flask import Flask

from scheduler_app import schedule_now, using
from scheduler_app.client import Client
from scheduler_app.errors import QueueNotFoundError, QueuePauseError
from scheduler_app.jobs import JobState
from scheduler_app.retry import RetryPolicy, encode_policy
from scheduler_app.store import Claim, Store, queues, waiting
from scheduler_app.store.claim import Unserved
from tests.conformance.cranked import ManualClock, Process, fetch, forge, job, job_of, put, state_of
from tests.conformance.test_store_claim import no_writing, warm_up

CLAIMERS = 8
AT_ONCE = encode_policy(RetryPolicy(attempts=2, backoff=0))


def limit(store: Store, clock: ManualClock, **limits: int | None) -> None:
    store.write(lambda connection: queues.limit(connection, store.dialect, limits, clock.now()))


def pause(store: Store, clock: ManualClock, name: str, seconds: float | None = None) -> None:
    until = None if seconds is None else clock.now() + timedelta(seconds=seconds)
    store.write(lambda c: queues.pause(c, store.dialect, name, "the relay is down", until, clock.now()))


def resume(store: Store, name: str) -> bool:
    return store.write(lambda connection: queues.resume_if_paused(connection, name))


def running_in(store: Store, name: str) -> int:
    held = "SELECT count(*) FROM scheduler_jobs WHERE queue = :name AND state IN ('claimed', 'running')"
    count: int = fetch(store, held, name=name)[0][0]
    return count


def rows(store: Store) -> dict[str, int | None]:
    return {row.name: row.concurrency for row in fetch(store, "SELECT name, concurrency FROM scheduler_queues")}


# -- how many at once --------------------------------------------------------------------------------


def test_a_limited_queue_never_has_more_in_flight_than_it_may_in_all_processes_together(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    limit(store, clock, mail=3)
    put(store, *(job(clock, queue="mail") for _ in range(20)), *(job(clock, queue="other") for _ in range(2)))
    first, second = make_process(slots=2), make_process(slots=10)
    mine = first.claim()
    assert [one.queue for one in mine].count("mail") <= 2
    theirs = second.claim()
    assert running_in(store, "mail") == 3
    assert first.claim() == second.claim() == []
    mail = [(p, one) for p, claims in ((first, mine), (second, theirs)) for one in claims if one.queue == "mail"]
    process, one = mail[0]
    process.end(one)
    assert [one.queue for one in process.claim()] == ["mail"]
    assert running_in(store, "mail") == 3


def test_eight_claimers_at_once_never_hold_more_than_the_limit_by_the_rows_and_by_their_own_count(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    limit(store, clock, mail=3)
    total = 60
    put(store, *(job(clock, queue="mail", max_attempts=2, retry=AT_ONCE) for _ in range(total)))
    put(store, *(job(clock, queue="free", priority=3) for _ in range(total)))
    tally = Tally()
    processes = [make_process(slots=4) for _ in range(CLAIMERS)]
    threads = [Thread(target=work_off, args=(process, tally, 2 * total)) for process in processes]
    looker = Thread(target=look_until_done, args=(make_process().store, tally))
    for thread in [*threads, looker]:
        thread.start()
    for thread in threads:
        thread.join(90)
    tally.done.set()
    looker.join(30)
    assert tally.failure is None
    assert tally.ended == 2 * total
    assert tally.most == 3, "the jobs' own count"
    assert 1 <= tally.most_rows <= 3, "the database's rows"
    assert {state_of_all(store, "mail"), state_of_all(store, "free")} == {("succeeded",)}


class Tally:
    """What the claimers of a race count together."""

    def __init__(self) -> None:
        self.lock, self.done = Lock(), Event()
        self.active = self.most = self.most_rows = self.ended = 0
        self.failed: set[str] = set()
        self.failure: BaseException | None = None

    def begin(self, claims: list[Claim]) -> None:
        with self.lock:
            self.active += sum(one.queue == "mail" for one in claims)
            self.most = max(self.most, self.active)

    def end(self, one: Claim) -> bool:
        """Count an end, before it is reported; whether the job is to fail, as each does once."""
        with self.lock:
            self.active -= one.queue == "mail"
            fails = one.max_attempts > 1 and one.id not in self.failed
            self.failed.add(one.id)
            self.ended += not fails
        return fails


def work_off(process: Process, tally: Tally, total: int) -> None:
    process.store.patience = 60.0
    try:
        while tally.ended < total and not tally.done.is_set():
            try:
                claims = process.claim()
            except Exception as error:
                if not process.store.may_pass(error):
                    raise
                continue  # busy: the turn is tried again
            tally.begin(claims)
            for one in process.executor.running():
                if tally.end(one):
                    process.fail(one)
                else:
                    process.end(one)
        process.loop.draining = True
        process.turn()
    except BaseException as error:
        tally.failure = error
        tally.done.set()


def look_until_done(store: Store, tally: Tally) -> None:
    while not tally.done.wait(0.001):
        tally.most_rows = max(tally.most_rows, running_in(store, "mail"))


def state_of_all(store: Store, name: str) -> tuple[str, ...]:
    return tuple(row[0] for row in fetch(store, "SELECT DISTINCT state FROM scheduler_jobs WHERE queue = :q", q=name))


def test_the_slots_of_a_dead_worker_come_back_with_the_rescue_and_not_before(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    limit(store, clock, mail=2)
    put(store, *(job(clock, queue="mail") for _ in range(6)))
    dead, alive, other = make_process(), make_process(), make_process()
    held = dead.claim()
    assert len(held) == 2
    assert alive.claim() == []
    alive.watch(25)
    other.beat()
    assert (alive.claim(), running_in(store, "mail")) == ([], 2)
    assert alive.watch(10) == 2
    again = alive.claim() + other.claim()
    assert len(again) == running_in(store, "mail") == 2
    dead.end(held[0])  # it lives after all: what it says changes nothing, and opens no place
    dead.turn()
    assert (dead.claim(), running_in(store, "mail")) == ([], 2)


def test_a_retry_gives_its_place_to_another_job_until_it_comes_again(
    store: Store, clock: ManualClock, process: Process
) -> None:
    limit(store, clock, mail=1)
    fails, waits = job(clock, queue="mail", max_attempts=2), job(clock, queue="mail")
    put(store, fails)
    one = process.claim_one()
    put(store, waits)
    process.fail(one)
    assert process.claim_one().id == waits.id
    clock.advance(3600)
    assert process.claim() == []
    process.finish(process.executor.running()[0])
    assert running_in(store, "mail") == 1
    assert state_of(store, fails.id) is JobState.RUNNING


def test_a_limit_in_each_process_leaves_its_other_slots_to_other_queues(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    put(store, *(job(clock, queue=name) for name in ("mail", "other") for _ in range(20)))
    processes = [make_process(limits={"mail": 2}), make_process(limits={"mail": 2})]
    for process in processes:
        assert sorted(one.queue for one in process.claim()) == ["mail"] * 2 + ["other"] * 8
    assert running_in(store, "mail") == 4
    [mail, *_] = [one for one in processes[0].executor.running() if one.queue == "mail"]
    processes[0].end(mail)
    assert [one.queue for one in processes[0].claim()].count("mail") == 1


def test_of_two_limits_the_narrower_holds(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    limit(store, clock, mail=3)
    put(store, *(job(clock, queue="mail") for _ in range(9)))
    first, second = make_process(limits={"mail": 2}), make_process(limits={"mail": 2})
    assert (len(first.claim()), len(second.claim())) == (2, 1)


def test_of_a_limited_queue_nothing_is_claimed_ahead_of_its_slot(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=4)
    warm_up(process)
    limit(store, clock, mail=30)
    put(store, *(job(clock, queue="mail") for _ in range(40)))
    assert (len(process.claim()), process.executor.waiting()) == (4, 0)


def test_a_queue_whose_row_is_locked_is_passed_over_and_nobody_waits(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    if store.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    limit(store, clock, mail=5)
    put(store, job(clock, queue="mail"), job(clock, queue="other"))
    other, holding, done = make_process(), Event(), Event()

    def hold() -> None:
        with store.begin() as connection:
            assert [one.name for one in queues.lock_free(connection, store.dialect, ["mail"])] == ["mail"]
            holding.set()
            done.wait(30)

    holder = Thread(target=hold)
    holder.start()
    try:
        assert holding.wait(30)
        assert other.claim_one().queue == "other"
    finally:
        done.set()
        holder.join(30)
    assert other.claim_one().queue == "mail"


def test_while_a_queue_is_full_or_paused_a_turn_writes_nothing(
    store: Store, clock: ManualClock, process: Process
) -> None:
    limit(store, clock, mail=1, slow=1)
    pause(store, clock, "slow")
    put(store, *(job(clock, queue="mail") for _ in range(3)), job(clock, queue="slow"))
    process.claim_one()
    store.begin = no_writing  # type: ignore[method-assign]
    process.turn()


def test_a_job_that_outlived_a_worker_counts_against_the_limit_like_any_other(
    store: Store, clock: ManualClock, process: Process
) -> None:
    limit(store, clock, mail=2)
    put(store, *(job(clock, queue="mail") for _ in range(4)))
    forge(store, "UPDATE scheduler_jobs SET crashes = 1")
    forge(store, "UPDATE scheduler_jobs SET crashes = 0 WHERE id = (SELECT min_id FROM (SELECT min(id) AS min_id"
          " FROM scheduler_jobs) AS first_one)")  # fmt: skip
    claims = process.claim()
    assert sorted(one.crashes for one in claims) == [0, 1]
    assert process.claim() == []


# -- pauses ------------------------------------------------------------------------------------------


def test_a_paused_queue_is_claimed_from_by_nobody_and_what_runs_goes_on(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    first, second = make_process(slots=1), make_process()
    put(store, *(job(clock, queue="mail") for _ in range(3)))
    runs = first.claim_one()
    pause(store, clock, "mail")
    put(store, job(clock, queue="mail"), job(clock, queue="other"))
    assert second.claim_one().queue == "other"
    first.finish(runs)
    assert state_of(store, runs.id) is JobState.SUCCEEDED
    assert first.claim() == second.claim() == []
    assert resume(store, "mail")
    assert len(second.claim()) == 3
    assert not resume(store, "mail")


def test_a_pause_with_an_end_is_over_at_its_microsecond_and_the_loop_waits_for_that(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, job(clock, queue="mail"), job(clock, queue="mail", after=0.1))
    pause(store, clock, "mail", seconds=0.4)
    process.turn()
    assert process.wait == pytest.approx(0.4)
    clock.advance(0.399999)
    assert process.claim() == []
    clock.advance(0.000001)
    assert len(process.claim()) == 2


def test_a_pause_of_one_queue_wakes_the_loop_for_none_of_its_jobs(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, *(job(clock, queue="mail", after=0.1 * n) for n in range(9)), job(clock, after=0.7))
    pause(store, clock, "mail")
    process.turn()
    assert process.wait == pytest.approx(0.7)


def test_what_was_paused_for_longer_than_its_max_lateness_is_missed_when_the_queue_is_resumed(
    store: Store, clock: ManualClock, process: Process
) -> None:
    late = job(clock, queue="mail", max_lateness=10.0)
    put(store, late)
    pause(store, clock, "mail", seconds=60)
    clock.advance(30)
    assert process.turn().missed == []
    assert state_of(store, late.id) is JobState.SCHEDULED
    clock.advance(31)
    assert process.claim() == []
    assert state_of(store, late.id) is JobState.MISSED


def test_a_limited_queue_that_is_paused_after_the_look_is_not_claimed_from(
    store: Store, clock: ManualClock, process: Process
) -> None:
    limit(store, clock, mail=5)
    put(store, job(clock, queue="mail"))
    view = store.read(process.loop._steps.peek)
    pause(store, clock, "mail")
    with store.begin() as connection:
        assert process.claiming.claim_due(connection, view.ranges, "w", clock.now()) == ([], [])


def test_what_waits_in_a_paused_queue_is_nothing_that_a_worker_waits_for_before_it_ends(
    store: Store, clock: ManualClock
) -> None:
    put(store, job(clock, queue="mail"))

    def is_left() -> bool:
        return store.read(lambda c: waiting.is_anything_left(c, clock.now(), "w", lambda _queue: True, Unserved()))

    assert is_left()
    pause(store, clock, "mail", seconds=10)
    assert not is_left()
    clock.advance(10)
    assert is_left()


def test_a_pause_that_cannot_be_read_stays_in_force_and_stops_no_other_queue(
    store: Store, clock: ManualClock, process: Process
) -> None:
    if store.dialect.name != "sqlite":
        pytest.skip("this database holds a column to its type")
    put(store, job(clock, queue="mail"), job(clock, queue="other"))
    pause(store, clock, "mail")
    forge(store, "UPDATE scheduler_queues SET paused_until = 'tomorrow' WHERE name = 'mail'")
    assert process.claim_one().queue == "other"
    found = store.read(lambda connection: queues.by_name(connection, "mail"))
    assert found is not None
    assert (found.is_paused(clock.now()), found.pause_reason) == (True, "its pause cannot be read: tomorrow")


# -- a flood -----------------------------------------------------------------------------------------


def test_a_claim_takes_from_a_flooded_queue_and_from_another_and_the_other_first(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, *(job(clock, queue="flood", after=-60) for _ in range(500)))
    assert [one.queue for one in process.claim()] == ["flood"] * 10
    put(store, *(job(clock, queue="quiet") for _ in range(3)))
    clock.advance(60)
    for one in process.executor.running()[:5]:
        process.end(one)
    assert [one.queue for one in process.claim()] == ["quiet"] * 3 + ["flood"] * 2


def test_what_is_claimed_ahead_of_a_flood_leaves_room_for_another_queue(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=4)
    warm_up(process)
    put(store, *(job(clock, queue="flood", after=-60) for _ in range(500)))
    process.claim()
    put(store, job(clock, queue="quiet"))
    process.end(process.executor.running()[0])
    assert process.claim()[0].queue == "quiet"


@pytest.mark.parametrize("kind", ["limited", "at most once", "outlived a worker"])
def test_what_may_only_take_a_free_slot_gets_one_though_a_flood_is_claimed_ahead(
    kind: str, store: Store, clock: ManualClock
) -> None:
    process = Process(store, clock, slots=4)
    warm_up(process)
    put(store, *(job(clock, queue="flood", after=-60) for _ in range(500)))
    process.claim()
    assert process.executor.waiting() > 4
    waits = job(clock, queue="mail", at_most_once=kind == "at most once")
    put(store, waits)
    if kind == "limited":
        limit(store, clock, mail=1)
    if kind == "outlived a worker":
        forge(store, "UPDATE scheduler_jobs SET crashes = 1 WHERE id = :id", id=waits.id)
    claimed: list[Claim] = []
    for _ in range(200):
        clock.advance(0.001)
        process.end(process.executor.running()[0])
        claimed = process.claim()
        if any(one.id == waits.id for one in claimed):
            break
        assert not claimed, "a flood was claimed ahead of a job that waits for a slot"
    assert any(one.id == waits.id for one in claimed)


def test_with_one_slot_the_next_turn_is_the_other_queues(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=1)
    put(store, *(job(clock, queue="flood", after=-60, at_most_once=True) for _ in range(50)))
    for _ in range(5):
        process.end(process.claim_one())
    put(store, job(clock, queue="quiet", at_most_once=True))
    assert process.claim_one().queue == "quiet"


def test_claims_that_have_no_room_do_not_use_up_the_turn_of_the_lowest_priority(
    store: Store, clock: ManualClock
) -> None:
    process = Process(store, clock, slots=1)
    put(store, *(job(clock, priority=0, at_most_once=True) for _ in range(20)))
    put(store, *(job(clock, priority=3, at_most_once=True) for _ in range(4)))
    seen = []
    for _ in range(16):
        seen.append(process.claim_one())
        process.turn()
        process.loop.must_reconcile = True
        process.turn()
        process.end(seen[-1])
    assert [index for index, one in enumerate(seen, 1) if one.priority == 3] == [8, 16]


# -- rows --------------------------------------------------------------------------------------------


def test_a_queue_gets_its_row_when_it_is_first_claimed_from(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    put(store, job(clock, queue="mail"), job(clock, queue="later", after=9))
    process = make_process()
    process.claim_one()
    assert rows(store) == {"mail": None}
    put(store, job(clock, queue="mail"))
    assert make_process().claim_one().queue == "mail"
    clock.advance(9)
    process.claim_one()
    assert rows(store) == {"mail": None, "later": None}


# -- what a person says ------------------------------------------------------------------------------

noted: dict[str, Any] = {"active": 0, "most": 0, "ran": 0}
counting = Lock()


def note_how_many() -> None:
    """Count those that run at once, and stay for a moment so that others would be seen beside it."""
    with counting:
        noted["active"] += 1
        noted["most"] = max(noted["most"], noted["active"])
    Event().wait(0.01)
    with counting:
        noted["active"] -= 1
        noted["ran"] += 1


@pytest.fixture
def _nothing_noted() -> None:
    noted.update(active=0, most=0, ran=0)


def client_of(app: Flask) -> Client:
    found: Client = app.extensions["scheduler"].client
    return found


def wait_until(done: Callable[[], bool], seconds: float = 30) -> None:
    tick = Event()
    for _ in range(int(seconds / 0.02)):
        if done():
            return
        tick.wait(0.02)
    raise AssertionError("not done in time")


@pytest.mark.usefixtures("_nothing_noted")
def test_loops_that_share_a_database_never_run_more_of_a_queue_at_once_than_it_may(
    make_app: Callable[..., Flask],
) -> None:
    settings = {"SCHEDULER_QUEUES": {"mail": {"concurrency": 2}}}
    apps = [make_app(**settings) for _ in range(3)]
    with apps[0].app_context():
        for _ in range(30):
            using(queue="mail").schedule_now(note_how_many)
    for app in apps:
        app.extensions["scheduler"].aps.run_loop(paused=False)
    wait_until(lambda: noted["ran"] == 30)
    assert noted["most"] == 2
    assert client_of(apps[0]).queue("mail").queue.concurrency == 2


def test_a_limit_that_is_taken_out_of_the_settings_is_taken_out_of_the_row(make_app: Callable[..., Flask]) -> None:
    for configured, limits in (
        ({"mail": {"concurrency": 2}}, {"default": None, "mail": 2}),
        ({"mail": {"concurrency": 3}, "slow": {"concurrency": 1}}, {"default": None, "mail": 3, "slow": 1}),
        (["mail"], {"default": None, "mail": None, "slow": 1}),
    ):
        app = make_app(SCHEDULER_QUEUES=configured)
        client_of(app).limit_queues()
        found = {status.queue.name: status.queue.concurrency for status in client_of(app).queues()}
        assert found == limits


def test_a_person_pauses_and_resumes_a_queue_and_sees_why(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    client = client_of(app)
    with app.app_context():
        job_id = using(queue="mail").schedule_now(note_how_many).id
    paused = client.pause_queue("mail", reason="the relay is down", for_seconds=600)
    assert (paused.paused, paused.waiting, paused.running) == (True, 1, 0)
    end = paused.queue.paused_until
    assert end is not None
    [default, mail] = client.queues()
    assert (default.queue.name, default.paused, mail.queue, mail.waiting) == ("default", False, paused.queue, 1)
    explained = client.explain(job_id)
    assert explained.facts[-1].endswith(f"until {end:%Y-%m-%d %H:%M:%S} UTC: the relay is down.")
    assert str(explained.remedy).startswith("Resume it with 'flask scheduler resume --queue mail'.")
    longer = client.pause_queue("mail")
    assert (longer.queue.paused_until, longer.queue.pause_reason) == (None, None)
    resumed = client.resume_queue("mail")
    assert (resumed.paused, resumed.queue.paused_at, resumed.queue.pause_reason) == (False, None, None)
    assert client.resume_queue("mail") == resumed


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"for_seconds": 0}, "for_seconds"),
        ({"for_seconds": -1}, "for_seconds"),
        ({"for_seconds": float("nan")}, "for_seconds"),
        ({"for_seconds": "10m"}, "for_seconds"),
        ({"until": datetime(2020, 1, 1)}, "it has no time zone"),
        ({"until": "tomorrow"}, "not a datetime"),
        ({"until": datetime.fromisoformat("2020-01-01T00:00:00+00:00")}, "has passed"),
        ({"until": datetime.fromisoformat("9020-01-01T00:00:00+00:00")}, "more than"),
        ({"until": datetime.fromisoformat("2999-01-01T00:00:00+00:00"), "for_seconds": 3}, "not by both"),
        ({"reason": ""}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"name": ""}, "name"),
        ({"name": "x" * 192}, "name"),
    ],
)
def test_a_pause_that_cannot_be_is_refused_with_nothing_stored(
    options: dict[str, Any], problem: str, make_app: Callable[..., Flask]
) -> None:
    client = client_of(make_app())
    with pytest.raises(QueuePauseError, match=problem):
        client.pause_queue(**{"name": "mail"} | options)
    assert rows(client.store) == {}


def test_a_queue_that_is_not_there_is_refused_with_the_nearest_name(make_app: Callable[..., Flask]) -> None:
    configured, free = client_of(make_app(SCHEDULER_QUEUES=["mail"])), client_of(make_app())
    for verb in (configured.pause_queue, configured.resume_queue, configured.queue):
        with pytest.raises(QueueNotFoundError, match=r"There is no queue 'mial'\. Did you mean 'mail'\?"):
            verb("mial")
    with pytest.raises(QueueNotFoundError):
        free.resume_queue("mail")
    assert free.pause_queue("mail").paused
    assert rows(free.store) == {"mail": None}


@pytest.mark.usefixtures("_nothing_noted")
def test_a_loop_that_runs_leaves_a_paused_queue_alone_and_goes_on_when_its_pause_ends(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app()
    client = client_of(app)
    app.extensions["scheduler"].aps.run_loop(paused=False)
    client.pause_queue("mail", for_seconds=1)
    end = client.queue("mail").queue.paused_until
    with app.app_context():
        held = using(queue="mail").schedule_now(note_how_many)
        other = schedule_now(note_how_many)
    other.result(timeout=30)
    assert held.refresh().state is JobState.SCHEDULED
    held.result(timeout=30)
    assert end is not None
    started = job_of(client.store, held.id).started_at
    assert started is not None
    assert started >= end
