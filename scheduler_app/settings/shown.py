"""Every setting as it is here, for people: its value with secrets masked, and whence it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, NamedTuple

from scheduler_app.settings.keys import FIELDS, Settings
from scheduler_app.settings.reading import is_set

MASK = "***"


class ShownSetting(NamedTuple):
    """One setting; `value` is plain JSON."""

    name: str
    value: Any
    whence: str
    """"app.config", "default", or what else of the app says so."""


def shown_settings(settings: Settings, config: Mapping[str, Any]) -> list[ShownSetting]:
    """Return all settings in the order of the documentation. No secret is in them, but how many there are."""
    return [
        ShownSetting(name, _value(settings, part.name), _whence(settings, config, name))
        for name, part in FIELDS.items()
    ]


def _value(settings: Settings, field: str) -> Any:
    if field == "database_url":
        return settings.shown_database_url
    value = getattr(settings, field)
    if field == "signing_secrets":
        return [MASK] * len(value)
    if field == "admin_token":
        return value and MASK
    if field == "admin_tokens":
        return [{"token": MASK, "role": role} for role in value.values()]
    return _plain(value)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: inner for name, inner in asdict(value).items() if inner is not None}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__qualname__", str(value))


def _whence(settings: Settings, config: Mapping[str, Any], name: str) -> str:
    if is_set(config, name):
        return "app.config"
    if name == "SCHEDULER_DATABASE_URL" and settings.database_url_source == "flask-sqlalchemy":
        return "Flask-SQLAlchemy"
    if name == "SCHEDULER_SIGNING_KEY" and settings.signing_secrets:
        return "SECRET_KEY"
    return "default"
