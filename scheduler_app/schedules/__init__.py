"""Schedules: recurring definitions, how their triggers are written and read, and when they fire.

Pure: no clock is read and nothing is stored here. `schedule` is the word itself; `triggers` writes an APScheduler
trigger as JSON, and `stored_triggers` reads it back; `crontab` reads standard crontab lines; `fire_times` says when
triggers fire, `wall_clock` and `calendar_dates` what follows the clock on the wall, `combined` what several triggers do
together; `policy` decides about catch-up and overlap; `preview` looks ahead.
"""

from scheduler_app.schedules.crontab import cron_trigger
from scheduler_app.schedules.fire_times import Fire, all_due, first_fire_time, latest_due
from scheduler_app.schedules.policy import (
    MOST_CAUGHT_UP,
    ON_TIME,
    UNLIMITED,
    CatchUp,
    Decision,
    Overlap,
    Policy,
    decide,
    policy_of,
)
from scheduler_app.schedules.preview import Planned, preview
from scheduler_app.schedules.schedule import Schedule, definition, every_trigger
from scheduler_app.schedules.stored_triggers import decode_trigger, is_same_but_for_starts
from scheduler_app.schedules.triggers import encode_trigger, given_starts, says_the_same

__all__ = [
    "MOST_CAUGHT_UP",
    "ON_TIME",
    "UNLIMITED",
    "CatchUp",
    "Decision",
    "Fire",
    "Overlap",
    "Planned",
    "Policy",
    "Schedule",
    "all_due",
    "cron_trigger",
    "decide",
    "decode_trigger",
    "definition",
    "encode_trigger",
    "every_trigger",
    "first_fire_time",
    "given_starts",
    "is_same_but_for_starts",
    "latest_due",
    "policy_of",
    "preview",
    "says_the_same",
]
