"""Under each server, for each kind of response: the client has all of it before the work begins, and nobody waits.

And what becomes of the same work by other ways, which the documentation shows beside it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.responses.look import KINDS, OURS, SEEN, WAYS, Cell, serving
from tests.acceptance.responses.shop import SERVERS

MAY_FAIL = 1
"""So many looks at a cell may see something else, if more see what is expected: a machine that is busy with other work
may stop a server amid a response for longer than our moment."""

EXPECTED = json.loads(SEEN.read_text())


def test_what_is_written_down_is_what_is_promised() -> None:
    promised = dict.fromkeys(KINDS, "ok") | {"raises": "dropped"}
    assert {server: seen[OURS] for server, seen in EXPECTED.items()} == dict.fromkeys(SERVERS, promised)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("server", SERVERS)
def test_what_is_seen_under_a_server_is_what_is_written_down(server: str, tmp_path: Path) -> None:
    with serving(server, tmp_path) as (process, site):
        wrong = {}
        for way in WAYS:
            for kind in KINDS:
                seen = see(Cell(process, site, way, kind), EXPECTED[server][way][kind])
                if seen:
                    wrong[way, kind] = seen
    assert wrong == {}, "If this is right: python -m tests.acceptance.responses.look && python docs/generate.py"


def see(cell: Cell, expected: str) -> list[str]:
    """Look at a cell, twice more if need be; return what was seen instead of what is expected."""
    wrong: list[str] = []
    right = 0
    while right <= len(wrong):
        found = cell.look()
        if found == expected:
            right += 1
        else:
            wrong.append(found)
        if len(wrong) > MAY_FAIL:
            return wrong
    return []
