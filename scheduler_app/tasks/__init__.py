"""Tasks: functions that may be deferred, and the names by which every process finds them again.

A task's name is stored and its code is not, so a name must lead back to the same function in any process. Nothing
is imported before its top-level package is known to be one of the app's. Pure: no Flask app, no database.
"""

from scheduler_app.tasks.instances import is_method_of_object
from scheduler_app.tasks.modules import ModuleRule, main_name
from scheduler_app.tasks.refusals import importable_module
from scheduler_app.tasks.registry import DECLARED, TaskRegistry, declare
from scheduler_app.tasks.secret import RESULT, Secret
from scheduler_app.tasks.task import Delivery, Task

__all__ = [
    "DECLARED",
    "RESULT",
    "Delivery",
    "ModuleRule",
    "Secret",
    "Task",
    "TaskRegistry",
    "declare",
    "importable_module",
    "is_method_of_object",
    "main_name",
]
