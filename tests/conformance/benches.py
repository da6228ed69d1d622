"""Each executor with work for it: claims that end at once or wait for a gate, and where they ran."""

from __future__ import annotations

import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask

from scheduler_app import Scheduler
from scheduler_app.executors import DurableExecutor, ProcessExecutor, Runner, ThreadExecutor
from scheduler_app.extension.parts import Parts
from scheduler_app.jobs import Outcome
from scheduler_app.outcomes import Result
from scheduler_app.payload import encode_call
from scheduler_app.store import Claim

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Report = Callable[[str, Claim, Result], None]


def claim(task: str = "t", number: int = 0, **changed: Any) -> Claim:
    facts = {
        "id": f"job-{number}", "task": task, "payload": '{"a":[],"k":{}}', "signature": "", "queue": "default",
        "priority": 2, "run_at": NOW, "attempt": 0, "max_attempts": 1, "crashes": 0, "at_most_once": False,
        "fence": 1, "key": None, "schedule_uid": None, "fire_time": None, "max_lateness": None,
    }  # fmt: skip
    return Claim(**(facts | changed))


class Bench(ABC):
    """One executor, and claims that it can run."""

    def __init__(self, executor: DurableExecutor) -> None:
        self.executor = executor
        executor.start(BackgroundScheduler(timezone=UTC), "default")

    @abstractmethod
    def succeed(self, report: Report) -> None:
        """From here on, claims end at once."""

    @abstractmethod
    def hold(self, report: Report) -> None:
        """From here on, claims wait for the gate."""

    @abstractmethod
    def open(self) -> None:
        """Open the gate."""

    @abstractmethod
    def shut(self) -> None:
        """Shut it."""

    @abstractmethod
    def claim(self, number: int, **changed: Any) -> Claim:
        """Return a claim of the work that was asked for last."""

    @abstractmethod
    def place_of(self, result: Result) -> Any:
        """Return where it ran."""

    @abstractmethod
    def here(self) -> Any:
        """Return the place of the caller."""

    def close(self) -> None:
        """End the executor."""
        self.open()
        self.executor.shutdown(wait=True)


class Threads(Bench):
    """The thread executor, which calls whatever it is bound to."""

    def __init__(self, slots: int, _folder: Path) -> None:
        super().__init__(ThreadExecutor(slots))
        self._gate = threading.Event()

    def succeed(self, report: Report) -> None:
        self.executor.bind(self._end, report)

    def hold(self, report: Report) -> None:
        self.executor.bind(self._wait, report)

    def _wait(self, one: Claim) -> Result:
        assert self._gate.wait(20)
        return self._end(one)

    def _end(self, _claim: Claim) -> Result:
        return Result(NOW, NOW, Outcome.SUCCESS, returned=threading.get_ident())

    def open(self) -> None:
        self._gate.set()

    def shut(self) -> None:
        self._gate.clear()

    def claim(self, number: int, **changed: Any) -> Claim:
        return claim(number=number, **changed)

    def place_of(self, result: Result) -> Any:
        return result.returned

    def here(self) -> Any:
        return threading.get_ident()


class Processes(Bench):
    """The process executor, whose children make an app of this module and run its functions."""

    def __init__(self, slots: int, folder: Path, **limits: Any) -> None:
        self.gate = folder / "gate"
        self._parts: Parts = create_app().extensions["scheduler"]
        self._function: Callable[..., Any] = here
        self._args: tuple[Any, ...] = ()
        super().__init__(ProcessExecutor(slots, app=f"{__name__}:create_app", **limits))

    def succeed(self, report: Report) -> None:
        self._be(report, here)

    def hold(self, report: Report) -> None:
        self._be(report, here_once, str(self.gate))

    def _be(self, report: Report, function: Callable[..., Any], *args: Any) -> None:
        self._function, self._args = function, args
        runner = self.runner
        self.executor.bind(runner.run, report, runner)

    @property
    def runner(self) -> Runner:
        """What checks a claim in this process."""
        return self._parts.make_runner()

    def open(self) -> None:
        self.gate.touch()

    def shut(self) -> None:
        self.gate.unlink(missing_ok=True)

    def claim(self, number: int, **changed: Any) -> Claim:
        return self.call(self._function, *self._args, number=number, **changed)

    def call(self, function: Callable[..., Any], *args: Any, number: int = 0, **changed: Any) -> Claim:
        """Return a claim, signed, of a function that the children can import."""
        payload = encode_call(args, {}, max_bytes=10_000, allowed=lambda _module: False)
        task = f"{function.__module__}:{function.__name__}"
        signature = self._parts.signer().sign(f"job-{number}", task, "default", payload)
        return claim(task, number, payload=payload, signature=signature, **changed)

    def sign(self, one: Claim) -> str:
        """Return the signature of a claim as it is now."""
        return self._parts.signer().sign(one.id, one.task, one.queue, one.payload)

    def place_of(self, result: Result) -> Any:
        return json.loads(result.value or "null")

    def here(self) -> Any:
        return os.getpid()


# -- what the children import ------------------------------------------------------------------------


def create_app() -> Flask:
    """Make the app of the children; no database is asked, and none is there."""
    app = Flask("tests")
    app.config |= {
        "SECRET_KEY": "the secret of the executors' tests",
        "SCHEDULER_DATABASE_URL": "sqlite:////nowhere/there/is/none.sqlite3",
        "SCHEDULER_ROLE": "embedded",
        "SCHEDULER_TASK_MODULES": ["tests"],
        "TESTING": True,
    }
    Scheduler(app)
    return app


def here() -> int:
    """Tell in which process this runs."""
    return os.getpid()


def here_once(path: str) -> int:
    """Wait for a file, and tell in which process this runs."""
    gate = threading.Event()
    while not Path(path).exists():
        gate.wait(0.005)
    return os.getpid()
