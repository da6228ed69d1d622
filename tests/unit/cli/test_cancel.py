"""`flask scheduler cancel`."""

from __future__ import annotations

import pytest

from scheduler_app.client import Client
from scheduler_app.jobs import JobState
from scheduler_app.store import Connection
from scheduler_app.store.tables import jobs as jobs_table
from tests.unit.cli.conftest import Run
from tests.unit.cli.shop import put


def force(client: Client, job_id: str, state: JobState) -> None:
    """Bring a job to a state, as a worker elsewhere would."""

    def change(connection: Connection) -> None:
        connection.execute(jobs_table.update().where(jobs_table.c.id == job_id).values(state=state.value))

    client.store.write(change)


def test_a_waiting_job_is_cancelled_and_cancelling_twice_is_no_error(client: Client, flask_scheduler: Run) -> None:
    job = put(client)
    for _ in range(2):
        done = flask_scheduler("cancel", job.id)
        assert (done.exit_code, done.stdout, done.stderr) == (0, f"{job.id} cancelled\n", "")
    assert client.get(job.id).state is JobState.CANCELLED


def test_a_running_job_is_asked_to_stop(client: Client, flask_scheduler: Run) -> None:
    job = put(client)
    force(client, job.id, JobState.RUNNING)
    done = flask_scheduler("cancel", job.id)
    assert (done.exit_code, done.stdout) == (0, f"{job.id} asked to stop\n")
    assert client.get(job.id).cancel_requested_at is not None


def test_a_finished_job_is_a_conflict(client: Client, flask_scheduler: Run) -> None:
    job = put(client)
    force(client, job.id, JobState.SUCCEEDED)
    done = flask_scheduler("cancel", job.id)
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr == (
        f"Error: Job {job.id} is 'succeeded', so it cannot be asked to stop. It allows: delete."
        f" See how it ended with 'flask scheduler show {job.id}'.\n"
    )


@pytest.mark.parametrize(("ids", "code"), [(["nope"], 3), (["nope", "neither"], 3), (["nope", "{}"], 5)])
def test_the_code_is_that_of_the_failure_and_5_where_only_some_failed(
    client: Client, flask_scheduler: Run, ids: list[str], code: int
) -> None:
    job = put(client)
    done = flask_scheduler("cancel", *(word.format(job.id) for word in ids))
    assert done.exit_code == code
    assert "Error: No job has the id 'nope'." in done.stderr
    assert client.get(job.id).state is (JobState.CANCELLED if "{}" in ids else JobState.SCHEDULED)


def test_different_failures_end_with_5_though_nothing_could_be_done(client: Client, flask_scheduler: Run) -> None:
    job = put(client)
    force(client, job.id, JobState.FAILED)
    done = flask_scheduler("cancel", job.id, "nope")
    assert done.exit_code == 5
    assert done.stderr.endswith("0 of 2 jobs could be cancelled or asked to stop.\n")


def test_ids_come_from_the_lines_of_stdin(client: Client, flask_scheduler: Run) -> None:
    jobs = [put(client) for _ in range(3)]
    listed = flask_scheduler("list", "--format", "ids").stdout
    done = flask_scheduler("cancel", "-", stdin=f"\n  {listed}\r\n")
    assert done.exit_code == 0
    assert done.stderr == "3 of 3 jobs could be cancelled or asked to stop.\n"
    assert {client.get(job.id).state for job in jobs} == {JobState.CANCELLED}


def test_stdin_without_ids_cancels_nothing_and_is_no_error(flask_scheduler: Run) -> None:
    done = flask_scheduler("cancel", "-")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "No ids came on stdin, so nothing was cancelled.\n"


def test_stdin_that_is_no_text_is_an_id_that_is_not_found(flask_scheduler: Run) -> None:
    done = flask_scheduler("cancel", "-", stdin=b"\xff\x1b[31m\n")
    assert done.exit_code == 3
    assert done.stderr.startswith("Error: No job has the id '\\\\xff\\x1b[31m'.")


def test_no_id_at_all_is_wrong_usage(flask_scheduler: Run) -> None:
    assert flask_scheduler("cancel").exit_code == 2
