"""What `SCHEDULER_CARRY` and `SCHEDULER_BASE_URL` may say."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler_app.carry import BUILT_IN
from scheduler_app.settings.carried import KNOWN
from tests.unit.settings.configured import problems_of, read


def take() -> None:
    """What takes a value."""


def test_what_is_known_is_what_is_built_in() -> None:
    assert tuple(BUILT_IN) == KNOWN


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ("request_id, locale", ["request_id", "locale"]),
        (["user_id"], ["user_id"]),
        ('["trace_parent"]', ["trace_parent"]),
        ('{"request_id": true, "tenant": "myapp.context:tenant"}', ["request_id", "tenant"]),
        ("", []),
    ],
)
def test_names_are_read(raw: Any, names: list[str]) -> None:
    assert list(read(SCHEDULER_CARRY=raw).carry) == names


def test_the_apps_own_are_read() -> None:
    found = read(
        SCHEDULER_CARRY={"a": take, "b": "myapp:b", "c": {"capture": take, "restore": "myapp.context:Restore.c"}}
    ).carry
    assert dict(found) == {"a": (take, None), "b": ("myapp:b", None), "c": (take, "myapp.context:Restore.c")}


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (
            ["requst_id"],
            "names 'requst_id', which is none of 'request_id', 'user_id', 'locale', 'trace_parent'. Did you mean"
            " 'request_id'? Say how it is taken: {'requst_id': 'myapp.context:requst_id'}.",
        ),
        (7, "must be a list of names, such as ['request_id', 'locale'], or a mapping of names to functions, not 7."),
        ({"pop": take}, "names 'pop', which cannot be an attribute of flask.g."),
        ({"a b": take}, "names 'a b', which cannot be an attribute of flask.g."),
        ({"_x": take}, "names '_x', which cannot be an attribute of flask.g."),
        ({"x": {"restore": take}}, "must give 'x' a function, or {'capture': ..., 'restore': ...}."),
        ({"x": {"capture": take, "back": take}}, "must give 'x' a function, or {'capture': ..., 'restore': ...}."),
        (
            {"x": "myapp"},
            "gives 'x' a 'capture' that must be a function or its path, such as 'myapp.context:x', not 'myapp'.",
        ),
        (
            {"x": {"capture": take, "restore": 5}},
            "gives 'x' a 'restore' that must be a function or its path, such as 'myapp.context:x', not 5.",
        ),
    ],
    ids=range(9),
)
def test_what_cannot_be_carried_is_told(raw: Any, problem: str) -> None:
    assert problems_of(SCHEDULER_CARRY=raw) == [f"SCHEDULER_CARRY {problem}"]


@pytest.mark.parametrize("address", ["https://shop.example", "http://127.0.0.1:5000/", "https://shop.example/store/"])
def test_an_address_is_read(address: str) -> None:
    assert read(SCHEDULER_BASE_URL=address).base_url == address


@pytest.mark.parametrize(
    "address", ["shop.example", "ftp://shop.example", "https://", "https://a@b/", "https://b/?q=1"]
)
def test_what_is_no_address_is_told(address: str) -> None:
    assert problems_of(SCHEDULER_BASE_URL=address) == [
        f"SCHEDULER_BASE_URL must be an address such as 'https://shop.example/', not {address!r}."
    ]
