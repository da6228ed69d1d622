"""`flask scheduler add`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from scheduler_app import current_job
from scheduler_app.cli.typed import typed_call
from scheduler_app.client import Client
from scheduler_app.jobs import Job, JobState
from scheduler_app.payload import decode_call
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.test_run import change

HERE = __name__


def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


def fail(why: str) -> None:
    raise ValueError(why)


def climb(steps: int) -> list[int]:
    current_job.progress(steps, 10, "up")
    return list(range(steps))


@pytest.fixture
def _working(app: Flask) -> Iterator[None]:
    """Jobs run in this process meanwhile."""
    parts = app.extensions["scheduler"]
    parts.start()
    yield
    parts.aps.shutdown(wait=True)


def only(client: Client) -> Job:
    [job] = client.list()
    return job


def test_words_are_json_or_text_and_keywords_have_an_equals_sign() -> None:
    typed: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "5 five true null 1.5": ((5, "five", True, None, 1.5), {}),
        'n=5 text=a=b q="5" empty=': ((), {"n": 5, "text": "a=b", "q": "5", "empty": ""}),
        '[1,{"a":null}] {"a":1}': (([1, {"a": None}], {"a": 1}), {}),
        'a-b=c 1x=2 "k=v"': (("a-b=c", "1x=2", "k=v"), {}),
        "NaN Infinity -Infinity 1e999 007": (("NaN", "Infinity", "-Infinity", "1e999", "007"), {}),
    }
    for words, call in typed.items():
        assert typed_call(words.split(" ")) == call
    assert typed_call(["[" * 100_000]) == (("[" * 100_000,), {})


def test_a_call_is_stored_with_its_options_and_the_id_is_all_of_stdout(client: Client, flask_scheduler: Run) -> None:
    done = flask_scheduler(
        "add", f"{HERE}:greet", "Ada", "loud=true", "--in", "10m", "--queue", "mail", "--priority", "high",
        "--tag", "a", "--tag", "b", "--key", "k:1", "--attempts", "3", "--timeout", "2m",
    )  # fmt: skip
    job = only(client)
    assert (done.exit_code, done.stdout) == (0, f"{job.id}\n")
    assert done.stderr.startswith("It is due at ")
    assert done.stderr.endswith(" in queue mail.\n")
    call = decode_call(job.payload, allowed=lambda _: False)
    assert (call.args, call.kwargs) == (("Ada",), {"loud": True})
    assert (job.queue, job.priority, job.tags, job.key) == ("mail", 1, ("a", "b"), "k:1")
    assert (job.max_attempts, job.timeout, job.origin) == (3, 120.0, '{"door": "flask scheduler add"}')
    assert timedelta(minutes=9) < job.run_at - client.store.clock.now() <= timedelta(minutes=10)

    again = flask_scheduler("add", f"{HERE}:greet", "Bob", "--key", "k:1", "--format", "ids")
    assert (again.exit_code, again.stdout) == (0, f"{job.id}\n")
    assert again.stderr.startswith("Its key is held by this job")
    told = flask_scheduler("add", f"{HERE}:greet", "Bob", "--at", "2030-01-01T12:00:00+01:00", "--format", "json")
    assert json.loads(told.stdout)["run_at"] == "2030-01-01T11:00:00.000000Z"


REFUSED: dict[str, tuple[list[str], int, str]] = {
    "a misspelt task": (["shop.gret", "x"], 3, "Did you mean 'shop.greet'? 'flask scheduler tasks' lists those"),
    "a function that is not there": ([f"{HERE}:gone"], 3, "has no 'gone'"),
    "too few arguments": ([f"{HERE}:greet"], 2, "missing a required argument: 'name'; it takes (name, *, loud=...)"),
    "too many arguments": ([f"{HERE}:greet", "1", "2"], 2, "too many positional arguments"),
    "an unknown keyword": ([f"{HERE}:greet", "x", "nam=1"], 2, "'nam'"),
    "a keyword twice": ([f"{HERE}:greet", "name=1", "name=2"], 2, "name=... is given twice."),
    "an unknown queue": ([f"{HERE}:greet", "x", "--queue", "mial"], 2, "Did you mean 'mail'?"),
    "both times": ([f"{HERE}:greet", "x", "--in", "1s", "--at", "2030-01-01"], 2, "--in or --at."),
    "too far": ([f"{HERE}:greet", "x", "--in", "36000d"], 2, "days ahead"),
    "a bad tag": ([f"{HERE}:greet", "x", "--tag", ""], 2, "non-empty string"),
    "no wait to bound": ([f"{HERE}:greet", "x", "--wait-timeout", "1s"], 2, "needs --wait"),
    "a negative number": ([f"{HERE}:greet", "-5"], 2, "No such option"),
}


def test_what_cannot_run_is_refused_in_words_and_nothing_is_stored(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_QUEUES=["mail"])
    app.extensions["scheduler"].registry.register(greet, name="shop.greet")
    client: Client = app.extensions["scheduler"].client
    for case, (words, code, sentence) in REFUSED.items():
        done = commands_of(app)("add", *words)
        assert (done.exit_code, done.stdout) == (code, ""), (case, done.output)
        assert sentence in done.stderr, case
    assert client.list() == []
    assert commands_of(app)("add", "shop.greet", "--", "-5").exit_code == 0


@pytest.mark.usefixtures("_working")
def test_wait_follows_to_the_end_and_exits_by_it(client: Client, flask_scheduler: Run) -> None:
    def wait(*words: str) -> tuple[int, str, list[str]]:
        done = flask_scheduler("add", *words, "--wait", "--wait-timeout", "20s")
        assert done.exit_code < 2, done.stderr
        return done.exit_code, done.stdout, done.stderr.splitlines()

    code, out, err = wait(f"{HERE}:climb", "3")
    assert (code, json.loads(out), err[-1]) == (0, [0, 1, 2], "It succeeded.")
    code, out, err = wait(f"{HERE}:fail", "no paper")
    assert (code, out) == (1, "")
    assert err[-1].startswith("It failed: ValueError: no paper. See more with 'flask scheduler show ")
    code, out, _ = wait(f"{HERE}:climb", "2", "--format", "json")
    facts = json.loads(out)
    assert (code, facts["state"], facts["result"]) == (0, "succeeded", [0, 1])
    late = flask_scheduler("add", f"{HERE}:greet", "x", "--in", "1h", "--wait", "--wait-timeout", "0.1s")
    assert (late.exit_code, late.stdout) == (1, "")
    assert " It goes on: 'flask scheduler show " in late.stderr
    assert "'flask scheduler why " in late.stderr
    assert "job.explain" not in late.stderr


@pytest.mark.parametrize(
    ("state", "said"),
    [(JobState.CANCELLED, "It was cancelled"), (JobState.MISSED, "It was missed"), (JobState.QUARANTINED, "put aside")],
)
def test_other_ends_are_told_in_words(
    client: Client, flask_scheduler: Run, monkeypatch: pytest.MonkeyPatch, state: JobState, said: str
) -> None:
    follow = client.follow

    def end_it(job_id: str, seconds: float) -> Iterator[Job]:
        for job in follow(job_id, seconds):
            yield job
            change(client, job, f"state = '{state}'")

    monkeypatch.setattr(client, "follow", end_it)
    done = flask_scheduler("add", f"{HERE}:greet", "x", "--in", "1h", "--wait")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1:3] == [
        "No worker is alive: start the app, or 'flask scheduler run'.",
        "scheduled",
    ]
    assert said in done.stderr.splitlines()[-1]


def test_ctrl_c_ends_the_wait_with_130_and_leaves_the_job_alone(
    client: Client, flask_scheduler: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_job_id: str, _seconds: float) -> Iterator[Job]:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "follow", interrupted)
    done = flask_scheduler("add", f"{HERE}:greet", "x", "--wait")
    job = only(client)
    assert (done.exit_code, done.stdout, job.state) == (130, "", JobState.SCHEDULED)
    assert done.stderr.splitlines()[-2:] == [
        f"The job goes on; see how far it is with 'flask scheduler show {job.id}'.",
        "Interrupted.",
    ]
