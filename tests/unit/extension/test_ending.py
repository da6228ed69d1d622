"""At a process's exit each of its schedulers is ended, whatever the end of another one raises."""

from __future__ import annotations

import weakref

import pytest

from scheduler_app import signals
from scheduler_app.extension import ending


class App:
    """Notes that it was ended, and raises if it is to."""

    running = True

    def __init__(self, error: Exception | None) -> None:
        self.error, self.ends = error, 0

    def stop(self, *, drain: bool, hint: str = "") -> None:
        self.ends += 1
        if self.error is not None:
            raise self.error


def test_an_app_whose_end_raises_keeps_no_other_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = [App(ValueError("the first one's own")), App(None), App(ValueError("the last one's own"))]
    told: list[str] = []
    monkeypatch.setattr(ending, "_ALL", weakref.WeakSet(apps))
    with signals.scheduler_failed.connected_to(lambda _sender, **facts: told.append(str(facts["error"]))):
        ending._stop_all()
    assert [app.ends for app in apps] == [1, 1, 1]
    assert sorted(told) == ["the first one's own", "the last one's own"]
