"""What may be asked of a job, and what comes of it in each state: decided here, purely; written by the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .jobs import FINISHED, HELD, JobState


class Verb(StrEnum):
    """What a person or a program may ask of one job."""

    CANCEL = "cancel"
    RESCHEDULE = "reschedule"
    RUN_NOW = "run-now"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    RELEASE = "release"
    CHANGE = "change"
    DELETE = "delete"


class Answer(StrEnum):
    """What comes of it."""

    YES = "yes"
    """It happens."""

    ASKED = "asked"
    """The worker that holds the job is asked; the job sees that, and ends when it wants to."""

    ALREADY = "already"
    """There is nothing to do: the job is as was asked."""

    NO = "no"
    """The job's state forbids it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """From which states a verb moves a job, to which, and in which there is nothing to do."""

    words: str
    """What the job is asked to do."""
    sources: tuple[JobState, ...]
    target: JobState | None = None
    """None leaves the job in its state, or deletes it."""
    already: tuple[JobState, ...] = ()
    asked: tuple[JobState, ...] = ()


_S = JobState

RULES: Mapping[Verb, Rule] = {
    Verb.CANCEL: Rule("stop", (_S.SCHEDULED, _S.PAUSED, _S.QUARANTINED), _S.CANCELLED, (_S.CANCELLED,), HELD),
    Verb.RESCHEDULE: Rule("run at another time", (_S.SCHEDULED, _S.PAUSED)),
    Verb.RUN_NOW: Rule("run now", (_S.SCHEDULED, _S.PAUSED), _S.SCHEDULED),
    Verb.PAUSE: Rule("wait until it is resumed", (_S.SCHEDULED,), _S.PAUSED, (_S.PAUSED,)),
    Verb.RESUME: Rule("go on", (_S.PAUSED,), _S.SCHEDULED, (_S.SCHEDULED,)),
    Verb.RETRY: Rule("run again", (_S.FAILED, _S.CANCELLED, _S.MISSED), _S.SCHEDULED),
    Verb.RELEASE: Rule("leave the quarantine", (_S.QUARANTINED,), _S.SCHEDULED, (_S.SCHEDULED,)),
    Verb.CHANGE: Rule("run otherwise", (_S.SCHEDULED, _S.PAUSED)),
    Verb.DELETE: Rule("be deleted", FINISHED),
}
"""Each move of these is one of the client's in `TRANSITIONS`; a test holds the two equal."""


def answer(verb: Verb, state: JobState) -> Answer:
    """Return what comes of a verb in a state."""
    rule = RULES[verb]
    if state in rule.sources:
        return Answer.YES
    if state in rule.asked:
        return Answer.ASKED
    return Answer.ALREADY if state in rule.already else Answer.NO


def allowed(state: JobState) -> tuple[str, ...]:
    """Return the verbs that a job in this state allows."""
    return tuple(verb.value for verb in Verb if answer(verb, state) in (Answer.YES, Answer.ASKED))
