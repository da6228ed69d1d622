"""The health checks: always there, open to all, and silent about why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.admin.conftest import MakeApp


def test_livez_and_readyz_answer_without_authentication(make_app: MakeApp) -> None:
    web = make_app().test_client()
    for check in ("livez", "readyz"):
        answer = web.get(f"/scheduler/{check}")
        assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_readyz_says_unavailable_and_not_why_while_livez_answers(make_app: MakeApp) -> None:
    web = make_app(SCHEDULER_AUTO_UPGRADE=False).test_client()  # Nobody made the tables.
    answer = web.get("/scheduler/readyz")
    assert (answer.status_code, answer.get_json()) == (503, {"status": "unavailable"})
    assert web.get("/scheduler/livez").status_code == 200


def test_readyz_is_well_again_when_its_database_is(make_app: MakeApp, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.touch()  # Where a folder should be.
    web = make_app(SCHEDULER_DATABASE_URL=f"sqlite:///{place / 'jobs.sqlite3'}").test_client()
    assert web.get("/scheduler/readyz").status_code == 503
    place.unlink()
    assert web.get("/scheduler/readyz").status_code == 200


@pytest.mark.parametrize("check", ["livez", "readyz"])
def test_the_health_checks_take_head_and_move_with_the_prefix(make_app: MakeApp, check: str) -> None:
    web = make_app(SCHEDULER_ADMIN_URL_PREFIX="/ops/jobs").test_client()
    assert web.head(f"/ops/jobs/{check}").status_code == 200
    assert web.get(f"/scheduler/{check}").status_code == 404
