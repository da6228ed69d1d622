"""`flask scheduler check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler_app.cli import Exit
from scheduler_app.client import Client, Declaration, checking
from scheduler_app.jobs import Job
from scheduler_app.payload import Signer, derive_key
from scheduler_app.store.types import Instant
from tests.unit.cli.conftest import Run
from tests.unit.cli.shop import Size, put, sell

Spoil = Callable[[Client, Job], None]
ELSEWHERE = Signer([derive_key("the key of another deployment")])


def write(client: Client, job: Job, *, signed: bool = True, **values: str) -> None:
    """Change a job's row, with a signature that fits it or not."""
    task, payload = values.get("task", job.task), values.get("payload", job.payload)
    if signed:
        values["signature"] = client.calls.signer().sign(job.id, task, job.queue, payload)
    names = ", ".join(f"{name} = :{name}" for name in values)
    statement = sa.text(f"UPDATE scheduler_jobs SET {names} WHERE id = :id").bindparams(id=job.id, **values)
    client.store.write(lambda connection: connection.execute(statement))


def sign_elsewhere(client: Client, job: Job) -> None:
    write(client, job, signed=False, signature=ELSEWHERE.sign(job.id, job.task, job.queue, job.payload))


SPOILT: dict[str, tuple[Spoil, str]] = {
    "unknown task": (lambda c, j: write(c, j, task="tests.unit.cli.shop:gone"), "has no 'gone'"),
    "arguments": (
        lambda c, j: write(c, j, task="tests.unit.cli.shop:break_down", payload='{"a":[],"k":{}}'),
        "missing a required argument: 'what'; it takes (what)",
    ),
    "unreadable": (lambda c, j: write(c, j, payload='{"a":'), "they are not JSON"),
    "signature": (lambda c, j: write(c, j, signed=False, payload='{"a":["other"],"k":{}}'), "its signature is forged"),
    "unknown key": (sign_elsewhere, "it is signed with a key that this process does not have"),
}


def test_each_reason_is_counted_with_the_first_due_of_it(
    client: Client, flask_scheduler: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "PAGE", 2)
    fine = [put(client, Size.SMALL, after=n) for n in (0, 0, 0, 50, 50)]
    client.pause(fine[0].id)
    done = flask_scheduler("check")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "Checked 5 waiting jobs and 0 schedules: all of them could run here.\n"

    first: dict[str, Job] = {}
    for reason, (spoil, _) in SPOILT.items():
        later, sooner, paused = (put(client, after=after) for after in (3600, 60, 1800))
        client.pause(paused.id)
        for job in (later, sooner, paused):
            spoil(client, job)
        first[reason] = sooner
    told = flask_scheduler("check", "--format", "json")
    found = json.loads(told.stdout)
    assert (told.exit_code, found["jobs"], found["schedules"]) == (1, 20, 0)
    assert {one["misfit"]: (one["count"], one["id"]) for one in found["unbound"]} == {
        reason: (3, job.id) for reason, job in first.items()
    }
    for one in found["unbound"]:
        assert SPOILT[one["misfit"]][1] in one["why"]
    table = flask_scheduler("check")
    assert table.exit_code == 1
    assert table.stdout.splitlines()[0].split() == ["WHAT", "REASON", "TASK", "FIRST", "DUE", "FIRST", "WHY"]
    assert "15 jobs and 0 schedules could not run here. Deploy code that takes them," in table.stderr


def test_schedules_are_checked_too(app: Flask, client: Client, flask_scheduler: Run) -> None:
    recurring = app.extensions["scheduler"].recurring
    for name in ("fine", "forged", "gone"):
        recurring.upsert(Declaration(sell, every={"hours": 1}, name=name))
    spoilt = {"forged": "queue = 'other'", "gone": "task = 'mail.hello'"}
    for name, change in spoilt.items():
        statement = sa.text(f"UPDATE scheduler_schedules SET {change}, next_run_time = :at WHERE name = :name")
        at = client.store.clock.now() + timedelta(hours=2)
        bound = statement.bindparams(sa.bindparam("at", at, Instant), name=name)
        client.store.write(lambda connection, bound=bound: connection.execute(bound))
    done = flask_scheduler("check", "--format", "json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["schedules"]) == (1, 3)
    assert {one["id"]: (one["kind"], one["misfit"]) for one in found["unbound"]} == {
        "forged": ("schedule", "signature"),
        "gone": ("schedule", "signature"),
    }


@pytest.mark.parametrize("command", ["check", "doctor", "list", "status"])
def test_a_time_that_a_hand_has_spoilt_is_told_with_what_stands_there_and_no_traceback(
    command: str, client: Client, flask_scheduler: Run
) -> None:
    write(client, put(client, Size.SMALL, after=50), run_at="noon")
    done = flask_scheduler(command)
    assert done.exit_code == Exit.UNUSABLE
    assert "where an instant should be stands 'noon'; a process that runs jobs puts that row aside" in done.stderr
    assert "Traceback" not in done.stderr
