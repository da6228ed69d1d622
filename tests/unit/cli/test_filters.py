"""Filters in the terminal: listing by them, and acting on all that they mean."""

from __future__ import annotations

import pytest
from flask import Flask

from scheduler_app.client import Client, listing, make_options
from scheduler_app.jobs import JobState
from tests.unit.cli.conftest import Run
from tests.unit.cli.shop import break_down, put
from tests.unit.cli.test_completion import offered


def ids(run: Run, *words: str) -> list[str]:
    done = run("list", "--format", "ids", *words)
    assert done.exit_code == 0, done.stderr
    return list(done.stdout.split())


def test_words_narrow_a_list_beside_the_options(client: Client, flask_scheduler: Run) -> None:
    plain = put(client, 1, options=make_options(tags=["order:42"], key="order:42:x"))
    mail = put(client, 2, options=make_options(queue="mail"))
    broken = put(client, "x", function=break_down)
    task = plain.task
    found = {
        (f"task={task}", "state=scheduled"): [mail.id, plain.id],
        ("--queue", "mail", f"task={task[:6]}*"): [mail.id],
        ("tag=order:42",): [plain.id],
        ("key=order:42:*", "created_after=2020-01-01"): [plain.id],
        ("args.0=2",): [mail.id],
        ("break_down",): [broken.id],
        ("--sort", "oldest"): [plain.id, mail.id, broken.id],
    }
    assert {words: ids(flask_scheduler, *words) for words in found} == found
    refused = flask_scheduler("list", "sate=failed", "queue=")
    assert refused.exit_code == 2
    assert "There is no filter 'sate'. Did you mean 'state'? The filter 'queue' is empty" in refused.stderr


def test_the_next_page_is_told_in_every_order_and_where_a_search_stopped(
    client: Client, flask_scheduler: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [put(client, number, options=make_options(queue="mail")) for number in range(3)]

    def pages(*words: str) -> list[str]:
        found = []
        while words:
            done = flask_scheduler(*words)
            found += done.stdout.split()
            _, _, command = done.stderr.partition("more: flask scheduler ")
            words = tuple(command.replace("'", "").split())
        return found

    made = [job.id for job in jobs]
    for sort in ("newest", "oldest", "run_at"):
        found = pages("list", "queue=mail", "--sort", sort, "--limit", "1", "--format", "ids")
        assert sorted(found) == made
    monkeypatch.setattr(listing, "SEARCHED_AT_MOST", 2)
    stopped = flask_scheduler("list", "queue=nowhere")
    assert stopped.stderr.startswith("2 jobs were looked at, and there are more: flask scheduler list queue=nowhere")
    assert ids(flask_scheduler, "args.0=0", "--all") == [made[0]]


ACTIONS = {
    ("pause",): (JobState.SCHEDULED, JobState.PAUSED, "2 paused\n"),
    ("resume",): (JobState.PAUSED, JobState.SCHEDULED, "2 resumed\n"),
    ("run-now",): (JobState.PAUSED, JobState.SCHEDULED, "2 made due\n"),
    ("reschedule", "--in", "10m"): (JobState.SCHEDULED, JobState.SCHEDULED, "2 moved\n"),
    ("cancel",): (JobState.SCHEDULED, JobState.CANCELLED, "2 cancelled, 0 asked to stop\n"),
    ("retry",): (JobState.CANCELLED, JobState.SCHEDULED, "2 put back in line\n"),
    ("release",): (JobState.QUARANTINED, JobState.SCHEDULED, "2 released\n"),
}


def test_every_verb_acts_on_a_filter_once_it_is_meant(client: Client, flask_scheduler: Run) -> None:
    jobs = [put(client, options=make_options(queue="mail")) for _ in range(2)]
    put(client)
    for words, (before, after, said) in ACTIONS.items():
        with client.store.begin() as connection:
            connection.exec_driver_sql(f"UPDATE scheduler_jobs SET state = '{before.value}'")
        asked = flask_scheduler(*words, "queue=mail")
        assert (asked.exit_code, asked.stdout) == (2, "")
        assert "Nobody can be asked, because stdin is no terminal. Repeat with --yes if it is meant." in asked.stderr
        dry = flask_scheduler(*words, "queue=mail", "--dry-run")
        assert (dry.exit_code, dry.stdout) == (0, "")
        assert dry.stderr.startswith("2 jobs would be ")
        other = flask_scheduler(*words, "queue=mail", "--expect", "3", "--yes")
        assert (other.exit_code, other.stdout) == (4, "")
        assert {client.get(job.id).state for job in jobs} == {before}, words
        done = flask_scheduler(*words, "queue=mail", "--expect", "2", "--yes")
        assert (done.exit_code, done.stdout) == (0, said), done.stderr
        assert done.stderr.startswith("2 jobs with queue=mail will be ")
        assert {client.get(job.id).state for job in jobs} == {after}, words


WRONG = {
    (
        "cancel",
        "queue=mail",
        "0192f0c1",
    ): "Name jobs either by ids or by a filter, not by both; for a text,",
    ("cancel", "queue=mail", "--key", "k"): "Name jobs either by --key or by a filter, such as key=order:42:*.",
    ("cancel", "0192f0c1", "--dry-run"): "--dry-run and --expect go with a filter, such as state=failed.",
    ("retry", "state=succeeded", "--yes"): "Only a job that is failed or cancelled or missed allows 'retry'",
    ("retry", "sate=failed"): "There is no filter 'sate'. Did you mean 'state'?",
}


def test_what_names_no_jobs_for_sure_is_wrong_usage(flask_scheduler: Run) -> None:
    for words, sentence in WRONG.items():
        done = flask_scheduler(*words)
        assert (done.exit_code, sentence in done.stderr) == (2, True), done.stderr
    nothing = flask_scheduler("cancel", "queue=mail")
    assert (nothing.exit_code, nothing.stderr) == (0, "0 jobs would be cancelled or asked to stop.\n")


def test_a_newer_holder_of_a_key_makes_it_partly_failed(client: Client, flask_scheduler: Run) -> None:
    keyed = put(client, options=make_options(key="k"))
    client.cancel(keyed.id)
    client.cancel(put(client).id)
    put(client, options=make_options(key="k"))
    done = flask_scheduler("retry", "state=cancelled", "--yes")
    assert (done.exit_code, done.stdout) == (5, "1 put back in line\n")
    assert "1 job could not be: they have moved on, or newer ones hold their keys." in done.stderr


def test_names_and_values_of_filters_are_offered(app: Flask, client: Client) -> None:
    job = put(client)
    assert {"state=", "args.", "error~", "created_after=", "state=failed"} <= offered(lambda: app, "list", "").keys()
    assert list(offered(lambda: app, "list", "state=s")) == ["state=scheduled", "state=succeeded"]
    assert {"task=", f"task={job.task}"} <= offered(lambda: app, "cancel", "task=").keys()
    assert list(offered(lambda: app, "cancel", "")) == [job.id]
