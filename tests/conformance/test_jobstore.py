"""`DurableJobStore` by itself, started with no scheduler: APScheduler's job store contract, and ours beneath it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.job import Job as ApsJob
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask
from sqlalchemy import text

from scheduler_app import schedule_after, schedule_now, signals, task, using
from scheduler_app.client import Client
from scheduler_app.errors import (
    ConfigurationError,
    ForeignSchedulerError,
    JobConflictError,
    NeverMeetError,
    NotSchedulableError,
    OnceOnlyError,
    PayloadError,
    ScheduleNameError,
    ScheduleOptionError,
    SigningKeyError,
    TriggerError,
)
from scheduler_app.jobs import JobState
from scheduler_app.loop import DurableJobStore
from tests.conformance.sides import until

SECRET = "the secret of the conformance tests"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def note(*_what: Any, **_more: Any) -> None:
    """What the jobs here call; none of them runs."""


def other(*_what: Any) -> None:
    """Another one."""


@task(name="tests.named")
def named() -> None:
    """A task under a name of its own."""


class Mailer:
    """Something that a module makes once, and methods are called of."""

    def send(self, to: str) -> None:
        """A method of an object."""

    def __call__(self) -> None:
        """The object itself can be called."""

    @staticmethod
    def post() -> None:
        """A function in a class."""

    @classmethod
    def made(cls) -> None:
        """A method of the class."""

    class Inner:
        """A class in a class."""

        @staticmethod
        def deep() -> None:
            """A function in it."""


mailer = Mailer()
HERE = __name__


@pytest.fixture
def store(migrated_url: str) -> Iterator[DurableJobStore]:
    made = DurableJobStore(migrated_url, signing_key=SECRET, task_modules=["tests"])
    made.start(None, "default")
    yield made
    made.shutdown()


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> Iterator[Client]:
    """The client of an app on the same database, with the same secret."""
    app = make_app(SCHEDULER_QUEUES=["default", "mails"])
    with app.app_context():
        yield app.extensions["scheduler"].client


class Zone:
    """As much of a scheduler as APScheduler's `Job` asks for."""

    timezone = UTC


def job(job_id: str = "x", func: Any = note, **options: Any) -> ApsJob:
    """Return a job as a scheduler would hand it to a store."""
    facts = {
        "trigger": DateTrigger(NOW, UTC), "executor": "default", "func": func, "args": (), "kwargs": {}, "id": job_id,
        "name": job_id, "misfire_grace_time": None, "coalesce": True, "max_instances": 1, "next_run_time": NOW,
    } | options  # fmt: skip
    return ApsJob(Zone, **facts)


def at(hours: float) -> datetime:
    return NOW + hours * HOUR


def ids(jobs: list[ApsJob]) -> list[str]:
    return [one.id for one in jobs]


# -- the contract --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trigger",
    [
        DateTrigger(NOW, UTC),
        IntervalTrigger(minutes=5, start_date=NOW),
        CronTrigger(hour=3, timezone=UTC),
        OrTrigger([CronTrigger(hour=3, timezone=UTC), AndTrigger([DateTrigger(NOW, UTC)])]),
    ],
)
def test_a_job_is_found_as_it_was_added(trigger: Any, store: DurableJobStore) -> None:
    added = job(
        trigger=trigger, args=(1, "two"), kwargs={"at": NOW}, name="The X", misfire_grace_time=60, coalesce=False,
        max_instances=3, executor="mails",
    )  # fmt: skip
    store.add_job(added)
    found = store.lookup_job("x")
    assert found is not None
    names = set(ApsJob.__slots__) - {"__weakref__", "_scheduler", "_jobstore_alias", "trigger"}
    assert {name: getattr(found, name) for name in names} == {name: getattr(added, name) for name in names}
    assert str(found.trigger) == str(trigger)
    assert (found._scheduler, found._jobstore_alias, found.pending) == (None, "default", False)


