"""The pytest plugin: it costs a suite that does not use it nothing, and tells one that does what it lacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scheduler_app.errors import ExtraMissingError
from scheduler_app.testing import SchedulerClock
from tests.unit.testing.shop import create_app

pytest_plugins = ["pytester"]

APP = """
import pytest
from flask import Flask
from scheduler_app import Scheduler

@pytest.fixture
def app():
    app = Flask("shop")
    app.testing = True
    Scheduler(app)
    return app
"""


def test_a_suite_that_does_not_use_it_imports_nothing_for_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_nothing_is_imported(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("scheduler_app")
            heavy = {"scheduler_app", "flask", "sqlalchemy", "apscheduler", "freezegun"}
            assert heavy.isdisjoint(sys.modules)
    """)
    pytester.runpytest_subprocess("-W", "error", "--strict-config").assert_outcomes(passed=1)


def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(scheduler_clock): pass")
    result = pytester.runpytest_subprocess("-p", "no:scheduler_app")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*fixture 'scheduler_clock' not found*")


def test_a_suite_may_have_a_fixture_of_its_own_by_that_name(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def scheduler_clock():
            return "mine"
    """)
    pytester.makepyfile("def test_it(scheduler_clock): assert scheduler_clock == 'mine'")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_suite_without_an_app_is_told_what_to_write(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(scheduler_clock): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("The fixture scheduler_clock turns the scheduler of the Flask app that a fixture*")
    result.stdout.no_fnmatch_line("*pytest_scheduler_app.py*")


def test_a_fault_of_the_apps_own_fixture_is_not_covered_up(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def app(databse):
            pass
    """)
    pytester.makepyfile("def test_it(scheduler_clock): pass")
    pytester.runpytest_subprocess().stdout.fnmatch_lines("*fixture 'databse' not found*")


def test_an_app_without_a_scheduler_is_told(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP.replace("    Scheduler(app)\n", ""))
    pytester.makepyfile("def test_it(scheduler_clock): pass")
    pytester.runpytest_subprocess().stdout.fnmatch_lines("*NotRegisteredError: The current Flask app has no scheduler*")


def test_tests_that_share_an_app_do_not_see_each_other_in_several_processes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP.replace("@pytest.fixture", "@pytest.fixture(scope='session')"))
    pytester.makepyfile("""
        import pytest
        from scheduler_app import schedule_after, schedule_now

        ran = []

        def work(number):
            ran.append(number)

        @pytest.mark.parametrize("number", range(20))
        def test_it(app, scheduler_clock, number):
            ran.clear()
            with app.app_context():
                scheduler_clock.assert_nothing_scheduled()
                schedule_now(work, number)
                schedule_after(60, work, -number)
            scheduler_clock.run_due()
            assert ran == [number]
    """)
    pytester.runpytest_subprocess("-W", "error", "--numprocesses", "2").assert_outcomes(passed=20)


def test_without_pytest_the_plugin_names_the_extra() -> None:
    source = "import sys; sys.modules['pytest'] = None; import pytest_scheduler_app"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: The pytest plugin needs pytest. Install it: pip install 'scheduler-app[testing]'"
    )


def test_without_freezegun_only_freeze_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "freezegun"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "freezegun", None)
    with SchedulerClock(create_app()) as clock:
        clock.advance(hours=1)
        with pytest.raises(ExtraMissingError) as raised:
            clock.freeze()
    assert str(raised.value) == (
        "SchedulerClock.freeze() needs freezegun. Install it: pip install 'scheduler-app[testing]'"
    )
