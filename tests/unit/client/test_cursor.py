"""Cursors: what was written is read, and nothing else is."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_app.client.cursor import read_cursor, write_cursor
from scheduler_app.errors import CursorError
from scheduler_app.filters import JobFilter, Sort, parse_filter
from scheduler_app.payload import Signer
from scheduler_app.store.filtering import Position

SIGNER = Signer([b"0123456789abcdef"])
WANTED = parse_filter("state=failed")
SENTENCE = (
    "The cursor cannot be used: it was cut, changed, made for another filter or order, or made before the signing key"
    " changed. Ask again without a cursor, and follow the next one from there."
)


def write(signer: Signer, job_id: str, at: datetime | None = None) -> str:
    return write_cursor(signer, WANTED, Sort.NEWEST, Position(job_id, at))


def read(signer: Signer, cursor: str, wanted: JobFilter | None = None, sort: Sort = Sort.NEWEST) -> Position:
    return read_cursor(signer, WANTED if wanted is None else wanted, sort, cursor)


def test_a_cursor_leads_back_to_its_job_and_is_safe_in_an_address() -> None:
    for at in (None, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)):
        cursor = write(SIGNER, "0195-aé b", at)
        assert read(SIGNER, cursor) == Position("0195-aé b", at)
        assert cursor.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_of_another_filter_or_order_is_refused() -> None:
    cursor = write(SIGNER, "0195")
    for wanted, sort in (
        (JobFilter(), Sort.NEWEST),
        (WANTED, Sort.OLDEST),
        (parse_filter("state=missed"), Sort.NEWEST),
    ):
        with pytest.raises(CursorError):
            read(SIGNER, cursor, wanted, sort)
    assert read(SIGNER, cursor, parse_filter("state=failed state=failed")).job_id == "0195"


@pytest.mark.parametrize("cursor", ["", "x", "0195", "é", "=", "AAAA", "\udcff", "v1:00000000:" + "A" * 43])
def test_a_malformed_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(CursorError) as caught:
        read(SIGNER, cursor)
    assert str(caught.value) == SENTENCE


@given(st.data())
def test_a_changed_cursor_is_refused(data: st.DataObject) -> None:
    cursor = write(SIGNER, "0195f3a0-0000-7000-8000-000000000000")
    at = data.draw(st.integers(0, len(cursor) - 2))  # The last one has bits that base64 ignores.
    other = data.draw(st.sampled_from("ABCwxyz019-_").filter(lambda char: char != cursor[at]))
    with pytest.raises(CursorError):
        read(SIGNER, cursor[:at] + other + cursor[at + 1 :])


def test_a_cursor_of_another_app_is_refused() -> None:
    cursor = write(Signer([b"fedcba9876543210"]), "0195")
    with pytest.raises(CursorError):
        read(SIGNER, cursor)


def test_a_cursor_outlives_a_change_of_keys_that_keeps_the_old_one() -> None:
    cursor = write(SIGNER, "0195")
    assert read(Signer([b"fedcba9876543210", b"0123456789abcdef"]), cursor).job_id == "0195"


def test_the_signature_of_a_job_is_no_cursor() -> None:
    text = f"{SIGNER.sign('0195', 'task', 'default', '{}')} 0195"
    with pytest.raises(CursorError):
        read(SIGNER, urlsafe_b64encode(text.encode()).decode().rstrip("="))
