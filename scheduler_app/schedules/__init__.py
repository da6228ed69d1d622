"""Schedules: recurring definitions, how their triggers are written and read, and when they fire.

Pure: no clock is read and nothing is stored here. `schedule` is the word itself; `triggers` writes an APScheduler
trigger as JSON and reads it back; `crontab` reads standard crontab lines; `fire_times` states the rules of catch-up
and of clock changes.
"""

from scheduler_app.schedules.crontab import cron_trigger
from scheduler_app.schedules.fire_times import Fire, all_due, first_fire_time, latest_due
from scheduler_app.schedules.schedule import Schedule, definition, every_trigger
from scheduler_app.schedules.triggers import decode_trigger, encode_trigger

__all__ = [
    "Fire",
    "Schedule",
    "all_due",
    "cron_trigger",
    "decode_trigger",
    "definition",
    "encode_trigger",
    "every_trigger",
    "first_fire_time",
    "latest_due",
]
