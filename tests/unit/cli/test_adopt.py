"""`flask scheduler adopt`: the door, and the process that unpickles."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask
from flask_apscheduler import APScheduler
from sqlalchemy import create_engine, text

from scheduler_app.adoption import Found, Unreadable, read_apart
from scheduler_app.adoption.facts import job_of, line_of
from scheduler_app.adoption.pickles import Rules, read_pickle
from scheduler_app.client import Adopted, Client, Fate, declaration_of, make_options
from scheduler_app.errors import UnpicklingError
from scheduler_app.jobs import JobState, first_id_of
from scheduler_app.payload import decode_call, encode_call
from tests.old_jobs import SOON, TABLE, Standing, let_be_due, note, pair, state, stock
from tests.unit.cli.conftest import Run

RULES = Rules(lambda module: module.startswith("tests."), 65_536)
FACTS = {"modules": None, "max_payload_bytes": 65_536}


@pytest.fixture
def old(tmp_path: Path) -> str:
    """The URL of a database in which Flask-APScheduler stored jobs, by its configuration and by hand."""
    url = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    app = Flask("old")
    app.config |= {
        "SCHEDULER_JOBSTORES": {"default": {"type": "sqlalchemy", "url": url}},
        "SCHEDULER_JOB_DEFAULTS": {"coalesce": False, "max_instances": 3},
        "SCHEDULER_JOBS": [{"id": "tidy", "func": "tests.old_jobs:note", "trigger": "interval", "hours": 1}],
        "SCHEDULER_TIMEZONE": "Europe/Oslo",
    }
    top = APScheduler(Standing())
    top.init_app(app)
    top.start(paused=True)
    top.add_job("remind 42", note, trigger="date", run_date=SOON, args=["an order"], misfire_grace_time=3600)
    top.shutdown()
    let_be_due(url, ["remind 42"], datetime.now(UTC) - timedelta(minutes=5))
    return url


def put(url: str, *rows: tuple[str, Any, Any]) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for row in rows:
            named = dict(zip(("id", "at", "state"), row, strict=True))
            connection.execute(text(f"INSERT INTO {TABLE} VALUES (:id, :at, :state)"), named)
    engine.dispose()


@pytest.mark.usefixtures("_signals_as_before")
def test_the_jobs_of_flask_apscheduler_are_adopted_and_run(old: str, client: Client, flask_scheduler: Run) -> None:
    before = Path(old.removeprefix("sqlite:///")).read_bytes()
    done = flask_scheduler("adopt", TABLE, "--url", old, "--yes")
    assert done.exit_code == 0
    heading, first, second = done.stdout.splitlines()
    assert heading.split() == ["ID", "FATE", "BECOMES", "NEXT", "FIRES", "CALLS"]
    assert first.split()[:4] == ["remind", "42", "adopted", "job"]
    assert second.split()[:3] == ["tidy", "adopted", "schedule"]
    assert "This unpickles 2 pickles of 'apscheduler_jobs' in sqlite:///" in done.stderr
    assert "A pickle can run code when it is read." in done.stderr
    assert "remind 42: It was due at " in done.stderr
    assert "2 adopted, 0 there already, 0 refused.\n" in done.stderr
    assert "Stop the old scheduler before this one runs: a job that is in both would run twice.\n" in done.stderr
    assert done.stderr.endswith(f"Then empty its table, in {old}: DELETE FROM apscheduler_jobs;\n")
    tidy = client.schedule("tidy")
    assert (tidy.coalesce, tidy.max_instances, tidy.misfire_grace_time) == (False, 3, 1)
    noted = {(row.action, row.target) for row in client.audit()}
    assert noted == {("job.adopt", client.list()[0].id), ("schedule.adopt", "tidy")}

    assert flask_scheduler("run", "--until-empty").exit_code == 0
    [job] = client.list()
    assert (job.key, job.task, job.state) == ("remind 42", "tests.old_jobs:note", JobState.SUCCEEDED)
    again = flask_scheduler("adopt", TABLE, "--url", old, "--yes", "--format", "json")
    assert again.exit_code == 0
    assert [(one["id"], one["fate"], one["kind"], one["job_id"]) for one in json.loads(again.stdout)] == [
        ("remind 42", "there", "job", job.id),
        ("tidy", "there", "schedule", None),
    ]
    assert client.list() == [job]
    assert Path(old.removeprefix("sqlite:///")).read_bytes() == before


def test_exit_codes_tell_all_some_none_and_no_table(
    client: Client, sqlite_url: str, tmp_path: Path, flask_scheduler: Run
) -> None:
    nowhere = flask_scheduler("adopt", TABLE, "--yes")
    assert nowhere.exit_code == 3
    assert f"There is no table 'apscheduler_jobs' in {sqlite_url}. Say with --url" in nowhere.stderr
    file = tmp_path / "not" / "there.sqlite3"
    assert flask_scheduler("adopt", TABLE, "--yes", "--url", f"sqlite:///{file}").exit_code == 3
    assert not file.parent.exists()
    (tmp_path / "text").write_text("this is no database")
    unreadable = flask_scheduler("adopt", TABLE, "--yes", "--url", f"sqlite:///{tmp_path / 'text'}")
    assert (unreadable.exit_code, "cannot be read: file is not a database. Check" in unreadable.stderr) == (69, True)
    wrong = flask_scheduler("adopt", TABLE, "--yes", "--url", "sqlite://")
    assert (wrong.exit_code, "in-memory" in wrong.stderr) == (2, True)
    assert client.list() == []
    other = flask_scheduler("adopt", "scheduler_jobs", "--yes")
    assert (other.exit_code, "it has no column 'next_run_time'" in other.stderr) == (1, True)
    with stock(sqlite_url):
        pass
    empty = flask_scheduler("adopt", TABLE)
    assert (empty.exit_code, empty.stderr) == (0, "There are no jobs in 'apscheduler_jobs'.\n")
    put(sqlite_url, ("bad", SOON.timestamp(), "text"))
    asked = flask_scheduler("adopt", TABLE, "--dry-run")
    assert (asked.exit_code, "Repeat with --yes if it is meant." in asked.stderr) == (2, True)
    none = flask_scheduler("adopt", TABLE, "--yes", "--dry-run")
    assert none.exit_code == 1
    assert "0 adopted, 0 there already, 1 refused. Nothing was stored: this was a dry run.\n" in none.stderr
    put(sqlite_url, ("good", SOON.timestamp(), state(id="good", func="__main__:note")))
    some = flask_scheduler("adopt", TABLE, "--yes", "--main", "tests.old_jobs", "--format", "json")
    assert some.exit_code == 5
    assert {one["id"]: (one["fate"], one["func"]) for one in json.loads(some.stdout)} == {
        "bad": ("refused", None),
        "good": ("adopted", "tests.old_jobs:note"),
    }
    assert f"Then empty its table, once the refused ones are seen to, in {sqlite_url}: DELETE FROM " in some.stderr
    assert client.get(key="good").run_at == SOON.astimezone(UTC)


# -- what stands in the way ------------------------------------------------------------------------


def found(job_id: str, **changed: Any) -> Found:
    one = read_pickle(job_id, SOON.timestamp(), state(id=job_id), RULES)
    assert isinstance(one, Found)
    return replace(one, **changed)


def fates(adopted: Sequence[Adopted]) -> list[tuple[str, Fate, str]]:
    return [(one.id, one.fate, " ".join(one.remarks)) for one in adopted]


def test_what_has_the_name_of_something_else_is_told_and_left_alone(app: Flask, client: Client) -> None:
    recurring = app.extensions["scheduler"].recurring
    recurring.upsert(declaration_of(pair, {}, every={"hours": 1}, args=(1, 2), name="recurs"))
    recurring.upsert(declaration_of(note, {}, every={"hours": 1}, name="same"))
    holder = client.schedule_after(3600, pair, (1, 2), {}, make_options(key="held"))
    adopted = client.adopt([found(name) for name in ("recurs", "same", "held", "new", "a\nb")], ["default"])
    told = {name: (fate, said) for name, fate, said in fates(adopted)}
    assert told["recurs"][0] is Fate.REFUSED
    assert "There is a schedule 'recurs' already, which calls 'tests.old_jobs:pair'." in told["recurs"][1]
    assert told["held"][0] is Fate.REFUSED
    assert f"by the id {holder.id}, which has not started and has this as its key." in told["held"][1]
    left = "What is here fires otherwise, or has other arguments; it is left as it is."
    assert (told["same"], told["new"]) == ((Fate.THERE, left), (Fate.ADOPTED, ""))
    assert told["a\nb"] == (Fate.ADOPTED, "Its id cannot be a key.")
    other = client.adopt([found("new", payload='{"a":[1],"k":{}}')], ["default"])
    assert "There is a job 'new' already, which was adopted before, with another call." in fates(other)[0][2]
    assert [job.key for job in client.list()] == ["held", "new", None] or len(client.list()) == 3
    assert all(job.id < first_id_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) for job in client.list()[1:])


def test_arguments_that_nobody_may_see_are_stored_as_such(client: Client) -> None:
    payload = encode_call(("ada", "a token"), {}, max_bytes=1000, allowed=RULES.allows)
    client.adopt([found("secret", func="tests.old_jobs:log_in", payload=payload)], ["default"])
    call = decode_call(client.get(key="secret").payload, allowed=RULES.allows)
    assert (call.args, call.secret) == (("ada", "a token"), (1,))


# -- one pickle ------------------------------------------------------------------------------------


BAD_FACTS: list[tuple[dict[str, Any], str]] = [
    ({"version": 2}, "stored in a version"),
    ({"id": "other"}, "that of another job"),
    ({"func": None}, "its function is not named"),
    ({"func": "x" * 192}, "its function is not named"),
    ({"trigger": 5}, "its trigger is none of APScheduler's own"),
    ({"args": "text"}, "its arguments are no list and mapping"),
    ({"kwargs": {1: 2}}, "str keys"),
    ({"args": ("\ud800",)}, "lone surrogate"),
    ({"name": 1}, "its name is no text"),
    ({"executor": ""}, "its executor is not named"),
    ({"misfire_grace_time": 0}, "its misfire_grace_time"),
    ({"misfire_grace_time": timedelta(1)}, "its misfire_grace_time"),
    ({"coalesce": None}, "its coalesce"),
    ({"max_instances": 2**31}, "its max_instances"),
]


def test_of_one_pickle_all_that_is_wrong_is_told() -> None:
    for changed, said in BAD_FACTS:
        one = read_pickle("one", SOON.timestamp(), state(**changed), RULES)
        assert isinstance(one, Unreadable), changed
        assert said.lower() in one.reason.lower()
    both = read_pickle("one", SOON.timestamp(), state(trigger=5, args=(note,)), RULES)
    assert isinstance(both, Unreadable)
    for at in ("soon", float("inf"), 1e300, b"1"):
        one = read_pickle("one", at, state(), RULES)
        assert isinstance(one, Unreadable), at
        assert one.trigger is not None


CALLED = [
    ("builtins", "eval"), ("__builtin__", "exec"), ("builtins", "__import__"), ("os", "system"), ("posix", "system"),
    ("subprocess", "Popen"), ("importlib", "import_module"), ("operator", "attrgetter"), ("functools", "partial"),
    ("types", "FunctionType"), ("copyreg", "add_extension"), ("pickle", "loads"), ("pytz", "open_resource"),
    ("_codecs", "decode"), ("apscheduler.util", "ref_to_obj"), ("apscheduler.triggers.cron", "datetime"),
    ("apscheduler.triggers.cron.expressions", "re"), ("apscheduler.triggers.base", "timedelta"),
    ("tests.old_jobs", "Mailer"), ("tests.old_jobs", "os"), ("tests.old_jobs", "pair"), ("flask", "Flask"),
    ("scheduler_app.jobs", "JobState"),
]  # fmt: skip
"""What a pickle may name that runs code, or leads to it; and what is the app's own, but no enum."""


