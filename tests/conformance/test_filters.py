"""Filters, orders, pages and bulk actions mean the same on every database, and cost a bounded look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from scheduler_app import Secret, task
from scheduler_app.client import Bulk, Client, Page, listing, make_options
from scheduler_app.errors import CountError, CursorError, FilterError
from scheduler_app.filters import Sort, filter_of_words
from scheduler_app.jobs import JobState, new_id
from scheduler_app.store import walking

NOON = "2099-03-01 12:00:00.000000"


def ship(*args: Any, **kwargs: Any) -> None: ...


def remind(*args: Any, **kwargs: Any) -> None: ...


@task(name="filters.welcome", redact=("token",))
def welcome(user: int, token: str, pin: Secret[str] = "") -> None: ...


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> Iterator[Client]:
    app = make_app()
    with app.app_context():
        yield app.extensions["scheduler"].client


def add(client: Client, function: Any = ship, *args: Any, after: float = 3600, **options: Any) -> str:
    kwargs = options.pop("kwargs", {})
    return client.schedule_after(after, function, args, kwargs, make_options(**options)).id


def rewrite(client: Client, job_id: str, **columns: Any) -> None:
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    with client.store.begin() as connection:
        connection.execute(
            text(f"UPDATE scheduler_jobs SET {changes} WHERE id = :job_id"), columns | {"job_id": job_id}
        )


def found(client: Client, said: str, **options: Any) -> list[str]:
    return [job.id for job in client.list(said, **options)]


def test_every_condition_means_the_same_on_every_database(client: Client) -> None:
    plain = add(
        client, ship, 1, "x", kwargs={"user": 1}, tags=["order:42", "a"], queue="mail", key="k:1", priority="low"
    )
    other = add(client, remind, "1", kwargs={"user": "1", "at": {"n": [True, None]}}, tags=['q"uote', "x_y"], key="k:2")
    third = add(client, remind, kwargs={"user": 2, "name": "Zoë\x00"}, tags=["a", "b"], key="k%1")
    broken = add(client, ship, kwargs={"user": 1})
    failed = add(client, ship, key="k:1x")
    odd = add(client, ship, tags=["x"])
    rewrite(client, broken, payload='{"a": [1], "k": {"user": 1')
    rewrite(client, odd, payload='{"a":["\\ud800\\u0000"],"k":{"user":1}}', tags='["a", "b"]')
    rewrite(client, failed, state="failed", finished_at=NOON, error="TimeoutError: 100% of_é took É")
    everything = [odd, failed, broken, third, other, plain]
    cases = {
        "": everything,
        "state=failed": [failed],
        "state=failed,scheduled": everything,
        "state=running,quarantined": [],
        "task=tests.conformance.test_filters:ship": [odd, failed, broken, plain],
        "task=tests.conformance.test_filters:r*": [third, other],
        "task=TESTS*": [],
        "task=tests_conformance*": [],
        "queue=mail": [plain],
        "priority=low": [plain],
        "tag=a": [odd, third, plain],
        "tag=a tag=b": [odd, third],
        "'tag=, '": [],
        "tag=order": [],
        """'tag=q"uote'""": [other],
        "tag=x%": [],
        "key=k:1": [plain],
        "key=k:*": [failed, other, plain],
        "key=k%*": [third],
        "args.user=1": [odd, plain],
        """'args.user="1"'""": [other],
        "args.user=2": [third],
        "args.0=1": [plain],
        """'args.0="1"'""": [other],
        "args.at.n.0=true": [other],
        "args.at.n.1=null": [other],
        "args.1=x": [plain],
        "args.name=Zoë": [],
        "args.use%=1": [],
        "error~timeouterror": [failed],
        "error~100%": [failed],
        "error~100_": [],
        "error~of_é": [failed],
        "error~É": [failed],
        "error~took 'error~é took'": [failed],
        "q=K:1": [failed, plain],
        "q=order:4": [plain],
        "q=remind q=k%": [third],
        "q=mail": [plain],
        """'q=q"uo'""": [other],
        f"id={plain},{failed},nobody": [failed, plain],
        f"id={plain} state=failed": [],
        "finished=2099-03-01": [failed],
        "finished>2099-03-01": [],
        "finished_before=2099-03-02": [failed],
        "started>=1980-01-01": [],
        "created>=2020-01-01": everything,
        "created<2020-01-01": [],
        "run_at<2020-01-01": [],
        "run_at>=2020-01-01 queue=mail": [plain],
        "schedule=nightly": [],
    }
    assert {said: found(client, said) for said in cases} == cases
    some = ["", "state=failed,scheduled", "args.user=1", "tag=a", "key=k:*", "finished=2099-03-01"]
    assert all(found(client, said, sort="oldest") == cases[said][::-1] for said in some)
    assert {said: client.count(said).matched for said in some} == {said: len(cases[said]) for said in some}
    assert found(client, "tag=a", states=[JobState.SCHEDULED], queue="mail", task=client.get(plain).task) == [plain]
    assert found(client, "state=scheduled", before=broken) == [third, other, plain]


NASTY = (
    "' OR 1=1 --",
    '"; DROP TABLE scheduler_jobs; --',
    "%",
    "_",
    "\\",
    "*",
    "🐝",
    "$.a[0]",
    "é\u0301",
    "%(x)s :x {}",
)


def test_no_text_means_anything_but_itself(client: Client) -> None:
    add(client, ship, "x", kwargs={"user": "x"}, tags=["x"], key="x")
    fields = ("queue", "tag", "schedule", "id", "args.user", "args.0", "q")
    for nasty in NASTY:
        said = [f"error~{nasty}", f"key=x{nasty}x", *(f"{name}={nasty}" for name in fields)]
        assert client.list(filter_of_words(said)) == []
    for said in (
        "queue=%",
        "queue=_",
        "tag=%",
        "id=%",
        "args.user=%",
        "args.0=_",
        "error~%",
        "key=%*",
        "q=%",
        "key=_*",
    ):
        assert client.list(filter_of_words([said])) == [], said
    assert len(client.list()) == 1


def test_no_value_finds_a_secret(client: Client) -> None:
    job = add(client, welcome, 1, "t0ps3cret", kwargs={"pin": "9876"})
    rewrite(client, job, state="failed", error="no t0ps3cret for 9876 here")
    hidden = (
        "args.1=t0ps3cret",
        "args.pin=9876",
        "'args.pin=\"9876\"'",
        "error~t0ps3cret",
        "q=t0ps3cret",
        "error~9876",
    )
    assert {said: found(client, said) for said in hidden} == {said: [] for said in hidden}
    assert found(client, "args.0=1 error~here") == [job]
    # As the process that stored it knew them, also where the task is not known; and of a row that cannot be read, none.
    rewrite(client, job, task="gone:away")
    assert found(client, "args.pin=9876") == []
    rewrite(client, job, task="filters.welcome", payload="{", error="t0ps3cret")
    assert found(client, "args.pin=9876") == []


def test_pages_are_stable_at_equal_times_in_every_order(client: Client) -> None:
    now = client.store.clock.now()
    calls = [(3600 + number // 4, ship) for number in range(10)]
    made = [job.id for job in client.schedule_many(calls)]
    with client.store.begin() as connection:
        connection.execute(text("UPDATE scheduler_jobs SET run_at = :at"), {"at": f"{now:%Y-%m-%d %H:%M:%S}.000000"})
    ended = [add(client) for _ in range(7)]
    for number, job_id in enumerate(ended):
        state = ("succeeded", "failed")[number % 2]
        rewrite(client, job_id, state=state, finished_at=NOON.replace("00.", f"0{number // 3}."))

    def pages(said: str, sort: str) -> list[str]:
        seen, after = [], None
        while True:
            page = client.list(said, sort=sort, after=after, limit=3)
            seen += [job.id for job in page]
            assert len(page) <= 3
            if page.after is None:
                return seen
            assert len(page) == 3
            after = page.after

    assert pages("", "newest") == sorted([*made, *ended], reverse=True)
    assert pages("state=scheduled", "oldest") == sorted(made)
    assert pages("state=scheduled,failed", "oldest") == sorted([*made, *ended[1::2]])
    assert pages("", "run_at") == sorted(made)
    by_end = sorted(ended, key=lambda job_id: (ended.index(job_id) // 3, job_id), reverse=True)
    assert pages("", "finished") == by_end
    assert pages("state=failed", "finished") == [job_id for job_id in by_end if job_id in ended[1::2]]
    assert found(client, "finished<2099-03-01T12:00:01Z", sort="finished") == by_end[4:]


def test_a_cursor_is_for_its_own_list_only(client: Client) -> None:
    client.schedule_many([(60, ship)] * 3)
    cursor = client.list("state=scheduled", limit=1).after
    assert found(client, "state=scheduled", after=cursor)
    for said, sort in (("state=scheduled", "oldest"), ("state=failed", "newest"), ("", "newest")):
        with pytest.raises(CursorError):
            client.list(said, sort=sort, after=cursor)
    with pytest.raises(FilterError):
        client.list("state=failed", sort=Sort.RUN_AT)
    with pytest.raises(FilterError, match="Did you mean 'newest'"):
        client.list(sort="newst")


def test_a_search_without_an_index_stops_and_goes_on_at_its_cursor(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SEARCHED_AT_MOST", 7)
    monkeypatch.setattr(walking, "FIRST_LOOK", 3)
    monkeypatch.setattr(walking, "LARGEST_LOOK", 2)
    rare = add(client, queue="rare")
    client.schedule_many([(60, ship)] * 16)

    def told(page: Page) -> tuple[list[str], int, bool, bool]:
        return [job.id for job in page], page.searched, page.complete, page.after is not None

    first = client.list("queue=rare", limit=1)
    second = client.list("queue=rare", limit=1, after=first.after)
    third = client.list("queue=rare", limit=1, after=second.after)
    assert told(first) == told(second) == ([], 7, False, True)
    assert told(third) == ([rare], 3, True, False)
    assert client.count("queue=rare") == (0, False)
    assert client.count("state=scheduled", cap=5) == (5, False)
    assert client.bulk("cancel", "queue=rare") == Bulk(matched=1, done=1)


# -- many at once --------------------------------------------------------------------------------------


def test_each_action_changes_what_allows_it_and_counts_the_rest(client: Client) -> None:
    ids = [add(client, ship, number, queue="q", key=f"k{number}") for number in range(6)]
    outside = add(client)
    running, done = add(client, queue="q"), add(client, queue="q")
    rewrite(client, running, state="running", live_key=None)
    rewrite(client, done, state="succeeded", finished_at=NOON)

    def states() -> list[str]:
        return [client.get(job_id).state.value for job_id in ids]

    assert client.bulk("pause", "queue=q", dry_run=True) == Bulk(matched=6)
    assert states() == ["scheduled"] * 6
    assert client.bulk("pause", "queue=q args.0=1") == Bulk(matched=1, done=1)
    assert client.bulk("pause", ids=[*ids[:2], ids[1], running, "nobody"]) == Bulk(
        matched=3, done=2, conflicts=1, missing=1
    )
    assert client.bulk("pause", ids=[ids[0], running, "nobody"], dry_run=True) == Bulk(
        matched=2, conflicts=1, missing=1
    )
    assert client.bulk("resume", "queue=q") == Bulk(matched=2, done=2)
    before = client.get(ids[0]).run_at
    assert client.bulk("reschedule", "queue=q", by=60) == Bulk(matched=6, done=6)
    assert client.get(ids[0]).run_at == before + timedelta(seconds=60)
    assert client.bulk("reschedule", "queue=q", by=1e9) == Bulk(matched=6, conflicts=6)
    assert client.bulk("run-now", "queue=q", at_most=4) == Bulk(matched=4, done=4, complete=False)
    assert sum(client.get(job_id).run_at <= client.store.clock.now() for job_id in ids) == 4
    assert client.bulk("cancel", "queue=q") == Bulk(matched=7, done=6, asked=1)
    assert client.get(running).cancel_requested_at is not None
    assert client.bulk("cancel", ids=[*ids, running, done]) == Bulk(matched=8, done=6, asked=1, conflicts=1)
    newer = add(client, key="k0")
    assert client.bulk("retry", "queue=q state=cancelled,succeeded") == Bulk(matched=6, done=5, conflicts=1)
    assert states() == ["cancelled", *["scheduled"] * 5]
    rewrite(client, ids[1], state="quarantined", live_key=None)
    assert client.bulk("release", "queue=q") == Bulk(matched=1, done=1)
    assert client.bulk("delete", "queue=q") == Bulk(matched=2, done=2)
    assert client.bulk("delete", ids=[ids[1]]) == Bulk(matched=1, conflicts=1)
    assert {job.id for job in client.list()} == {*ids[1:], outside, running, newer}


def test_a_bulk_action_that_is_not_surely_meant_is_refused(client: Client) -> None:
    ids = [add(client) for _ in range(3)]
    for expect in (2, 4, 0):
        for which in ({"filter": "state=scheduled"}, {"ids": ids}):
            with pytest.raises(CountError) as caught:
                client.bulk("cancel", expect=expect, **which)
            assert (caught.value.matched >= min(3, expect + 1), caught.value.expected) == (True, expect)
    sentences = {
        ("cancel", ""): "The filter says nothing, so it would mean every job. Say at least state=...",
        ("retry", "state=succeeded"): "Only a job that is failed or cancelled or missed allows 'retry', so none with"
        " state=succeeded does.",
        ("cancle", "state=failed"): "The action must be of cancel, reschedule, run-now, pause, resume, retry, release,"
        " delete, not 'cancle'. Did you mean 'cancel'?",
    }
    for (action, said), sentence in sentences.items():
        with pytest.raises(FilterError) as refused:
            client.bulk(action, said)
        assert str(refused.value) == sentence
    for wrong in ({}, {"filter": "q=x", "ids": []}, {"filter": "q=x", "by": 1}):
        with pytest.raises(TypeError):
            client.bulk("cancel", **wrong)
    assert client.bulk("cancel", "state=scheduled", expect=3, dry_run=True) == Bulk(matched=3)
    assert client.bulk("cancel", "state=scheduled", expect=3) == Bulk(matched=3, done=3)


def test_what_comes_after_the_expected_number_was_counted_is_not_meant(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = client._counted

    def count_then_add(wanted: Any, expect: int | None) -> Any:
        found = counted(wanted, expect)
        add(client, queue="q")
        return found

    for _ in range(3):
        add(client, queue="q")
    monkeypatch.setattr(client, "_counted", count_then_add)
    assert client.bulk("pause", "queue=q", expect=3) == Bulk(matched=3, done=3)
    assert client.count("queue=q state=paused") == (3, True)


def test_a_bulk_action_goes_through_all_of_many_in_small_transactions(client: Client) -> None:
    client.schedule_many([(3600, ship)] * 130)
    assert client.bulk("pause", "task=tests.conformance.*") == Bulk(matched=130, done=130)
    assert client.bulk("cancel", ids=found(client, "state=paused", limit=110)) == Bulk(matched=110, done=110)
    assert client.count("state=paused") == (20, True)
    assert new_id(client.store.clock.now()) > found(client, "state=cancelled")[0]
