"""The benchmarks measure what they say, in the shape they say; how fast anything is, is not tested here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import drain, work
from benchmarks.bench import Report
from benchmarks.cli import main
from benchmarks.figures import at_least, at_most, medians, paired_ratio, percentile
from benchmarks.table import as_table


@pytest.fixture(autouse=True)
def _nothing_ran_before() -> Iterator[None]:
    work.ran.clear()
    yield
    work.ran.clear()


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--rounds", "1", "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_drain_measures_ours_the_peer_and_the_bare_limit_and_prints_the_ratios_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = measured(capsys, "drain", "--jobs", "30")
    assert (found["measurement"], found["store"], found["jobs"], found["rounds"]) == ("drain", "sqlite", 30, 1)
    assert list(found["sides"]) == ["ours", "peer", "bare"]
    assert all(side["jobs_per_s"] > 0 and len(side["rounds"]) == 1 for side in found["sides"].values())
    assert list(found["ratios"]) == ["ours/peer", "ours/bare"]
    assert [(goal["what"], goal["at_least"]) for goal in found["goals"]] == [("ours/bare", 0.6), ("ours/peer", 15.0)]
    assert found["machine"]["database"].startswith("SQLite 3.")


def test_scheduling_is_measured_by_wall_clock_and_by_the_cpu_that_it_adds(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "schedule", "--jobs", "40", "--peer", "none")
    assert list(found["sides"]) == ["ours", "bare", "in turns"]
    in_turns = found["sides"]["in turns"]
    assert in_turns["added_cpu_us"] == pytest.approx(in_turns["ours_cpu_us"] - in_turns["bare_cpu_us"], abs=1.0)
    assert found["goals"][0]["at_most"] == 100.0


def test_lists_are_measured_in_a_small_and_a_large_table(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "lists", "--jobs", "1", "--scale", "0.0002")
    assert {"newest", "failed", "next", "stats", "preview of scheduled", "an argument, absent"} <= found["sides"].keys()
    assert all(side[f"{size} p99_ms"] > 0 for side in found["sides"].values() for size in ("small", "large"))
    assert {goal["at_most"] for goal in found["goals"]} == {2.0}


def test_a_request_with_after_response_is_measured_beside_a_bare_insert_and_a_bare_thread(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = measured(capsys, "response", "--jobs", "2")
    assert list(found["sides"]) == ["ours", "bare", "thread", "nothing"]
    assert all(found["sides"][name]["us"] > 0 for name in ("ours", "bare", "thread"))
    assert list(found["ratios"]) == ["ours/bare", "ours/thread", "ours/bare, cpu"]
    assert [(goal["what"], goal["at_most"]) for goal in found["goals"]] == [("ours/bare", 1.3), ("added_us", 5.0)]


def test_lateness_is_measured_from_the_same_and_from_another_process(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "lateness", "--seconds", "0.2", "--peer", "none")
    assert list(found["sides"]) == ["same process", "other process"]
    assert all(side["jobs"] == 20 and side["p50_ms"] <= side["p99_ms"] for side in found["sides"].values())
    early = found["goals"][-1]
    assert (early["what"], early["found"]) == ("early starts", 0)


def test_a_flooded_queue_is_measured_by_the_lateness_of_another_beside_a_calm_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = measured(capsys, "flood", "--jobs", "3000", "--seconds", "0.1", "--peer", "none")
    assert list(found["sides"]) == ["calm", "flooded"]
    assert all(0 < side["jobs"] <= 2 for side in found["sides"].values())
    assert list(found["ratios"]) == ["flooded/calm p50", "flooded/calm p99"]


def test_requests_are_measured_without_a_scheduler_and_beside_an_idle_and_a_busy_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = measured(capsys, "requests", "--seconds", "0.2", "--threads", "2")
    assert list(found["sides"]) == ["without", "idle", "computing", "sleeping"]
    assert all(0 < side["p50_ms"] <= side["p99_ms"] for side in found["sides"].values())
    assert [found["sides"][side]["jobs_per_s"] > 0 for side in found["sides"]] == [False, False, True, True]
    assert list(found["ratios"]) == [
        f"{side}/without {share}" for side in ("idle", "computing", "sleeping") for share in ("p50", "p99")
    ]


def test_a_claim_is_measured_in_a_small_and_in_a_large_table(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "claim", "--jobs", "5", "--scale", "0.001")
    assert list(found["sides"]) == ["small claim", "large claim", "small idle", "large idle"]
    assert set(found["ratios"]) == {"claim p50", "claim p99", "idle p50", "idle p99"}


def test_a_side_that_runs_a_job_twice_measures_nothing() -> None:
    with pytest.raises(AssertionError, match="a job did not run exactly once"):
        drain._timed(3, lambda: work.ran.extend([0, 1, 1]), lambda: True)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50.0, 99.0, 100.0)
    assert percentile([7.0], 0.99) == 7.0


def test_a_ratio_is_the_median_of_the_ratios_within_each_round() -> None:
    ours = [{"rate": 10.0}, {"rate": 30.0}, {"rate": 100.0}]
    bare = [{"rate": 20.0}, {"rate": 40.0}, {"rate": 100.0}]
    assert paired_ratio(ours, bare, "rate") == 0.75


def test_figures_are_medians_and_keep_every_round() -> None:
    found = medians([{"ms": 3.0}, {"ms": 1.00004}, {"ms": 2.0}])
    assert found == {"ms": 2.0, "rounds": [{"ms": 3.0}, {"ms": 1.0}, {"ms": 2.0}]}


def test_a_goal_says_whether_it_is_met() -> None:
    assert at_least("speed", 0.59, 0.6) == {"what": "speed", "found": 0.59, "at_least": 0.6, "met": False}
    assert at_most("growth", 50.0, 50.0)["met"] is True


def test_a_table_shows_sides_ratios_and_goals() -> None:
    found = {
        "measurement": "drain",
        "jobs": 10_000,
        "rounds": 3,
        "machine": {"database": "SQLite 3.40.1", "cores": 2, "python": "3.11.7", "load": 0.5},
        "sides": {"ours": {"jobs_per_s": 12345.0}, "bare": {"seconds": 0.5}},
        "ratios": {"ours/bare": 0.25},
        "goals": [at_least("ours/bare", 0.25, 0.6)],
    }
    assert as_table(found).splitlines() == [
        "drain on SQLite 3.40.1: 10,000 jobs, 3 rounds, 2 cores, Python 3.11.7, load 0.5",
        "",
        "      jobs_per_s  seconds",
        "ours      12,345        -",
        "bare           -      0.5",
        "",
        "ours/bare: 0.25",
        "MISSED: ours/bare at least 0.6, found 0.25",
    ]


def test_a_missed_goal_ends_with_1_only_where_goals_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    missed = Report({"ours": {"jobs_per_s": 1.0}}, {}, [at_least("ours/bare", 0.5, 0.6)])
    monkeypatch.setattr(drain, "measure", lambda bench: missed)
    assert main(["drain"]) == 0
    assert main(["drain", "--check"]) == 1
