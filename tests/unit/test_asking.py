"""What comes of each verb in each state, as a table; and that it is the client's part of the chart of states."""

from __future__ import annotations

import pytest

from scheduler_app.asking import RULES, Answer, Verb, allowed, answer
from scheduler_app.jobs import TRANSITIONS, JobState

YES, ASKED, ALREADY, NO = Answer.YES, Answer.ASKED, Answer.ALREADY, Answer.NO
TABLE = {
    #                      cancel   reschedule run-now pause    resume   retry release change delete
    JobState.SCHEDULED:   (YES,     YES,       YES,    YES,     ALREADY, NO, ALREADY, YES, NO),
    JobState.PAUSED:      (YES,     YES,       YES,    ALREADY, YES,     NO, NO, YES, NO),
    JobState.CLAIMED:     (ASKED,   NO,        NO,     NO,      NO,      NO, NO, NO, NO),
    JobState.RUNNING:     (ASKED,   NO,        NO,     NO,      NO,      NO, NO, NO, NO),
    JobState.SUCCEEDED:   (NO,      NO,        NO,     NO,      NO,      NO, NO, NO, YES),
    JobState.FAILED:      (NO,      NO,        NO,     NO,      NO,      YES, NO, NO, YES),
    JobState.CANCELLED:   (ALREADY, NO,        NO,     NO,      NO,      YES, NO, NO, YES),
    JobState.MISSED:      (NO,      NO,        NO,     NO,      NO,      YES, NO, NO, YES),
    JobState.QUARANTINED: (YES,     NO,        NO,     NO,      NO,      NO, YES, NO, NO),
}  # fmt: skip
CASES = [(verb, state, comes) for state, row in TABLE.items() for verb, comes in zip(Verb, row, strict=True)]


@pytest.mark.parametrize(("verb", "state", "comes"), CASES)
def test_what_comes_of_a_verb_in_a_state(verb: Verb, state: JobState, comes: Answer) -> None:
    assert answer(verb, state) is comes


def test_the_table_names_every_state() -> None:
    assert set(TABLE) == set(JobState)


def test_the_verbs_make_the_clients_moves_and_no_others() -> None:
    made = {(source, rule.target) for rule in RULES.values() for source in rule.sources if rule.target is not None}
    stays = {(state, state) for state in JobState}
    drawn = {(move.source, move.target) for move in TRANSITIONS if move.who == "client" and move.source is not None}
    assert made - stays == drawn


def test_whoever_is_refused_is_told_what_the_state_allows() -> None:
    assert allowed(JobState.SCHEDULED) == ("cancel", "reschedule", "run-now", "pause", "change")
    assert allowed(JobState.PAUSED) == ("cancel", "reschedule", "run-now", "resume", "change")
    assert allowed(JobState.RUNNING) == ("cancel",)
    assert allowed(JobState.FAILED) == ("retry", "delete")
    assert allowed(JobState.QUARANTINED) == ("cancel", "release")
    assert allowed(JobState.SUCCEEDED) == ("delete",)