def test_what_is_not_there_is_none_and_cannot_be_changed_or_removed(store: DurableJobStore) -> None:
    assert store.lookup_job("x") is None
    assert (store.get_all_jobs(), store.get_due_jobs(NOW), store.get_next_run_time()) == ([], [], None)
    for verb in (lambda: store.update_job(job()), lambda: store.remove_job("x")):
        with pytest.raises(JobLookupError) as caught:
            verb()
        assert str(caught.value) == "'No job by the id of x was found'"
    store.remove_all_jobs()


def test_an_id_is_one_jobs(store: DurableJobStore) -> None:
    store.add_job(job(args=(1,)))
    with pytest.raises(ConflictingIdError):
        store.add_job(job(args=(2,)))
    assert [one.args for one in store.get_all_jobs()] == [(1,)]


def test_several_are_added_all_or_none(store: DurableJobStore) -> None:
    store.add_job(job("b"))
    with pytest.raises(ConflictingIdError, match="b"):
        store.add_jobs([job("a"), job("b"), job("c")])
    assert ids(store.get_all_jobs()) == ["b"]


def test_jobs_come_by_their_next_run_time_paused_ones_last(store: DurableJobStore, client: Client) -> None:
    store.add_job(job("paused", next_run_time=None))
    store.add_job(job("third", next_run_time=at(3)))
    store.add_job(job("first", next_run_time=at(1)))
    second = client.schedule_at(at(2), note, (), {})
    last = client.schedule_at(at(0.5), note, (), {})
    parked = store.lookup_job(last.id)
    assert parked is not None
    parked.next_run_time = None
    store.update_job(parked)
    listed = ids(store.get_all_jobs())
    assert listed[:3] == ["first", second.id, "third"]
    assert set(listed[3:]) == {"paused", last.id}
    assert store.get_next_run_time() == at(1)


def test_what_is_due_is_read_and_not_taken(store: DurableJobStore, client: Client) -> None:
    store.add_job(job("early", next_run_time=at(-1)))
    store.add_job(job("now"))
    store.add_job(job("later", next_run_time=NOW + timedelta(microseconds=1)))
    store.add_job(job("paused", next_run_time=None))
    call = client.schedule_at(at(-0.5), note, (), {})
    for _ in range(2):
        assert ids(store.get_due_jobs(NOW)) == ["early", call.id, "now"]
    assert client.get(call.id).state is JobState.SCHEDULED
    assert store.get_next_run_time() == at(-1)


def test_a_job_is_replaced_by_its_newer_version(store: DurableJobStore) -> None:
    store.add_job(job())
    store.update_job(
        job(
            func=other, args=("new",), name="New", trigger=IntervalTrigger(hours=2, start_date=NOW), next_run_time=at(2)
        )
    )
    found = store.lookup_job("x")
    assert found is not None
    assert (found.func, found.args, found.name, found.next_run_time) == (other, ("new",), "New", at(2))
    store.update_job(job(next_run_time=None))
    assert store.get_next_run_time() is None
    assert store.get_due_jobs(at(99)) == []


def test_a_removed_job_is_gone(store: DurableJobStore) -> None:
    store.add_job(job("x"))
    store.add_job(job("y"))
    store.remove_job("x")
    assert ids(store.get_all_jobs()) == ["y"]
    with pytest.raises(JobLookupError):
        store.remove_job("x")


