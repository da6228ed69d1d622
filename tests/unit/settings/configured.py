"""What a configuration of an app named "shop" is read as."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler_app.errors import ConfigurationError
from scheduler_app.settings import Settings, read_settings

INSTANCE = "/srv/app/instance"


def read(default_url: str | None = None, **config: Any) -> Settings:
    return read_settings(config, app_name="shop", instance_path=INSTANCE, debug=False, default_url=default_url)[0]


def problems_of(default_url: str | None = None, **config: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(default_url, **config)
    return list(caught.value.problems)


def notices_of(default_url: str | None = None, **config: Any) -> tuple[str, ...]:
    return read_settings(config, app_name="shop", instance_path=INSTANCE, debug=False, default_url=default_url)[1]
