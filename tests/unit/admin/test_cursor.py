"""Cursors: what was written is read, and nothing else is."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_app.admin.cursor import read_cursor, write_cursor
from scheduler_app.errors import CursorError
from scheduler_app.payload import Signer

SIGNER = Signer([b"0123456789abcdef"])
SENTENCE = (
    "The cursor cannot be used: it was cut, changed, or made before the signing key changed."
    " Ask again without cursor=, and follow next_cursor from there."
)


def test_a_cursor_leads_back_to_its_job_and_is_safe_in_an_address() -> None:
    cursor = write_cursor(SIGNER, "0195-aé b")
    assert read_cursor(SIGNER, cursor) == "0195-aé b"
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("cursor", ["", "x", "0195", "é", "=", "AAAA", "\udcff", "v1:00000000:" + "A" * 43])
def test_a_malformed_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(CursorError) as caught:
        read_cursor(SIGNER, cursor)
    assert str(caught.value) == SENTENCE


@given(st.data())
def test_a_changed_cursor_is_refused(data: st.DataObject) -> None:
    cursor = write_cursor(SIGNER, "0195f3a0-0000-7000-8000-000000000000")
    at = data.draw(st.integers(0, len(cursor) - 2))  # The last one has bits that base64 ignores.
    other = data.draw(st.sampled_from("ABCwxyz019-_").filter(lambda char: char != cursor[at]))
    with pytest.raises(CursorError):
        read_cursor(SIGNER, cursor[:at] + other + cursor[at + 1 :])


def test_a_cursor_of_another_app_is_refused() -> None:
    cursor = write_cursor(Signer([b"fedcba9876543210"]), "0195")
    with pytest.raises(CursorError):
        read_cursor(SIGNER, cursor)


def test_a_cursor_outlives_a_change_of_keys_that_keeps_the_old_one() -> None:
    cursor = write_cursor(SIGNER, "0195")
    assert read_cursor(Signer([b"fedcba9876543210", b"0123456789abcdef"]), cursor) == "0195"


def test_the_signature_of_a_job_is_no_cursor() -> None:
    text = f"{SIGNER.sign('0195', 'task', 'default', '{}')} 0195"
    with pytest.raises(CursorError):
        read_cursor(SIGNER, urlsafe_b64encode(text.encode()).decode().rstrip("="))
