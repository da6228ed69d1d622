"""What an executor of processes and its children say to each other, and what is made of an end that was not told."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler_app import GiveUp, Retry, Snooze
from scheduler_app.executors import children
from scheduler_app.executors.children import How
from scheduler_app.executors.endings import killed_result
from scheduler_app.executors.forwarding import ForwardingHandler, log_here
from scheduler_app.executors.wire import ended_of, facts_of, order_of, result_of, unpack
from scheduler_app.jobs import Outcome
from scheduler_app.outcomes import Refusal, Result
from scheduler_app.store import Claim

NOW = datetime(2030, 1, 1, tzinfo=UTC)
THEN = NOW + timedelta(seconds=2)


def claim(**changed: Any) -> Claim:
    facts = {
        "id": "job-1", "task": "t", "payload": '{"a":["\\ud800"],"k":{}}', "signature": "v1:k:m", "queue": "default",
        "priority": 2, "run_at": NOW, "attempt": 1, "max_attempts": 3, "crashes": 1, "at_most_once": True,
        "fence": 7, "key": None, "schedule_uid": "s", "fire_time": THEN, "max_lateness": 5.0, "timeout": 2.5,
    }  # fmt: skip
    return Claim(**(facts | changed))


@pytest.mark.parametrize(
    ("how", "cancelled", "outcome", "refusal", "error"),
    [
        (How.TIMED_OUT, False, Outcome.TIMEOUT, None,
         "JobTimeoutError: ran longer than its timeout of 2.5 s and was killed"),
        (How.TIMED_OUT, True, Outcome.TIMEOUT, None,
         "JobTimeoutError: ran longer than its timeout of 2.5 s and was killed"),
        (How.DIED, False, Outcome.ABANDONED, None, "its process died: why"),
        (How.DIED, True, Outcome.CANCELLED, None, "Job job-1 was asked to stop, and its process was killed."),
        (How.NOT_STARTED, False, None, Refusal.NOT_STARTED, "its process had gone: why"),
        (How.NOT_STARTED, True, Outcome.CANCELLED, None, "Job job-1 was asked to stop, and its process was killed."),
    ],
)  # fmt: skip
def test_an_end_that_was_not_told_is_decided(
    how: How, cancelled: bool, outcome: Outcome | None, refusal: Refusal | None, error: str
) -> None:
    found = killed_result(claim(cancelled=cancelled), how, "why", NOW, THEN)
    assert (found.outcome, found.refusal, found.error) == (outcome, refusal, error)
    assert (found.started_at, found.finished_at) == (NOW, THEN)


@pytest.mark.parametrize("fire_time", [THEN, None])
def test_a_claim_travels_whole_but_for_what_is_of_its_own_process(fire_time: datetime | None) -> None:
    sent = claim(fire_time=fire_time, claimed_at=3.0, progress="half", deadline=9.0)
    order = unpack(order_of(sent, "shop"))
    found = Claim(**facts_of(order))
    names = [name for name in Claim.__slots__ if name not in ("claimed_at", "progress", "deadline")]
    assert [getattr(found, name) for name in names] == [getattr(sent, name) for name in names]
    assert (order["module"], found.claimed_at, found.progress, found.deadline) == ("shop", 0.0, None, float("inf"))


@pytest.mark.parametrize(
    "result",
    [
        Result(NOW, NOW, Outcome.SUCCESS, value='{"$":"set","v":[1]}'),
        Result(NOW, NOW, Outcome.SUCCESS, error="result not kept: ..."),
        Result(NOW, NOW, Outcome.ERROR, error="E: \ud800", traceback="T", kinds=("shop:E", "builtins:Exception")),
        Result(NOW, NOW, Outcome.CANCELLED, error="stopped"),
        Result(NOW, NOW, refusal=Refusal.MALFORMED, error="forged"),
    ],
)
def test_a_result_travels_as_data_with_the_parents_times(result: Result) -> None:
    found = result_of(unpack(ended_of(result)), NOW, THEN)
    names = ("outcome", "refusal", "value", "error", "traceback", "kinds", "wish")
    assert [getattr(found, name) for name in names] == [getattr(result, name) for name in names]
    assert (found.started_at, found.finished_at) == (NOW, THEN)
    assert (found.exception is not None) == (result.outcome is Outcome.ERROR)


@pytest.mark.parametrize(
    ("wish", "seconds"), [(Retry(after=5), 5.0), (Retry(), None), (Snooze(7), 7.0), (GiveUp("x"), None)]
)
def test_a_wish_travels(wish: Any, seconds: float | None) -> None:
    found = result_of(unpack(ended_of(Result(NOW, NOW, Outcome.ERROR, error="e", wish=wish))), NOW, NOW).wish
    assert found is not None
    assert (type(found), found.seconds) == (type(wish), seconds)


# -- logs ------------------------------------------------------------------------------------------------


def test_a_record_travels_with_its_error_and_its_own_facts(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("no such box")
    except ValueError:
        record = logging.LogRecord("shop", 40, "shop.py", 7, "for %s", ("Ada",), exc_info=sys.exc_info(), func="ship")
    record.order, record.box = 42, object()
    log_here({"record": ForwardingHandler._facts(record)})
    [found] = caplog.records
    assert (found.getMessage(), found.funcName, found.lineno, found.order) == ("for Ada", "ship", 7, 42)  # type: ignore[attr-defined]
    assert not hasattr(found, "box")
    assert "ValueError: no such box" in str(found.exc_text)


def test_a_record_that_the_apps_own_handlers_take_is_not_sent_too() -> None:
    sent: list[bytes] = []
    handler = ForwardingHandler(lambda data: sent.append(data) is None)
    own, other = logging.getLogger("own"), logging.getLogger("other")
    own.propagate = other.propagate = False
    own.addHandler(logging.NullHandler())
    own.addHandler(handler)
    other.addHandler(handler)
    try:
        own.warning("written here")
        other.warning("sent")
    finally:
        own.handlers.clear()
        other.handlers.clear()
        own.propagate = other.propagate = True
    assert [unpack(data)["record"]["msg"] for data in sent] == ["sent"]


def test_a_record_below_the_parents_level_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "shop")
    record = logging.LogRecord("shop", logging.INFO, "shop.py", 7, "hello", (), None)
    log_here({"record": ForwardingHandler._facts(record)})
    assert caplog.records == []


# -- the interpreter ---------------------------------------------------------------------------------------


def test_a_server_that_embeds_python_is_no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert children._python() == sys.executable
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert children._python() == f"{sys.exec_prefix}/bin/python3"
