"""Coroutine functions are refused where nothing could run them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from scheduler_app import Scheduler
from scheduler_app.client import Client
from scheduler_app.errors import NoAsyncError
from scheduler_app.extension import asynchronous


async def fetch() -> None:
    """Do nothing, in time."""


class OwnWay(Flask):
    """An app that needs no asgiref."""

    def async_to_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def client_of(app: Flask, folder: Path) -> Client:
    app.config.from_mapping(SECRET_KEY="a key", SCHEDULER_DATABASE_URL=f"sqlite:///{folder}/jobs.sqlite3")
    app.config["SCHEDULER_ROLE"] = "client"
    Scheduler(app)
    found: Client = app.extensions["scheduler"].client
    return found


def test_without_asgiref_it_is_refused_with_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "_has_asgiref", lambda: False)
    with pytest.raises(NoAsyncError) as raised:
        client_of(Flask("shop"), tmp_path).schedule_after(0, fetch, (), {})
    assert str(raised.value) == (
        f"'{__name__}:fetch' cannot be scheduled: it is an 'async def', and asgiref, by which Flask runs such"
        " functions, is not installed. Install it with the 'async' extra, \"pip install 'scheduler-app[async]'\","
        " or write it as a plain 'def'."
    )


@pytest.mark.parametrize(("kind", "has_asgiref"), [(Flask, True), (OwnWay, False)])
def test_where_it_can_be_run_it_is_accepted(
    kind: type[Flask], has_asgiref: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "_has_asgiref", lambda: has_asgiref)
    client = client_of(kind("shop"), tmp_path)
    assert client.schedule_after(3600, fetch, (), {}).state == "scheduled"
    client.store.close()
