"""Every `SCHEDULER_*` setting, read once into a frozen `Settings`, with every problem reported at once.

A field is a key: its unit is in its name, and beside it stand its default, how it is read, and the sentence that the
documentation and the command line show. Secrets are in no repr and in no problem. Nothing here opens or creates
anything.
"""

from __future__ import annotations

from scheduler_app.settings.database_url import masked
from scheduler_app.settings.keys import KEYS, Key, Settings
from scheduler_app.settings.reading import read_settings
from scheduler_app.settings.sections import DEFAULT_NAME, ExecutorSettings, QueueSettings

__all__ = ["DEFAULT_NAME", "KEYS", "ExecutorSettings", "Key", "QueueSettings", "Settings", "masked", "read_settings"]
