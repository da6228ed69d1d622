"""A test has the scheduler for itself: nothing of it is seen before or after, and the app is as it was."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from scheduler_app import Actor, Scheduler, schedule_after, schedule_now
from scheduler_app.errors import (
    AfterTestError,
    ClockInUseError,
    ClockNotRunningError,
    LoopInTestError,
    NotRegisteredError,
)
from scheduler_app.store import schema
from scheduler_app.testing import SchedulerClock
from tests.unit.testing import shop
from tests.unit.testing.shop import Seen, create_app, scheduler


def names(client: Any) -> list[str]:
    return [job.task.rpartition(":")[2] for job in client.list()]


@pytest.fixture
def placed(tmp_path: Path) -> Flask:
    """An app without a key, whose own database would be in this test's folder."""
    app = Flask("shop", instance_path=str(tmp_path / "instance"))
    app.testing = True
    scheduler.init_app(app)
    return app


# -- before and after ----------------------------------------------------------------------------------


def test_nothing_that_one_test_schedules_is_seen_by_the_next(app: Flask, seen: Seen) -> None:
    for _ in range(3):
        with SchedulerClock(app) as clock, app.app_context():
            assert scheduler.client.list() == []
            assert clock.run_due() == []
            schedule_now(shop.send_mail, "ada")
            schedule_after(3600, shop.send_mail, "bob")
            scheduler.schedule_every(shop.tidy, hours=1)
            assert len(clock.run_due()) == 1
    assert len(seen.mails) == 3


def test_the_apps_own_database_is_neither_made_nor_opened(placed: Flask, tmp_path: Path, seen: Seen) -> None:
    with SchedulerClock(placed) as clock, placed.app_context():
        schedule_now(shop.send_mail, "ada")
        clock.run_due()
        [made] = Path(scheduler.client.store.url.removeprefix("sqlite:///")).parent.iterdir()
    assert seen.mails
    assert made.suffix == ".sqlite3"  # and no key beside it
    assert list(tmp_path.rglob("*")) == []


def test_no_connection_is_made_to_the_database_of_production(seen: Seen) -> None:
    app = create_app(SCHEDULER_DATABASE_URL="postgresql://nobody@192.0.2.1/nowhere", SECRET_KEY="the secret of a test")
    with SchedulerClock(app) as clock, app.app_context():
        schedule_now(shop.send_mail, "ada")
        assert len(clock.run_due()) == 1


def test_the_app_is_as_it_was_after_a_test_that_fails(app: Flask) -> None:
    before = app.extensions["scheduler"]
    with pytest.raises(RuntimeError, match="the test fails"), SchedulerClock(app):
        raise RuntimeError("the test fails")
    assert app.extensions["scheduler"] is before
    with SchedulerClock(app) as clock:
        clock.run_due()


