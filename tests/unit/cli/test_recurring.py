"""`flask scheduler schedules`."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from apscheduler.triggers.combining import AndTrigger
from apscheduler.triggers.cron import CronTrigger
from flask import Flask

from scheduler_app.client import Client, declaration_of
from scheduler_app.store import schedules
from tests.unit.cli.conftest import Run
from tests.unit.cli.shop import sell
from tests.unit.cli.test_verbs import Terminal

SHAPES = ["table", "json", "jsonl", "csv", "ids"]


@pytest.fixture
def nightly(app: Flask) -> str:
    recurring = app.extensions["scheduler"].recurring
    given = {"catch_up": "none", "overlap": "queue", "tags": ["books"]}
    declared = declaration_of(sell, given, cron="30 2 * * *", timezone="Europe/Berlin", name="nightly")
    return str(recurring.upsert(declared, declared=True))


def orphan(client: Client, name: str) -> None:
    now = client.store.clock.now()
    client.store.write(lambda connection: schedules.mark_declared(connection, {name: False}, now))


def test_a_list_says_when_each_fires_next_and_what_should_be_known(
    app: Flask, client: Client, nightly: str, flask_scheduler: Run
) -> None:
    app.extensions["scheduler"].recurring.upsert(declaration_of(sell, {}, every={"hours": 1}, name="hourly"))
    client.pause_schedule("hourly")
    orphan(client, nightly)
    done = flask_scheduler("schedules", "list", "--utc")
    heading, first, second = done.stdout.splitlines()
    assert heading.split() == ["NAME", "STATE", "NEXT", "FIRES", "TASK", "QUEUE"]
    at = client.schedule(nightly).next_run_time
    assert first.split()[:4] == ["nightly", "orphaned", *f"{at:%Y-%m-%d %H:%M:%S}".split()]
    assert second.split()[:3] == ["hourly", "paused", "-"]
    assert "hourly: It is paused.\n" in done.stderr
    assert "nightly: It is orphaned: since " in done.stderr


@pytest.mark.parametrize("shape", SHAPES)
def test_every_format_of_the_list(nightly: str, flask_scheduler: Run, shape: str) -> None:
    done = flask_scheduler("schedules", "list", "--format", shape)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "nightly" in done.stdout
    if shape in ("json", "jsonl"):
        found = json.loads(done.stdout)
        facts = found[0] if shape == "json" else found
        assert (facts["catch_up"], facts["overlap"], facts["trigger"]["kind"]) == ("none", "queue", "cron")
        assert (facts["declared"], facts["orphaned_at"], facts["remarks"]) == (True, None, [])


def test_where_there_are_none_that_is_said(flask_scheduler: Run) -> None:
    done = flask_scheduler("schedules", "list")
    assert (done.stdout, done.stderr) == ("", "There are no schedules yet.\n")


def test_show_tells_the_rules_and_the_next_fire_time(nightly: str, flask_scheduler: Run) -> None:
    lines = dict(line.split(maxsplit=1) for line in flask_scheduler("schedules", "show", nightly).stdout.splitlines())
    assert lines["name"] == "nightly"
    assert lines["fires"] == "cron[hour='2', minute='30']"
    assert (lines["catch-up"], lines["overlap"], lines["last"]) == ("none", "queue", "never")
    assert lines["declared"] == "by the code"
    assert json.loads(flask_scheduler("schedules", "show", nightly, "--format", "json").stdout)["tags"] == ["books"]


def test_several_triggers_together_are_shown_and_previewed(app: Flask, flask_scheduler: Run) -> None:
    both = [CronTrigger(hour=4, timezone="Europe/Oslo"), CronTrigger(hour="*", timezone="UTC")]
    app.extensions["scheduler"].recurring.upsert(declaration_of(sell, {}, on=AndTrigger(both), name="both"))
    shown = flask_scheduler("schedules", "show", "both").stdout
    assert "and[cron[hour='4'], cron[hour='*']]" in shown
    for line in flask_scheduler("schedules", "preview", "both", "--count", "3").stdout.splitlines()[1:]:
        assert line.split()[2:] in (["04:00:00", "CET"], ["04:00:00", "CEST"])


def test_a_preview_marks_what_a_change_of_clocks_does(nightly: str, flask_scheduler: Run) -> None:
    done = flask_scheduler("schedules", "preview", nightly, "--count", "366")
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["FIRE", "TIME", "CHANGE", "NOTE"]
    assert len(lines) == 366
    [gap] = [line for line in lines if " gap " in line]
    [fold] = [line for line in lines if " fold " in line]
    assert gap.split(maxsplit=5)[2:] == ["03:00:00", "CEST", "gap", "02:30 does not come: clocks go forward to 03:00"]
    assert "02:30 comes twice, because clocks go back; it fires the first time only" in fold
    [one] = json.loads(flask_scheduler("schedules", "preview", nightly, "--count", "1", "--format", "json").stdout)
    assert set(one) == {"fire_time", "utc", "change", "note"}


def test_a_person_pauses_resumes_runs_and_removes_one(client: Client, nightly: str, flask_scheduler: Run) -> None:
    assert flask_scheduler("schedules", "pause", nightly).stdout == "nightly paused\n"
    assert client.schedule(nightly).next_run_time is None
    assert flask_scheduler("schedules", "resume", nightly).stdout.startswith("nightly fires next at ")
    assert client.schedule(nightly).next_run_time is not None
    job = client.get(flask_scheduler("schedules", "run-now", nightly).stdout.strip())
    assert abs(job.run_at - client.store.clock.now()) < timedelta(minutes=1)
    assert flask_scheduler("schedules", "remove", nightly, "--yes").stdout == "nightly removed\n"
    assert client.schedules() == []


@pytest.mark.parametrize("verb", ["show", "preview", "pause", "resume", "run-now", "remove"])
def test_a_name_that_there_is_not_is_told_with_the_next_command(flask_scheduler: Run, verb: str) -> None:
    sure = ("--yes",) if verb == "remove" else ()
    done = flask_scheduler("schedules", verb, "nobody", *sure)
    assert done.exit_code == 3
    assert done.stderr.removeprefix("This removes 1 schedule: nobody.\n") == (
        "Error: There is no schedule 'nobody'. 'flask scheduler schedules list' shows their names.\n"
    )


@pytest.mark.parametrize("verb", ["pause", "resume", "run-now", "remove"])
def test_every_name_is_tried_and_where_only_some_could_be_it_ends_with_5(
    app: Flask, nightly: str, flask_scheduler: Run, verb: str
) -> None:
    sure = ("--yes",) if verb == "remove" else ()
    for words, stdin in (((nightly,), ""), (("-",), f"\n {nightly} \n")):
        app.extensions["scheduler"].recurring.upsert(declaration_of(sell, {}, every={"hours": 1}, name=nightly))
        done = flask_scheduler("schedules", verb, "nobody", *words, *sure, stdin=stdin)
        assert done.exit_code == 5
        assert "Error: There is no schedule 'nobody'." in done.stderr
        assert "1 of 2 schedules could be " in done.stderr
        assert len(done.stdout.splitlines()) == 1


def test_removing_asks_first_and_is_refused_where_nobody_can_be_asked(
    client: Client, nightly: str, flask_scheduler: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = flask_scheduler("schedules", "remove", nightly)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "This removes 1 schedule: nightly." in refused.stderr
    monkeypatch.setattr("scheduler_app.cli.losses.sys", Terminal())
    for answer, code, left in (("n", 1, [nightly]), ("y", 0, [])):
        assert flask_scheduler("schedules", "remove", nightly, stdin=f"{answer}\n").exit_code == code
        assert [one.name for one in client.schedules()] == left
    nothing = flask_scheduler("schedules", "remove", "-")
    assert (nothing.exit_code, nothing.stderr) == (0, "No names came on stdin, so nothing was removed.\n")
