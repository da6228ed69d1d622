"""Looks at every cell: ``python -m tests.acceptance.responses.look`` writes `seen.json`, from which the docs are made.

A cell is a way to do work after a response, a kind of response, and a server. The work lasts until the test opens its
gate, which it does after it has seen everything else: who has what it waits for by then would have it however long the
work takes.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.acceptance.processes import PATIENCE_SECONDS, Process, until
from tests.acceptance.responses.shop import SERVERS, make_shop
from tests.acceptance.responses.wire import Wire
from tests.acceptance.sites import Site

SEEN = Path(__file__).with_name("seen.json")

OURS = "after_response"
WAYS = (OURS, "thread", "teardown_request", "generator", "call_on_close")
KINDS = ("body", "empty", "none", "head", "not modified", "stream", "file", "kept", "gone", "raises")

CLIENT_WAITS = "client waits"
WAITS_SECONDS = 0.3
"""How long an answer may be missing, while the work goes on, before it counts as waiting for the work's end."""
NEVER_SECONDS = 0.5
"""How long work may not have begun, after everything else is over, before it counts as never done."""
FALLBACK_SECONDS = 3.0
"""Long enough that work which began a second before it was not begun by it."""

GRAIN_NANOSECONDS = 3_000_000
"""How much later than it was sent a byte may arrive. For ours that counts; for other ways what they mean counts."""

_numbers = count(1)


@dataclass(frozen=True)
class Cell:
    """One way and one kind, under a server that runs."""

    process: Process
    site: Site
    way: str
    kind: str

    def look(self) -> str:
        """Return what is seen: "ok", or what is wrong with it, in words."""
        label = f"{self.way}-{self.kind}-{next(_numbers)}".replace(" ", "-")
        with Wire(self.process.port) as wire:
            wire.send(f"/{self.way}/{self.kind.replace(' ', '%20')}/{label}", "HEAD" if self.kind == "head" else "GET")
            if self.kind == "gone":
                wire.read_some(WAITS_SECONDS)
                wire.vanish()
            return self._watch(label, wire)

    def _watch(self, label: str, wire: Wire) -> str:
        answer = wire.answer
        if self.kind != "gone":
            self._read(label, wire)
        over = time.time_ns()
        began = self._wait_for_begin(label)
        if began is None:
            self.site.open(label)  # for work that only a busy machine kept from beginning
            return "dropped" if self.kind == "raises" else "never"
        with Wire(self.process.port) as other:
            found = self._who_waits(label, wire, other)
        grain = 0 if self.way == OURS else GRAIN_NANOSECONDS
        if self.kind != "gone" and CLIENT_WAITS not in found and began + grain <= answer.at:
            found.insert(0, "too early")
        if self.way == OURS and began - over > (FALLBACK_SECONDS - 1.0) * 1e9:
            found.insert(0, "by the fallback")
        if self.kind == "raises":
            found.insert(0, "runs all the same")
        return ", ".join(found) or "ok"

    def _read(self, label: str, wire: Wire) -> None:
        """Read the answer until it is whole, or until the work has begun."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not wire.read(0.02) and not self._began(label):
            is_lost = wire.answer.is_ended or time.monotonic() > deadline
            assert not is_lost, f"{label}: {wire.answer}\n{self.process.said()}"

    def _wait_for_begin(self, label: str) -> int | None:
        """Return when the work began; None if it does not begin."""
        is_sure = self.way == OURS and self.kind != "raises"
        deadline = time.monotonic() + (PATIENCE_SECONDS if is_sure else NEVER_SECONDS)
        while not (found := self._began(label)) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert found or not is_sure, f"{label} never began\n{self.process.said()}"
        assert len(found) <= 1, f"{label} ran twice"
        return found[0] if found else None

    def _began(self, label: str) -> list[int]:
        lines = [line.label.split() for line in self.site.lines("began")]
        return [int(at) for one, at in lines if one == label]

    def _who_waits(self, label: str, wire: Wire, other: Wire) -> list[str]:
        """Return who waits for the work: this client, its next request if the connection is kept, another client's."""
        other.send("/plain")
        is_whole = self.kind != "gone" and wire.read(WAITS_SECONDS)
        is_kept = is_whole and wire.answer.is_kept
        if is_kept:
            wire.send("/plain")
        elif is_whole:
            wire.close()  # as a client does that was told so; gunicorn's sync worker waits for that, up to 2 s
        other_waits = not other.read(WAITS_SECONDS if is_whole or self.kind == "gone" else 0.05)
        next_waits = is_kept and not wire.read(0.05 if other_waits else WAITS_SECONDS) and not wire.answer.is_ended
        self.site.open(label)
        until(lambda: self.site.labels("ended")[label], f"the end of {label}\n{self.process.said()}")
        waits = []
        if self.kind != "gone" and not is_whole:
            waits.append(CLIENT_WAITS)
            assert wire.read(10), f"{label}: it was never answered: {wire.answer}\n{self.process.said()}"
            wire.close()
        if next_waits and wire.read(10):  # else the connection was closed, in its time, instead
            waits.append("next request waits")
        assert other.read(10), f"{label}: another request was never answered: {other.answer}\n{self.process.said()}"
        return waits + ["worker waits"] * other_waits


@contextmanager
def serving(server: str, folder: Path) -> Iterator[tuple[Process, Site]]:
    """Run one of the servers with the app; jobs are known to run in it when the block begins."""
    url = f"sqlite:///{folder / 'scheduler.sqlite3'}"
    site = make_shop(folder, url, SCHEDULER_AFTER_RESPONSE_FALLBACK_SECONDS=str(FALLBACK_SECONDS))
    with site.run(*SERVERS[server]) as process:
        process.wait_until_it_answers()
        site.open("warm")
        with Wire(process.port) as wire:
            wire.send(f"/{OURS}/body/warm")
            assert wire.read(20), f"{wire.answer}\n{process.said()}"
        until(lambda: site.labels("ended")["warm"], f"a job\n{process.said()}")
        yield process, site


def main() -> None:
    """Look at everything, and write it down."""
    found = {}
    for server in SERVERS:
        with tempfile.TemporaryDirectory() as folder, serving(server, Path(folder)) as (process, site):
            found[server] = {way: {kind: Cell(process, site, way, kind).look() for kind in KINDS} for way in WAYS}
        print(server, json.dumps(found[server]), flush=True)
    SEEN.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