def test_the_tables_are_migrated_once_for_all_tests(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with SchedulerClock(app) as clock:
        clock.run_due()
    monkeypatch.setattr(schema, "upgrade_to", lambda *_: pytest.fail("migrated again"))
    with SchedulerClock(app) as clock:
        clock.run_due()


def test_what_outlives_its_test_reaches_no_other_tests_jobs(app: Flask) -> None:
    with SchedulerClock(app), app.app_context():
        kept = schedule_now(shop.send_mail, "ada")
        client = scheduler.client
    with SchedulerClock(app), app.app_context():
        for late in (kept.refresh, lambda: client.schedule_after(0, shop.send_mail, ("late",), {})):
            with pytest.raises(AfterTestError, match="The test whose jobs these were has ended"):
                late()
        assert scheduler.client.list() == []


def test_a_thread_that_outlives_its_test_schedules_nothing_in_the_next(app: Flask) -> None:
    ended, caught = threading.Event(), list[BaseException]()

    def work(client: Any) -> None:
        assert ended.wait(20)
        try:
            client.schedule_after(0, shop.send_mail, ("late",), {})
        except AfterTestError as error:
            caught.append(error)

    with SchedulerClock(app), app.app_context():
        thread = threading.Thread(target=work, args=(scheduler.client,))
        thread.start()
    with SchedulerClock(app), app.app_context():
        ended.set()
        thread.join(20)
        assert scheduler.client.list() == []
    assert len(caught) == 1


def test_who_may_use_the_admin_is_as_the_app_says(tmp_path: Path) -> None:
    own = Scheduler()
    own.authorize(lambda _request: Actor("a test", "viewer"))
    app = create_app(own)
    with SchedulerClock(app):
        assert app.test_client().get("/scheduler/api/v1/jobs").status_code == 200


# -- apps ----------------------------------------------------------------------------------------------


def test_several_apps_have_their_own_jobs_and_one_time(seen: Seen) -> None:
    one, two = create_app(), create_app()
    with SchedulerClock(one) as first, SchedulerClock(two) as second:
        with one.app_context():
            schedule_after(3600, shop.note_app)
            with two.app_context():  # nested, as in a test that has pushed one
                schedule_after(3600, shop.note_app)
                schedule_after(3600, shop.note_app)
                assert names(scheduler.client) == ["note_app", "note_app"]
            assert names(scheduler.client) == ["note_app"]
        assert len(first.advance(hours=1)) == 1
        assert len(second.run_due()) == 2
    assert [*map(id, seen.apps)] == [*map(id, [one, two, two])]


def test_an_app_that_a_factory_makes_in_the_test_needs_no_fixture(seen: Seen) -> None:
    app = create_app()
    with SchedulerClock(app) as clock:
        app.test_client().post("/signup/ada")
        clock.drain()
    assert [subject for _, subject in seen.mails] == ["Welcome", "Reminder"]


class TestInATestCase(unittest.TestCase):
    """The same without pytest: nothing of the plugin is needed."""

    def setUp(self) -> None:
        self.app = create_app()
        self.clock = self.enterContext(SchedulerClock(self.app))

    def test_sign_up_mails(self) -> None:
        self.app.test_client().post("/signup/ada")
        self.clock.assert_scheduled(shop.send_mail, args=["ada"], within=30)
        assert len(self.clock.drain()) == 2

    def test_nothing_is_left_of_the_other_test(self) -> None:
        self.clock.assert_nothing_scheduled()


def test_a_failure_in_a_test_case_ends_at_the_tests_own_line() -> None:
    class Failing(TestInATestCase):
        def runTest(self) -> None:
            self.clock.assert_scheduled(shop.send_mail)

    result = unittest.TestResult()
    Failing().run(result)
    [(_, text)] = result.failures
    assert text.count("  File ") == 1
    assert "self.clock.assert_scheduled(shop.send_mail)" in text
    assert text.endswith("send_mail(...) was not scheduled.\nNothing was scheduled.\n")


# -- wrong use -----------------------------------------------------------------------------------------


def test_an_app_without_a_scheduler_is_told() -> None:
    with pytest.raises(NotRegisteredError), SchedulerClock(Flask("empty")):
        pass


@pytest.mark.parametrize(
    "use",
    [
        lambda clock: clock.run_due(),
        lambda clock: clock.advance(hours=1),
        lambda clock: clock.drain(),
        lambda clock: clock.assert_nothing_scheduled(),
        lambda clock: clock.assert_scheduled(shop.send_mail),
    ],
)
def test_a_clock_that_was_not_begun_or_has_ended_is_told(app: Flask, use: Callable[[SchedulerClock], Any]) -> None:
    clock = SchedulerClock(app)
    with pytest.raises(ClockNotRunningError, match="works within its 'with' block"):
        use(clock)
    with clock:
        pass
    with pytest.raises(ClockNotRunningError):
        use(clock)


def test_a_second_clock_on_one_app_is_told(app: Flask, scheduler_clock: SchedulerClock) -> None:
    with pytest.raises(ClockInUseError, match="This app has a SchedulerClock already"), SchedulerClock(app):
        pass
    scheduler_clock.run_due()


def test_a_loop_that_is_to_run_beside_the_clock_is_told(app: Flask, scheduler_clock: SchedulerClock) -> None:
    with app.app_context(), pytest.raises(LoopInTestError, match=r"call run_due\(\) or advance\(\)"):
        scheduler.start()
    run = app.test_cli_runner().invoke(args=["scheduler", "run", "--until-empty"])
    assert run.exit_code == 1
    assert "The loop of this app is turned by its SchedulerClock" in run.output


def test_a_loop_that_runs_already_is_told(tmp_path: Path) -> None:
    own = Scheduler()
    app = create_app(own, SCHEDULER_DATABASE_URL=f"sqlite:///{tmp_path / 'own.sqlite3'}")
    with app.app_context():
        own.start()
    try:
        with pytest.raises(LoopInTestError), SchedulerClock(app):
            pass
    finally:
        with app.app_context():
            own.shutdown()
            own.client.store.close()
    with SchedulerClock(app) as clock:
        clock.run_due()


def test_a_loop_that_comes_to_run_meanwhile_is_told(tmp_path: Path) -> None:
    own = Scheduler()
    app = create_app(own, SCHEDULER_DATABASE_URL=f"sqlite:///{tmp_path / 'own.sqlite3'}")
    parts = app.extensions["scheduler"]
    with SchedulerClock(app) as clock:
        parts.start()
        with pytest.raises(LoopInTestError):
            clock.run_due()
        parts.aps.shutdown()
        parts.store.close()


def test_a_scheduler_that_was_shut_down_begins_again(app: Flask, scheduler_clock: SchedulerClock, seen: Seen) -> None:
    with app.app_context():
        schedule_now(shop.send_mail, "ada")
        scheduler_clock.run_due()
        scheduler.shutdown()
        schedule_now(shop.send_mail, "bob")
    assert len(scheduler_clock.run_due()) == 1


def test_a_paused_scheduler_runs_nothing(app: Flask, scheduler_clock: SchedulerClock, seen: Seen) -> None:
    with app.app_context():
        scheduler_clock.run_due()
        scheduler.aps.pause()
        schedule_now(shop.send_mail, "ada")
        assert scheduler_clock.run_due() == []
        scheduler.aps.resume()
        assert len(scheduler_clock.run_due()) == 1
