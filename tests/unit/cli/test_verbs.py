"""`flask scheduler cancel --key ...`, `pause`, `resume`, `reschedule`, `run-now`, `retry` and `prune`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler_app.client import Client, bulk, cancelling, make_options
from scheduler_app.jobs import Job, JobState, new_id
from scheduler_app.store.tables import jobs as jobs_table
from tests.unit.cli.conftest import Run
from tests.unit.cli.shop import put


def make(client: Client, key: str | None = None, tags: tuple[str, ...] = (), after: float = 3600) -> Job:
    return client.get(put(client, after=after, options=make_options(key=key, tags=tags)).id)


def force(client: Client, job_id: str, state: JobState, **columns: Any) -> None:
    """Bring a job to a state, as a worker elsewhere would."""
    change = jobs_table.update().where(jobs_table.c.id == job_id).values(state=state.value, **columns)
    client.store.write(lambda connection: connection.execute(change))


def z(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%f}Z"


# -- by key, prefix and tag ----------------------------------------------------------------------------------------


def test_jobs_are_cancelled_by_their_keys(client: Client, flask_scheduler: Run) -> None:
    jobs = [make(client, key=key) for key in ("a", "b", "c")]
    done = flask_scheduler("cancel", "--key", "a", "--key", "b", jobs[2].id)
    assert done.exit_code == 0
    assert done.stdout == "".join(f"{job.id} cancelled\n" for job in (jobs[2], jobs[0], jobs[1]))
    missing = flask_scheduler("cancel", "--key", "a")
    assert missing.exit_code == 3
    assert "Error: No job that has not ended has the key 'a'." in missing.stderr


@pytest.mark.parametrize("words", [("--key-prefix", "order:42:"), ("--tag", "order:42")])
def test_all_of_a_prefix_or_tag_are_cancelled_once_that_was_said(
    words: tuple[str, ...], client: Client, flask_scheduler: Run
) -> None:
    jobs = [make(client, key=f"order:42:{i}", tags=("order:42",)) for i in range(3)]
    force(client, jobs[0].id, JobState.RUNNING, live_key=None)
    other = make(client, key="order:43:1", tags=("order:43",))
    refused = flask_scheduler("cancel", *words)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("3 jobs with ")
    assert "Repeat with --yes if it is meant." in refused.stderr
    tried = flask_scheduler("cancel", *words, "--dry-run")
    assert (tried.exit_code, tried.stderr) == (0, "3 jobs would be cancelled or asked to stop.\n")
    wrong = flask_scheduler("cancel", *words, "--yes", "--expect", "2")
    assert wrong.exit_code == 4
    assert "Nothing was changed" in wrong.stderr
    assert [client.get(job.id) for job in jobs[1:]] == jobs[1:]
    done = flask_scheduler("cancel", *words, "--yes", "--expect", "3")
    assert (done.exit_code, done.stdout) == (0, "2 cancelled, 1 asked to stop\n")
    assert client.get(other.id) == other
    again = flask_scheduler("cancel", *words, "--yes")
    assert (again.exit_code, again.stdout) == (0, "0 cancelled, 1 asked to stop\n")


@pytest.mark.parametrize("words", [("--key-prefix", "order:"), ("--tag", "t")])
def test_an_expected_count_holds_beyond_what_is_counted_at_once(
    words: tuple[str, ...], client: Client, flask_scheduler: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [make(client, key=f"order:{i}", tags=("t",)) for i in range(3)]
    monkeypatch.setattr(bulk, "COUNT_CAP", 2)
    monkeypatch.setattr(cancelling, "FOUND_AT_ONCE", 2)
    refused = flask_scheduler("cancel", *words, "--yes", "--expect", "2")
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert [client.get(job.id) for job in jobs] == jobs
    done = flask_scheduler("cancel", *words, "--yes", "--expect", "3")
    assert (done.exit_code, done.stdout) == (0, "3 cancelled, 0 asked to stop\n")


@pytest.mark.parametrize(("said", "code", "state"), [("y", 0, JobState.CANCELLED), ("n", 1, JobState.SCHEDULED)])
def test_a_person_is_asked(
    said: str, code: int, state: JobState, client: Client, flask_scheduler: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make(client, tags=("t",))
    monkeypatch.setattr("scheduler_app.cli.losses.sys", Terminal())
    done = flask_scheduler("cancel", "--tag", "t", stdin=f"{said}\n")
    assert done.exit_code == code
    assert "Go on? [y/N]" in done.stderr
    assert client.get(job.id).state is state


class Terminal:
    """A `sys` whose stdin is a terminal."""

    class stdin:
        @staticmethod
        def isatty() -> bool:
            return True


@pytest.mark.parametrize(
    "words",
    [
        ("cancel",),
        ("cancel", "x", "--tag", "t"),
        ("cancel", "--key", "k", "--key-prefix", "p"),
        ("cancel", "--tag", "t", "--key-prefix", "p"),
        ("cancel", "--tag", "t", "--expect", "-1"),
        ("pause",),
        ("resume",),
        ("run-now",),
        ("retry",),
        ("release",),
        ("reschedule", "--in", "10m"),
        ("reschedule", "x"),
        ("reschedule", "x", "--in", "10m", "--by", "10m"),
        ("reschedule", "x", "--in", "soon"),
        ("reschedule", "x", "--in", "-10m"),
        ("reschedule", "x", "--at", "soon"),
        ("prune",),
        ("prune", "--older-than", "7d", "--state", "running", "--yes"),
        ("prune", "--older-than", "7d"),
    ],
)
def test_wrong_usage_ends_with_2_and_changes_nothing(
    words: tuple[str, ...], client: Client, flask_scheduler: Run
) -> None:
    before = make(client, key="k", tags=("t",))
    done = flask_scheduler(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert client.get(before.id) == before


def test_an_empty_tag_or_prefix_means_no_job(client: Client, flask_scheduler: Run) -> None:
    job = make(client, key="k", tags=("t",))
    for words, said in (("--tag", "The filter 'tag' is empty"), ("--key-prefix", "--key-prefix is empty")):
        done = flask_scheduler("cancel", words, "", "--yes")
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert client.get(job.id) == job


# -- pause, resume, another time, now ------------------------------------------------------------------------------


def test_a_job_is_paused_and_resumed(client: Client, flask_scheduler: Run) -> None:
    job = make(client, key="k")
    for words in (("pause", job.id), ("pause", "--key", "k")):
        done = flask_scheduler(*words)
        assert (done.exit_code, done.stdout, done.stderr) == (0, f"{job.id} paused\n", "")
        assert client.get(job.id).state is JobState.PAUSED
    done = flask_scheduler("resume", "--key", "k")
    assert (done.exit_code, done.stdout) == (0, f"{job.id} due at {z(job.run_at)}\n")
    assert client.get(job.id).state is JobState.SCHEDULED


def test_what_was_put_aside_is_released_once_it_is_mended(client: Client, flask_scheduler: Run) -> None:
    job, runs = make(client), make(client)
    force(client, job.id, JobState.QUARANTINED)
    force(client, runs.id, JobState.RUNNING)
    done = flask_scheduler("release", job.id, runs.id)
    assert (done.exit_code, done.stdout) == (5, f"{job.id} due at {z(job.run_at)}\n")
    assert f"Job {runs.id} is 'running', so it cannot be asked to leave the quarantine." in done.stderr
    assert client.get(job.id).state is JobState.SCHEDULED


def test_what_runs_is_not_paused_and_the_next_command_is_named(client: Client, flask_scheduler: Run) -> None:
    job, other = make(client), make(client)
    force(client, job.id, JobState.RUNNING)
    done = flask_scheduler("pause", job.id, other.id, "nope")
    assert done.exit_code == 5
    assert done.stdout == f"{other.id} paused\n"
    assert (
        f"Error: Job {job.id} is 'running', so it cannot be asked to wait until it is resumed. It allows: cancel."
        f" See how it stands with 'flask scheduler show {job.id}'.\n"
    ) in done.stderr
    assert done.stderr.endswith("1 of 3 jobs could be paused.\n")


@pytest.mark.parametrize(
    ("words", "shift"),
    [
        (("--by", "10m"), timedelta(minutes=10)),
        (("--by", "-1m30s"), timedelta(minutes=-1.5)),
        (("--by=-45",), timedelta(seconds=-45)),
    ],
)
def test_a_job_is_moved_by_so_much(
    words: tuple[str, ...], shift: timedelta, client: Client, flask_scheduler: Run
) -> None:
    job = make(client)
    done = flask_scheduler("reschedule", job.id, *words)
    assert (done.exit_code, done.stdout) == (0, f"{job.id} due at {z(job.run_at + shift)}\n")
    assert client.get(job.id).run_at == job.run_at + shift


def test_a_job_is_moved_to_a_time_from_now_or_to_an_instant(client: Client, flask_scheduler: Run) -> None:
    job = make(client, key="k")
    assert flask_scheduler("reschedule", "--key", "k", "--in", "2d").exit_code == 0
    assert timedelta(0) < client.get(job.id).run_at - datetime.now(UTC) - timedelta(days=2) + timedelta(minutes=1)
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    for text in (at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S}", at.astimezone().isoformat()):
        assert flask_scheduler("reschedule", job.id, "--at", text).exit_code == 0
        assert client.get(job.id).run_at == at
    far = flask_scheduler("reschedule", job.id, "--in", "5000w")
    assert far.exit_code == 2
    assert client.get(job.id).run_at == at


def test_a_job_runs_now(client: Client, flask_scheduler: Run) -> None:
    job = make(client, key="k")
    flask_scheduler("pause", job.id)
    done = flask_scheduler("run-now", "--key", "k")
    now = client.get(job.id)
    assert (done.exit_code, done.stdout) == (0, f"{job.id} due at {z(now.run_at)}\n")
    assert now.state is JobState.SCHEDULED
    assert now.run_at <= datetime.now(UTC)


def test_a_failed_job_is_put_back_in_line_from_stdin(client: Client, flask_scheduler: Run) -> None:
    failed, waiting = make(client), make(client)
    force(client, failed.id, JobState.FAILED)
    done = flask_scheduler("retry", "-", stdin=f"{failed.id}\n{waiting.id}\n")
    assert done.exit_code == 5
    assert done.stdout == f"{failed.id} due at {z(client.get(failed.id).run_at)}\n"
    assert done.stderr.endswith("1 of 2 jobs could be put back in line.\n")
    assert client.get(failed.id).state is JobState.SCHEDULED


def test_a_job_whose_key_a_newer_one_holds_is_a_conflict(client: Client, flask_scheduler: Run) -> None:
    old = make(client, key="k")
    client.cancel(old.id)
    newer = make(client, key="k")
    done = flask_scheduler("retry", old.id)
    assert (done.exit_code, done.stdout) == (4, "")
    assert f"Job {newer.id} holds the key 'k'" in done.stderr


# -- prune ---------------------------------------------------------------------------------------------------------


def test_what_finished_long_ago_is_deleted(client: Client, flask_scheduler: Run) -> None:
    ago, now = datetime.now(UTC) - timedelta(days=8), datetime.now(UTC)
    for state, ended in ((JobState.SUCCEEDED, ago), (JobState.FAILED, ago), (JobState.SUCCEEDED, now)):
        force(client, make(client).id, state, id=new_id(ago), finished_at=ended)
    waiting = make(client)
    dry = flask_scheduler("prune", "--older-than", "7d", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (0, "")
    assert dry.stderr.startswith("2 jobs (")
    assert dry.stderr.endswith(") that ended more than 7 d ago would be deleted.\n")
    for number in ("1", "3"):
        other = flask_scheduler("prune", "--older-than", "7d", "--yes", "--expect", number)
        assert (other.exit_code, other.stdout) == (4, "")
    assert len(client.list()) == 4
    done = flask_scheduler("prune", "--older-than", "7d", "--state", "succeeded", "--yes", "--expect", "1")
    assert (done.exit_code, done.stdout) == (0, "1 deleted\n")
    assert done.stderr == "This deletes 1 job (succeeded) that ended more than 7 d ago, and their attempts.\n"
    assert flask_scheduler("prune", "--older-than", "7d", "--yes").stdout == "1 deleted\n"
    assert len(client.list()) == 2
    assert client.get(waiting.id) == waiting
