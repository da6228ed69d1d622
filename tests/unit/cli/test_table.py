"""Tables fit the terminal, and hold nothing that steers it."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler_app.cli.table import Column, Layout, fit
from scheduler_app.cli.words import coloured, cut, padded, printable, width_of

ROW = {"id": "0123456789", "task": "shop.mail:send", "at": "2026-11-22 07:21", "n": "1/1"}
COLUMNS = [
    Column("id", lambda row: row["id"]),
    Column("task", lambda row: row["task"], least=6, keep_end=True, leave_out=1),
    Column("at", lambda row: row["at"], brief=lambda row: row["at"][11:], leave_out=2),
    Column("n", lambda row: row["n"], leave_out=3),
]


def shown(room: int | None, **changes: str) -> tuple[Layout, str]:
    row: dict[str, Any] = ROW | changes
    layout = fit([row], COLUMNS, room)
    return layout, layout.line(row)


def test_where_there_is_room_nothing_is_shortened() -> None:
    layout, line = shown(49)
    assert layout.heading() == "ID          TASK            AT                N"
    assert line == "0123456789  shop.mail:send  2026-11-22 07:21  1/1"


@pytest.mark.parametrize(
    ("room", "line", "left_out"),
    [
        (48, "0123456789  shop.mail:send  07:21  1/1", []),
        (38, "0123456789  shop.mail:send  07:21  1/1", []),
        (37, "0123456789  …op.mail:send  07:21  1/1", []),
        (30, "0123456789  …:send  07:21  1/1", []),
        (29, "0123456789  …mail:send  07:21", ["n"]),
        (24, "0123456789  …p.mail:send", ["n", "at"]),
        (12, "0123456789", ["n", "at", "task"]),
        (5, "0123456789", ["n", "at", "task"]),
    ],
)
def test_where_there_is_less_texts_get_brief_then_cut_then_left_out(room: int, line: str, left_out: list[str]) -> None:
    layout, found = shown(room)
    assert found == line
    assert layout.left_out == left_out


@pytest.mark.parametrize("room", range(10, 60))
def test_no_line_is_wider_than_the_terminal(room: int) -> None:
    layout, line = shown(room)
    assert max(width_of(line), width_of(layout.heading())) <= room


def test_a_row_that_came_after_the_widths_were_decided_is_cut_to_them() -> None:
    layout, _ = shown(80)
    assert layout.line(ROW | {"task": "shop.mail:send_to_everybody"}).split()[1] == "…_to_everybody"


def test_without_a_terminal_a_later_row_is_not_cut() -> None:
    layout, _ = shown(None)
    assert layout.line(ROW | {"task": "shop.mail:send_to_everybody"}).split()[1] == "shop.mail:send_to_everybody"


def test_wide_characters_keep_the_columns_aligned() -> None:
    row = ROW | {"task": "商店:送信"}
    layout = fit([ROW, row], COLUMNS, None)
    assert width_of(layout.line(row)) == width_of(layout.line(ROW))
    assert [width_of(text) for text in ("商店", "é", "e\u0301")] == [4, 1, 1]


def test_a_text_is_cut_to_a_width_at_either_end() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcdef", 4, keep_end=True) == "…def"
    assert cut("商店街", 4) == "商…"
    assert padded("商店", 6) == "商店  "


def test_what_would_steer_the_terminal_is_written_out() -> None:
    assert printable("a\x1b[31mb\nc\u202ed") == "a\\x1b[31mb\\nc\\u202ed"
    assert printable("søk 商店 🎉") == "søk 商店 🎉"
    _, line = shown(None, task="\x1b]0;owned\x07")
    assert "\x1b" not in line


def test_a_state_has_its_colour_and_another_word_none() -> None:
    assert coloured("failed") == "\x1b[31mfailed\x1b[0m"
    assert coloured("failed", "3") == "\x1b[31m3\x1b[0m"
    assert coloured("scheduled") == "scheduled"
    assert coloured("nothing") == "nothing"
