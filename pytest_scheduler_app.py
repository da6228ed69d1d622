"""The pytest plugin of scheduler-app: the fixture `scheduler_clock`.

It is a module of its own, outside the package, so that pytest loads it in every suite of an environment without
importing Flask, SQLAlchemy or anything else: that is done by the first test that asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

try:
    import pytest
except ImportError as error:
    raise ImportError("The pytest plugin needs pytest. Install it: pip install 'scheduler-app[testing]'") from error

if TYPE_CHECKING:
    from scheduler_app.testing import SchedulerClock

NO_APP = (
    "The fixture scheduler_clock turns the scheduler of the Flask app that a fixture named 'app' returns, and there is"
    " none here. Write one in conftest.py, or a scheduler_clock of your own:"
    " 'with scheduler_app.testing.SchedulerClock(your_app) as clock: yield clock'."
)


@pytest.fixture
def scheduler_clock(request: pytest.FixtureRequest) -> Iterator[SchedulerClock]:
    """Run the jobs of the fixture `app` in this test's own thread, with a database for this test alone.

    Nothing runs by itself. `run_due()` runs what is due, `advance(hours=2)` moves the time and runs each job at its
    own, `assert_scheduled(fn, args=..., within=...)` says what was scheduled. See `scheduler_app.testing`.
    """
    app = _app_of(request)
    from scheduler_app.testing import SchedulerClock

    with SchedulerClock(app) as clock:
        yield clock


def _app_of(request: pytest.FixtureRequest) -> Any:
    try:
        return request.getfixturevalue("app")
    except pytest.FixtureLookupError as error:
        if error.argname != "app":
            raise
        pytest.fail(NO_APP, pytrace=False)
