"""Secrets are read from whatever holds them, and shown nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler_app.settings import masked
from tests.unit.settings.configured import problems_of, read

BAD_SECRET = "must be a text that is not empty. Quote it where the environment reads it as something else."


def test_no_secret_is_in_the_repr() -> None:
    settings = read(
        SCHEDULER_DATABASE_URL="postgresql://u:hush1@h/d",
        SCHEDULER_SIGNING_KEY=["hush2"],
        SCHEDULER_ADMIN_TOKEN="hush3",
        SCHEDULER_ADMIN_TOKENS={"hush4": "admin"},
    )
    assert "hush" not in repr(settings)
    assert settings.shown_database_url == "postgresql://u:***@h/d"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hu/s@h:1@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://:hush@h/d", "postgresql://:***@h/d"),
        ("postgresql://h/d?password=hush&sslmode=require", "postgresql://h/d?password=***&sslmode=require"),
        ("postgresql://h/d?a=1&sslpassword=hush", "postgresql://h/d?a=1&sslpassword=***"),
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"),
        ("sqlite:////srv/a@b/c.db", "sqlite:////srv/a@b/c.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_signing_keys_come_before_the_apps_secret_key() -> None:
    secrets: dict[str, Any] = {"SECRET_KEY": "app", "SECRET_KEY_FALLBACKS": ["older", "oldest"]}
    assert read(**secrets).signing_secrets == ("app", "older", "oldest")
    assert read(**secrets, SCHEDULER_SIGNING_KEY="own").signing_secrets == ("own",)
    assert read(**secrets, SCHEDULER_SIGNING_KEY=["own", b"older"]).signing_secrets == ("own", "older")


def test_a_secret_key_of_bytes_is_kept_apart_from_every_other() -> None:
    assert read(SECRET_KEY="clé".encode()).signing_secrets == ("clé",)
    assert read(SECRET_KEY=b"\xff\xfe").signing_secrets == ("\xff\xfe",)


def test_a_secret_may_begin_with_a_bracket() -> None:
    assert read(SCHEDULER_SIGNING_KEY="[hush").signing_secrets == ("[hush",)
    assert read(SECRET_KEY='["hush"]').signing_secrets == ('["hush"]',)


@pytest.mark.parametrize("raw", [1.5, True, [], {"a": 1}, ["", "x"]])
def test_what_is_no_secret_is_refused_without_being_shown(raw: Any) -> None:
    assert problems_of(SCHEDULER_SIGNING_KEY=raw) == [f"SCHEDULER_SIGNING_KEY {BAD_SECRET}"]


@pytest.mark.parametrize("raw", ["hu sh", "hüsh", "hush\n"])
def test_a_token_that_no_bearer_header_can_carry_is_refused_without_being_shown(raw: str) -> None:
    words = "must consist of printable ASCII characters without spaces, as a bearer token does."
    assert problems_of(SCHEDULER_ADMIN_TOKEN=raw) == [f"SCHEDULER_ADMIN_TOKEN {words}"]
    assert problems_of(SCHEDULER_ADMIN_TOKENS={raw: "viewer"}) == [f"SCHEDULER_ADMIN_TOKENS {words}"]


def test_tokens_map_to_roles() -> None:
    settings = read(SCHEDULER_ADMIN_TOKEN="a", SCHEDULER_ADMIN_TOKENS={"b": "Viewer", "c": "admin"})
    assert settings.admin_token == "a"
    assert settings.admin_tokens == {"b": "viewer", "c": "admin"}


def test_a_role_that_does_not_exist_is_refused_without_showing_what_may_be_a_token() -> None:
    problem = "SCHEDULER_ADMIN_TOKENS must give each token the role 'viewer', 'operator' or 'admin'."
    assert problems_of(SCHEDULER_ADMIN_TOKENS={"hush": "operater"}) == [f"{problem} Did you mean 'operator'?"]
    assert problems_of(SCHEDULER_ADMIN_TOKENS={"viewer": "hush"}) == [problem]
    assert problems_of(SCHEDULER_ADMIN_TOKENS="hush") == [
        "SCHEDULER_ADMIN_TOKENS must be a mapping of token to role, such as {'<token>': 'viewer'}."
    ]
