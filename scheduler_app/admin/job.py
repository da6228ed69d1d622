"""The actions on one job that are no verbs of its life: show, change, delete, its attempts, and why it has not run."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from ..asking import Answer, Verb, answer
from ..client import current_client, expecting, shown_attempts
from ..jobs import Attempt
from .answering import checked, conditional, expected_versions, job_response, listed, log
from .bodies import read_body, telling_places
from .json_shapes import instant
from .params import no_body, no_parameters


def show_job(job_id: str) -> Response:
    """Answer one job."""
    no_parameters()
    response = job_response(current_client().get(checked(job_id)))
    response.make_conditional(request)
    return response


def change_job(job_id: str) -> Response:
    """Give a job that has not started another time, priority or tags; with `If-Match`, only if nobody changed it."""
    no_parameters()
    said, versions = read_body(), expected_versions()
    with telling_places("run_at" if "run_at" in said else "delay_s"):
        job = current_client().change(
            checked(job_id), after=said.get("delay_s"), at=said.get("run_at"),
            priority=said.get("priority"), tags=said.get("tags"), versions=versions,
        )  # fmt: skip
    log("change", job)
    return job_response(job)


def delete_job(job_id: str) -> Response:
    """Cancel a job that has not started (200), or delete one that has ended (204)."""
    no_parameters()
    no_body()
    client = current_client()
    job = client.get(checked(job_id))
    with expecting(expected_versions()):
        if answer(Verb.CANCEL, job.state) is Answer.YES:
            job = client.cancel(job.id)
            log("cancel", job)
            return job_response(job, 200 if job.finished else 202)
        client.delete(job.id)
    log("delete", job)
    return Response(status=204)


def list_attempts(job_id: str) -> Response:
    """Answer a job's recorded attempts, the first one first: all but a first-try success."""
    no_parameters()
    client = current_client()
    job = client.get(checked(job_id))
    found = shown_attempts(job, client.attempts(job.id), client.calls.registry)
    return listed([attempt_json(one) for one in found])


def explain_job(job_id: str) -> Response:
    """Answer why a job has not run yet: what is known, as sentences, and the remedy where one is needed."""
    no_parameters()
    found = current_client().explain(checked(job_id))
    return conditional(
        {"id": found.job.id, "state": found.job.state.value, "facts": list(found.facts), "remedy": found.remedy}
    )


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as JSON."""
    return {
        "attempt": attempt.attempt,
        "claim_seq": attempt.claim_seq,
        "outcome": attempt.outcome.value,
        "worker_id": attempt.worker_id,
        "started_at": instant(attempt.started_at),
        "finished_at": instant(attempt.finished_at),
        "error": attempt.error,
        "traceback": attempt.traceback,
        "superseded": attempt.superseded,
    }
