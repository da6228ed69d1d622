"""Unpickling without calling what a pickle names: what stored jobs are made of can be made, and nothing else.

A pickle can name any function of any module and have it called. Here it can make instants, time zones, APScheduler's
triggers, numbers, sets and the app's own enums; everything else is refused by its name, before it is imported. That is
no sandbox: it stands on Python's own reader of pickles, an enum's module is imported, and how much memory or time a
pickle takes is not limited here.
"""

from __future__ import annotations

import datetime as dt
import decimal
import pickle
import uuid
import zoneinfo
from collections.abc import Callable
from enum import Enum
from importlib import import_module
from typing import IO, Any, ClassVar

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import AndTrigger, BaseCombiningTrigger, OrTrigger

from scheduler_app.payload.tags import find_enum

_VALUES = (
    dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone, decimal.Decimal, uuid.UUID, uuid.SafeUUID,
    zoneinfo.ZoneInfo, object, set, frozenset, bytearray, bytes,
)  # fmt: skip
_NAMED = {(kind.__module__, kind.__qualname__): kind for kind in _VALUES}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""What modules are called in pickles of the protocols 0 to 2."""
_TRIGGERS = "apscheduler.triggers"
_PYTZ = ("_UTC", "_p")
"""By which functions pytz's zones are pickled."""


class NamesTooMuchError(pickle.UnpicklingError):
    """A pickle names what is not read from one."""


_Python: Any = pickle._Unpickler  # the stubs know nothing of its steps


class _Steps(dict[int, Any]):
    """What the reader does at each byte that says what comes."""

    def __missing__(self, byte: int) -> Any:
        raise pickle.UnpicklingError(f"invalid load key, {chr(byte)!r}")


class Unpickler(_Python):  # type: ignore[misc]
    """Reads one pickle. `allows` says of which modules an enum may be.

    It is the reader that is written in Python, whose steps can be guarded: to the other one, a state is a state also
    where it gives a class or a function other attributes, for as long as the process lives.
    """

    dispatch: ClassVar[dict[int, Any]] = _Steps(_Python.dispatch)

    def __init__(self, file: IO[bytes], allows: Callable[[str], bool]) -> None:
        super().__init__(file)
        self._allows = allows

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few things that may be named. Raises `NamesTooMuchError` for any other."""
        module = _PYTHON_2.get(module, module)
        if (module, name) in _NAMED:
            return _NAMED[module, name]
        if (module, name) == ("builtins", "getattr"):
            return _unpickle_of_zone
        if (module, name) == ("copyreg", "_reconstructor"):
            return _reconstructed
        if (module, name) == ("_codecs", "encode"):
            return _bytes_of
        if module == "pytz" and name in _PYTZ:
            return getattr(import_module(module), name)
        if module.startswith(f"{_TRIGGERS}."):
            part = _trigger_part(module, name)
            return _STAND_INS.get(part, part)
        if self._allows(module) and (enum := find_enum(import_module(module), name)) is not None:
            return enum
        raise _unreadable(module, name)

    def load_build(self) -> None:
        """Give an object its state. Raises `NamesTooMuchError` for any that does not get one in an honest pickle."""
        made = type(self.stack[-2])
        if not _takes_state(made) or _has_special_names(self.stack[-1]):
            raise _unreadable(made.__module__, made.__qualname__)
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _takes_state(made: type) -> bool:
    """Whether objects of this class get a state: never a class, nor a combination that has its own already."""
    if issubclass(made, BaseCombiningTrigger):
        return issubclass(made, _StandIn)
    return made is uuid.UUID or made.__module__.startswith(f"{_TRIGGERS}.")


def _has_special_names(state: Any) -> bool:
    parts = state if isinstance(state, tuple) else (state,)
    return any(str(name).startswith("__") for part in parts if isinstance(part, dict) for name in part)


def make_trigger(reference: object, state: Any) -> BaseTrigger:
    """Return the trigger that wrote `state` of itself. `reference` names its class, as ``module:name``.

    Raises `ValueError` for a class that is none of APScheduler's own, and whatever one raises for a state of another.
    """
    made: Any = object.__new__(_trigger_class(*str(reference).partition(":")[::2]))
    if isinstance(made, BaseCombiningTrigger):
        _combine(made, state)
    else:
        made.__setstate__(state)
    trigger: BaseTrigger = made
    return trigger


def _combine(combination: Any, state: Any) -> None:
    """Give a combination its state; by itself it would import whatever its triggers are said to be, and call it."""
    combination.jitter = state["jitter"]
    combination.triggers = [make_trigger(reference, child) for reference, child in state["triggers"]]


class _StandIn:
    """Takes the state of a combination in a pickle, and is then what it stands for."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        try:
            _combine(self, state)
        except ValueError as error:
            raise NamesTooMuchError(str(error)) from None
        self.__class__ = AndTrigger if isinstance(self, AndTrigger) else OrTrigger


class _And(_StandIn, AndTrigger):  # type: ignore[misc] # APScheduler has no types
    __slots__ = ()


class _Or(_StandIn, OrTrigger):  # type: ignore[misc]
    __slots__ = ()


_STAND_INS: dict[Any, Any] = {AndTrigger: _And, OrTrigger: _Or}


def _trigger_class(module: str, name: str) -> type[BaseTrigger]:
    """Return the class of one of APScheduler's own triggers. Raises `ValueError` for any other."""
    part = _trigger_part(module, name) if module.startswith(f"{_TRIGGERS}.") else None
    if part is None or not issubclass(part, BaseTrigger):
        raise ValueError(f"the trigger {module}:{name} is none of APScheduler's own")
    kind: type[BaseTrigger] = part
    return kind


def _unreadable(module: str, name: str) -> NamesTooMuchError:
    return NamesTooMuchError(
        f"it holds a {module}.{name}, which is not read from a pickle. Pass its id as the argument instead, and add the"
        " job by hand"
    )


def _unpickle_of_zone(owner: Any, name: str) -> Any:
    """Stand for `getattr` where a ZoneInfo is made again, and for nothing else."""
    if owner is zoneinfo.ZoneInfo and name == "_unpickle":
        return zoneinfo.ZoneInfo._unpickle  # type: ignore[attr-defined]
    raise _unreadable("builtins", "getattr")


def _reconstructed(kind: Any, base: Any, _state: Any) -> Any:
    """Stand for copyreg's function where an object of a plain class is made again."""
    if base is not object or not (kind in _STAND_INS.values() or getattr(kind, "__module__", "").startswith(_TRIGGERS)):
        raise _unreadable("copyreg", "_reconstructor")
    return object.__new__(kind)


def _bytes_of(text: Any, encoding: Any) -> bytes:
    """Stand for `codecs.encode`, by which the protocols 0 to 2 write bytes."""
    if type(text) is not str or encoding != "latin1":
        raise _unreadable("_codecs", "encode")
    return text.encode("latin1")


def _trigger_part(module: str, name: str) -> Any:
    """Return a class that APScheduler's triggers are made of."""
    part = getattr(import_module(module), name, None) if "." not in name else None
    if not isinstance(part, type) or part.__module__ != module or issubclass(part, Enum):
        raise _unreadable(module, name)
    return part