def test_removing_all_ends_schedules_cancels_what_waits_and_leaves_what_was(
    store: DurableJobStore, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler_app.loop.jobstore.CANCELLED_AT_ONCE", 2)
    store.add_job(job("x"))
    store.add_job(job("paused", next_run_time=None))
    waiting = [client.schedule_after(60, note, (), {}) for _ in range(5)]
    parked = store.lookup_job(waiting[0].id)
    assert parked is not None
    parked.next_run_time = None
    store.update_job(parked)
    before = client.schedule_after(60, note, (), {})
    client.cancel(before.id)
    ended = client.get(before.id)
    heard: list[str] = []

    def hear(_sender: object, job_id: str, **_: Any) -> None:
        heard.append(job_id)

    with signals.job_cancelled.connected_to(hear):
        store.remove_all_jobs()
    assert store.get_all_jobs() == []
    assert client.schedules() == []
    assert {client.get(one.id).state for one in waiting} == {JobState.CANCELLED}
    assert sorted(heard) == sorted(one.id for one in waiting)
    assert client.get(before.id) == ended
    with pytest.raises(JobConflictError):
        client.reschedule(waiting[0].id, after=1)


# -- waiting calls as date jobs ------------------------------------------------------------------------------


def test_a_waiting_call_is_a_date_job_of_its_id(store: DurableJobStore, client: Client) -> None:
    call = client.schedule_at(at(1), note, (1,), {"b": 2})
    found = store.lookup_job(call.id)
    assert found is not None
    assert (found.id, found.name, found.func) == (call.id, f"{HERE}:note", note)
    assert (tuple(found.args), found.kwargs, found.executor) == ((1,), {"b": 2}, "default")
    assert isinstance(found.trigger, DateTrigger)
    assert (found.trigger.run_date, found.next_run_time) == (at(1), at(1))
    assert (found.misfire_grace_time, found.coalesce, found.max_instances) == (None, True, 1)


def test_a_call_that_has_ended_is_no_job_any_more(store: DurableJobStore, client: Client) -> None:
    call = client.schedule_at(at(1), note, (), {})
    client.cancel(call.id)
    assert (store.lookup_job(call.id), store.get_all_jobs()) == (None, [])
    with pytest.raises(JobLookupError):
        store.remove_job(call.id)


def test_a_waiting_call_is_given_another_time_paused_resumed_and_removed(
    store: DurableJobStore, client: Client
) -> None:
    call = client.schedule_at(at(1), note, (), {})
    found = store.lookup_job(call.id)
    assert found is not None
    found.next_run_time = at(2)
    store.update_job(found)
    assert client.get(call.id).run_at == at(2)
    found.next_run_time = None
    store.update_job(found)
    assert client.get(call.id).state is JobState.PAUSED
    assert store.lookup_job(call.id).next_run_time is None  # type: ignore[union-attr]
    found.next_run_time = at(3)
    store.update_job(found)
    assert (client.get(call.id).state, client.get(call.id).run_at) == (JobState.SCHEDULED, at(3))
    store.remove_job(call.id)
    assert client.get(call.id).state is JobState.CANCELLED


def test_a_waiting_call_takes_another_function_arguments_and_queue_and_stays_signed(
    store: DurableJobStore, client: Client
) -> None:
    call = client.schedule_at(at(1), note, (1,), {})
    found = store.lookup_job(call.id)
    assert found is not None
    found._scheduler = Zone
    found._modify(func=other, args=("new",), executor="mails", misfire_grace_time=30, name=f"{HERE}:note")
    store.update_job(found)
    again = store.lookup_job(call.id)
    assert again is not None  # so its signature is right
    assert (again.func, tuple(again.args), again.executor, again.misfire_grace_time) == (other, ("new",), "mails", 30)


def test_a_pause_signs_nothing_anew(store: DurableJobStore, client: Client) -> None:
    call = client.schedule_at(at(1), named, (), {})
    before = signature_of(store, call.id)
    found = store.lookup_job(call.id)
    assert found is not None
    found.next_run_time = None
    store.update_job(found)
    assert signature_of(store, call.id) == before
    assert client.get(call.id).task == "tests.named"


def signature_of(store: DurableJobStore, job_id: str) -> str:
    statement = text("SELECT signature FROM scheduler_jobs WHERE id = :id")
    found: str = store.store.read(lambda connection: connection.execute(statement, {"id": job_id}).scalar_one())
    return found


def test_a_waiting_call_that_holds_a_key_holds_it_while_it_is_paused(store: DurableJobStore, client: Client) -> None:
    call = using(key="k").schedule_after(3600, note)
    found = store.lookup_job(call.id)
    assert found is not None
    found.next_run_time = None
    store.update_job(found)
    assert using(key="k").schedule_after(3600, note).id == call.id


def test_a_call_takes_nothing_that_only_a_schedule_has(store: DurableJobStore, client: Client) -> None:
    call = client.schedule_at(at(1), note, (), {})
    for change in ({"trigger": IntervalTrigger(hours=1)}, {"name": "Another"}):
        with pytest.raises(OnceOnlyError, match="runs once and cannot take"):
            store.update_job(changed(store, call.id, **change))
    assert client.get(call.id).run_at == at(1)


def changed(store: DurableJobStore, job_id: str, **changes: Any) -> ApsJob:
    found = store.lookup_job(job_id)
    assert found is not None
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def test_the_id_of_a_waiting_call_is_not_a_schedules(store: DurableJobStore, client: Client) -> None:
    call = client.schedule_at(at(1), note, (), {})
    with pytest.raises(ConflictingIdError):
        store.add_job(job(call.id))


# -- what means nothing here -----------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["task", "payload", "signature"])
def test_a_row_that_means_nothing_here_is_left_alone_and_hides_no_other(
    column: str, store: DurableJobStore, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    store.add_job(job("bad"))
    store.add_job(job("good"))
    call = client.schedule_at(NOW, note, (), {})
    for table, key, name in (("scheduler_schedules", "name", "bad"), ("scheduler_jobs", "id", call.id)):
        forge(store, f"UPDATE {table} SET {column} = 'what is this' WHERE {key} = '{name}'")
    assert ids(store.get_all_jobs()) == ids(store.get_due_jobs(NOW)) == ["good"]
    assert store.lookup_job("bad") is None
    assert "'bad' cannot be shown here and is left alone" in caplog.text
    assert f"{call.id!r} cannot be shown here and is left alone" in caplog.text
    assert client.get(call.id).state is JobState.SCHEDULED
    assert len(client.schedules()) == 2


def forge(store: DurableJobStore, statement: str) -> None:
    store.store.write(lambda connection: connection.execute(text(statement)))


def test_a_function_that_is_not_known_here_is_neither_deleted_nor_due_here(
    store: DurableJobStore, migrated_url: str, client: Client
) -> None:
    store.add_job(job("x"))
    call = client.schedule_at(NOW, note, (), {})
    elsewhere = DurableJobStore(migrated_url, signing_key=SECRET, task_modules=["another_app"])
    elsewhere.start(None, "default")
    assert (elsewhere.get_due_jobs(NOW), elsewhere.get_all_jobs(), elsewhere.lookup_job("x")) == ([], [], None)
    elsewhere.shutdown()
    assert set(ids(store.get_due_jobs(NOW))) == {"x", call.id}


def test_another_key_reads_nothing_and_an_older_one_still_does(store: DurableJobStore, migrated_url: str) -> None:
    store.add_job(job("x"))
    for keys, seen in ((["another secret, long enough"], []), (["a newer secret, long enough", SECRET], ["x"])):
        other_store = DurableJobStore(migrated_url, signing_key=keys, task_modules=["tests"])
        other_store.start(None, "default")
        assert ids(other_store.get_all_jobs()) == seen
        other_store.shutdown()


# -- which functions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "function"),
    [
        ("note", note),
        ("Mailer.post", Mailer.post),
        ("Mailer.made", Mailer.made),
        ("Mailer.Inner.deep", Mailer.Inner.deep),
        ("mailer.post", Mailer.post),
        ("mailer.send", mailer.send),
        ("mailer", mailer),
        ("named", named),
    ],
)
def test_a_path_through_classes_or_an_object_of_a_module_leads_back(
    reference: str, function: Any, store: DurableJobStore, migrated_url: str
) -> None:
    args = ("someone",) if reference == "mailer.send" else ()
    store.add_job(job(func=f"{HERE}:{reference}", args=args))
    fresh = DurableJobStore(migrated_url, signing_key=SECRET, task_modules=["tests"])
    fresh.start(None, "default")
    found = fresh.lookup_job("x")
    assert found is not None
    assert found.func in (
        function,
        mailer.__call__ if function is mailer else function,
        getattr(function, "__wrapped__", function),
    )
    found.next_run_time = None
    fresh.update_job(found)
    again = fresh.lookup_job("x")
    assert again is not None
    assert (again.func, again.next_run_time) == (found.func, None)
    fresh.shutdown()


def test_an_object_is_not_stored_and_the_error_names_its_path(store: DurableJobStore) -> None:
    with pytest.raises(NotSchedulableError) as caught:
        store.add_job(job(func=mailer.send, args=("someone",)))
    assert str(caught.value) == (
        f"The method '{HERE}:Mailer.send' cannot be scheduled: it is bound to an instance, which cannot be stored. Pass"
        " a module-level function and the instance's id, and load the instance in that function. Or, if a module makes"
        " the object, pass the path of the method as text, such as 'app.mail:mailer.send': each process then takes the"
        " object of its own module."
    )
    with pytest.raises(PayloadError):
        store.add_job(job(func=note, args=(mailer,)))
    assert store.get_all_jobs() == []


def test_a_path_out_of_the_apps_own_code_is_refused(migrated_url: str) -> None:
    narrow = DurableJobStore(migrated_url, signing_key=SECRET, task_modules=["another_app"])
    narrow.start(None, "default")
    for reference in ("note", "Mailer.post", "mailer.send"):
        with pytest.raises(NotSchedulableError, match="is not one of the app's"):
            narrow.add_job(job(func=f"{HERE}:{reference}", args=("someone",) if "send" in reference else ()))
    narrow.shutdown()


# -- what is refused -----------------------------------------------------------------------------------------


class _Odd(DateTrigger):
    """A trigger that could not be read back."""


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"func": lambda: None}, NotSchedulableError),
        ({"func": print}, NotSchedulableError),
        ({"args": (object(),)}, PayloadError),
        ({"trigger": _Odd(NOW, UTC)}, TriggerError),
        ({"trigger": AndTrigger([CronTrigger(second=n, timezone=UTC) for n in (1, 2)])}, NeverMeetError),
        ({"job_id": "x" * 192}, ScheduleNameError),
        ({"misfire_grace_time": 2**31}, ScheduleOptionError),
        ({"max_instances": 2**31}, ScheduleOptionError),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_stored(
    options: dict[str, Any], error: type[Exception], store: DurableJobStore
) -> None:
    with pytest.raises(error):
        store.add_job(job(**options))
    assert store.get_all_jobs() == []


