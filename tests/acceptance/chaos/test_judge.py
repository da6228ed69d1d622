"""The judge of these tests, judged: each planted breach must be seen, and an honest history must pass."""

from __future__ import annotations

from typing import Any

from . import judge
from .journal import Line


def _line(kind: str, at: float, pid: int, **facts: Any) -> Line:
    return {"kind": kind, "at": at, "pid": pid, **facts}


def _run(at: float, pid: int, fence: int, *, ends: bool = True, job: str = "a", **facts: Any) -> list[Line]:
    told = {"job": job, "fence": fence, "seq": job, "run_at": 100.0, "wall": 100.5, **facts}
    return [_line("start", at, pid, **told), *([_line("end", at + 1, pid, **told)] if ends else [])]


ACKNOWLEDGED = _line("acknowledged", 0.0, 1, job="a", seq="a", run_at=100.0)
SETTLED = {"job": "a", "state": "succeeded", "finished": True}


def _sentences(*lines: Line) -> list[str]:
    history = judge.gather(sorted(lines, key=lambda line: float(line["at"])))
    return judge.losses(history) + judge.violations(history)


def test_a_job_that_runs_once_breaks_nothing() -> None:
    assert _sentences(ACKNOWLEDGED, *_run(1, 2, 1), _line("settled", 3, 2, **SETTLED)) == []


def test_a_second_run_after_the_death_of_the_first_ones_process_breaks_nothing() -> None:
    assert _sentences(ACKNOWLEDGED, *_run(1, 2, 1), _line("kill", 2.5, 9, victim=2, point="x"), *_run(3, 3, 3)) == []


def test_an_acknowledged_job_that_never_ends_is_lost() -> None:
    assert _sentences(ACKNOWLEDGED, *_run(1, 2, 1, ends=False)) == ["a was acknowledged and is lost"]


def test_a_start_before_its_time_is_seen() -> None:
    assert _sentences(ACKNOWLEDGED, *_run(1, 2, 1, wall=99.75)) == ["a started 0.250000 s early"]


def test_a_second_run_without_a_death_is_seen() -> None:
    assert _sentences(ACKNOWLEDGED, *_run(1, 2, 1), *_run(3, 3, 3)) == [
        "a (fence 1, then 3) ran again although process 2 was not killed"
    ]


def test_a_second_run_before_the_death_is_seen() -> None:
    breach = [*_run(1, 2, 1, ends=False), *_run(3, 3, 3), _line("dying", 3.5, 2, point="x")]
    assert _sentences(ACKNOWLEDGED, *breach) == [
        "a (fence 1, then 3) ran in process 3 0.500 s before process 2 was killed"
    ]


def test_two_runs_at_once_are_seen() -> None:
    breach = [*_run(1, 2, 1), _line("dying", 1.5, 2, point="x"), *_run(1.8, 3, 3)]
    assert _sentences(ACKNOWLEDGED, *breach) == ["a (fence 1, then 3) ran in two processes at once, 2 and 3"]


def test_a_run_in_a_dead_process_is_seen() -> None:
    death = [_line("kill", 1, 9, victim=2, point="x"), _line("died", 1.2, 9, victim=2, status=9)]
    assert _sentences(ACKNOWLEDGED, *death, *_run(2, 2, 1, ends=False), *_run(5, 3, 3)) == [
        "a (fence 1, then 3) started in process 2 after its death"
    ]


def test_two_runs_under_one_claim_are_seen() -> None:
    breach = [*_run(1, 2, 1), _line("dying", 2.5, 2, point="x"), *_run(3, 3, 1)]
    assert _sentences(ACKNOWLEDGED, *breach) == ["a (fence 1, then 1) ran twice under one claim"]


def test_a_run_after_the_end_was_stored_is_seen() -> None:
    breach = [*_run(1, 2, 1), _line("settled", 3, 2, **SETTLED), _line("dying", 4, 2, point="x"), *_run(5, 3, 3)]
    assert _sentences(ACKNOWLEDGED, *breach) == ["a was finished by process 2 and then ran again in 3"]


def test_a_job_that_is_finished_twice_is_seen() -> None:
    breach = [*_run(1, 2, 1), _line("settled", 3, 2, **SETTLED), _line("settled", 4, 2, **SETTLED)]
    assert _sentences(ACKNOWLEDGED, *breach) == ["a was finished 2 times"]


def test_two_jobs_for_one_fire_time_are_seen() -> None:
    fires = [line for job in ("b", "c") for line in _run(1, 2, 1, job=job, seq="tick")]
    assert _sentences(*fires) == ["the schedule fired 2 jobs for 100.0"]