def naming(module: str, name: str) -> bytes:
    """Return the pickle that is what a module has by this name, in protocol 4, where a name may have dots."""
    texts = (b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + b"".join(texts) + b"\x93."


def test_whatever_a_pickle_names_is_refused_before_it_is_called() -> None:
    for module, name in CALLED:
        for pickled in (f"c{module}\n{name}\n.".encode(), naming(module, name)):
            one = read_pickle("one", None, pickled, RULES)
            assert isinstance(one, Unreadable)
            assert "which is not read from a pickle" in one.reason, (module, name)
    for parts in (("zoneinfo", "ZoneInfo.from_file"), ("tests.old_jobs", "Colour.mro"), ("datetime", "datetime.now")):
        assert "which is not read from a pickle" in str(read_pickle("one", None, naming(*parts), RULES)), parts
    taken = b"cbuiltins\ngetattr\n(cbuiltins\nobject\nS'__subclasses__'\ntR."
    assert "builtins.getattr" in str(read_pickle("one", None, taken, RULES))


BUILT = [
    b"capscheduler.triggers.cron.expressions\nAllExpression\n(N(S'get_next_value'\ncbuiltins\nset\ndtb.",
    b"ctests.old_jobs\nColour\n(N(S'name'\nI1\ndtb.",
    b"c_codecs\nencode\n(N(S'__defaults__'\n(I1\ntdtb.",
    b"capscheduler.triggers.cron.expressions\nAllExpression\n)\x81(N(S'__class__'\nNdtb.",
]
"""Pickles that change a class or a function, or what an object is."""


def test_no_pickle_changes_a_class_a_function_or_a_combination_that_is_made() -> None:
    either = OrTrigger([IntervalTrigger(hours=1)])
    evil = {"jitter": None, "triggers": [("tests.old_evil:Evil", {})]}
    whole, state_again = pickle.dumps(either, 2)[:-1], pickle.dumps(evil, 2)[2:-1]
    for pickled in (*BUILT, whole + state_again + b"b."):
        said = str(read_pickle("one", None, pickled, RULES))
        assert "which is not read from a pickle" in said, (pickled, said)
    assert isinstance(read_pickle("one", None, state(trigger=either), RULES), Found)


def test_a_job_is_at_the_time_of_its_column() -> None:
    at = SOON.timestamp()
    exact, moved, paused = (read_pickle("one", given, state(), RULES) for given in (at + 0.001, at + 60, None))
    assert [one.next_run_time for one in (exact, moved, paused)] == [
        SOON.astimezone(UTC), SOON.astimezone(UTC) + timedelta(minutes=1), None,
    ]  # fmt: skip


def test_zones_of_pytz_as_older_apschedulers_pickled_them_are_read() -> None:
    pytz = pytest.importorskip("pytz")
    oslo = pytz.timezone("Europe/Oslo")
    trigger = IntervalTrigger(hours=1, start_date=SOON, timezone="Europe/Oslo")
    trigger.timezone, trigger.start_date = oslo, oslo.normalize(SOON.astimezone(oslo))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        old = pickle.dumps(pickle.loads(state(trigger=trigger, next_run_time=trigger.start_date)), protocol)
        one = read_pickle("one", SOON.timestamp(), old, RULES)
        assert isinstance(one, Found), (protocol, one)
        assert one.next_run_time == SOON.astimezone(UTC)
        assert json.loads(one.trigger)["timezone"] == "Europe/Oslo"


def test_what_the_other_process_says_is_checked() -> None:
    good = found("one")
    assert job_of(line_of(good)) == good
    bad = Unreadable("one", "It is bad.", next_run_time=SOON.astimezone(UTC))
    assert job_of(line_of(bad)) == bad
    for changed in ({"id": 1}, {"trigger": "{}"}, {"next_run_time": "soon"}, {"max_instances": 0}, {"more": 1}):
        with pytest.raises(ValueError, match=r"."):
            job_of(json.dumps(json.loads(line_of(good)) | changed).encode())


# -- the process that unpickles ----------------------------------------------------------------------


@pytest.fixture
def enum_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], bytes]]:
    """Make a module of the app with an enum, which does something when it is imported, and a pickle of its member."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(does: str) -> bytes:
        (tmp_path / "old_enum.py").write_text(f"from enum import Enum\n{does}\nclass Size(Enum):\n    SMALL = 1\n")
        return b"cold_enum\nSize\n(I1\ntR."

    return make


def test_pickles_are_read_in_a_process_of_its_own_that_has_no_secrets(
    enum_in: Callable[[str], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "a secret")
    seen = tmp_path / "seen"
    told = "json.dumps([os.getpid(), dict(os.environ)])"
    does = f"import json, os\nopen({str(seen)!r}, 'w').write({told})\nprint('noise')"
    huge = b"cbuiltins\nbytearray\n(L4000000000L\ntR."
    rows = [("enum", None, enum_in(does)), ("huge", None, huge), ("one", None, state())]
    enum, too_much, one = read_apart(rows, **FACTS)
    pid, environment = json.loads(seen.read_text())
    assert pid != os.getpid()
    assert "DATABASE_PASSWORD" not in environment
    assert isinstance(enum, Unreadable)
    assert enum.reason == "Its pickle holds no job of APScheduler 3."
    assert isinstance(too_much, Unreadable)
    assert "MemoryError" in too_much.reason
    assert isinstance(one, Found)
    assert one.next_run_time is None


@pytest.mark.parametrize(
    ("does", "seconds", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", 20, "was killed by SIGKILL. It was at the job 'second'"),
        ("import threading; threading.Event().wait()", 2, "took more than 2 seconds. It was at the job "),
    ],
)
def test_a_process_that_dies_or_hangs_is_told_and_nothing_is_adopted(
    enum_in: Callable[[str], bytes], does: str, seconds: float, said: str
) -> None:
    rows = [("one", None, state()), ("second", None, enum_in(does)), ("third", None, b"")]
    with pytest.raises(UnpicklingError) as caught:
        read_apart(rows, seconds=seconds, **FACTS)
    assert said in str(caught.value)
    assert str(caught.value).startswith("Nothing was adopted, because the process that reads the pickles ")