def test_an_id_may_have_any_character(store: DurableJobStore) -> None:
    for job_id in ("Ünï", "x ", "x", "X", "a/b?c=d&e", "'; DROP TABLE x", "\U0001f4e6" * 191):
        store.add_job(job(job_id))
    assert len(store.get_all_jobs()) == 7
    for job_id in ("x", "X", "x "):
        assert store.lookup_job(job_id).id == job_id  # type: ignore[union-attr]


def test_a_stock_scheduler_may_not_start_it(migrated_url: str) -> None:
    stock = BackgroundScheduler()
    stock.add_jobstore("durable", url=migrated_url, signing_key=SECRET)
    with pytest.raises(ForeignSchedulerError, match=r"cannot be used by a BackgroundScheduler, which deletes a job"):
        stock.start()
    assert not stock.running


@pytest.mark.parametrize(
    ("url", "key", "error", "words"),
    [
        ("redis://localhost", SECRET, ConfigurationError, "The url of a DurableJobStore names a 'redis' database"),
        ("sqlite://", SECRET, ConfigurationError, "names an in-memory SQLite database"),
        ("sqlite:////tmp/x", "", SigningKeyError, "An empty secret cannot sign"),
        ("sqlite:////tmp/x", [], SigningKeyError, "There is no signing key"),
    ],
)
def test_an_address_or_a_key_that_cannot_be_used_is_told_in_words(
    url: str, key: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        DurableJobStore(url, signing_key=key)


def test_what_is_added_by_itself_is_run_by_the_apps(store: DurableJobStore, make_app: Callable[..., Flask]) -> None:
    app = make_app()
    with app.app_context():
        aps = app.extensions["scheduler"].aps
        aps.start()
        store.add_job(job("once", next_run_time=datetime.now(UTC)))
        client: Client = app.extensions["scheduler"].client
        handle = schedule_now(note)
        later = schedule_after(3600, note)
        until(lambda: store.lookup_job("once") is None and client.get(handle.id).finished)
        assert ids(store.get_all_jobs()) == [later.id]
