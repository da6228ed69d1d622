"""The verbs of a job's life: cancel, run now, retry, pause, resume, release. What a state allows, `asking` says.

202 answers what goes on elsewhere: the job is looked at again at its `Location`.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Response

from ..asking import allowed
from ..client import current_client, expecting
from ..errors import JobConflictError
from ..jobs import Job, JobState
from .answering import checked, expected_versions, job_response, log
from .params import no_body, no_parameters


def cancel_job(job_id: str) -> Response:
    """Cancel a job: 200 when it will not start, 202 when it runs and was asked to stop."""
    job = _asked("cancel", current_client().cancel, job_id)
    if job.finished and job.state is not JobState.CANCELLED:  # It ended while it was being asked.
        raise JobConflictError(job.id, job.state.value, "stop", allowed(job.state))
    return job_response(job, 200 if job.finished else 202)


def run_now_job(job_id: str) -> Response:
    """Make a job due that has not started, a paused one, too."""
    return job_response(_asked("run now", current_client().run_now, job_id), 202)


def retry_job(job_id: str) -> Response:
    """Put a job that failed, was cancelled or missed back in line, due now, with all of its attempts."""
    return job_response(_asked("retry", current_client().retry, job_id), 202)


def pause_job(job_id: str) -> Response:
    """Keep a job from starting until it is resumed."""
    return job_response(_asked("pause", current_client().pause, job_id))


def resume_job(job_id: str) -> Response:
    """Have a paused job run at its time again; if that has passed, at once."""
    return job_response(_asked("resume", current_client().resume, job_id))


def release_job(job_id: str) -> Response:
    """Take a mended job out of quarantine: it waits for its time again."""
    return job_response(_asked("release", current_client().release, job_id))


def _asked(words: str, verb: Callable[[str], Job], job_id: str) -> Job:
    no_parameters()
    no_body()
    with expecting(expected_versions()):
        job = verb(checked(job_id))
    log(words, job)
    return job
