"""What of a stored call may be shown: everything but the arguments that nobody may see, and their values in texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..arguments import Argument
from ..jobs import Attempt, Job
from ..payload import MASK, Scrub, as_it_is, masked, scrubber
from ..tasks import RESULT, TaskRegistry


class Shown:
    """How a stored call is shown, at every door alike. Nothing is imported for it.

    Its secrets are those that stand with the row, as the process that stored it knew them, and those of the task as it
    is known here. Where the row cannot be read, all of it is a secret unless its task is known here to have none.
    """

    def __init__(self, task: str, payload: str, registry: TaskRegistry) -> None:
        known = registry.known(task)
        self._places: frozenset[Any] = frozenset()
        self._call: tuple[list[Any], dict[str, Any]] | None = None
        self.hides_all = False
        """Whether not even the stored text may be shown."""
        try:
            parts = json.loads(payload)
            args, kwargs = list(parts["a"]), dict(parts["k"])
            stored = frozenset(parts.get("s", ()))
            self._call = args, kwargs
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.hides_all = known is None or known.has_secrets
            return
        of_task = known.secret_places(args, kwargs) if known is not None else ()
        self._places = stored | frozenset(of_task)

    @property
    def has_secrets(self) -> bool:
        """Whether anything of it is hidden."""
        return bool(self._places) or self.hides_all

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return its arguments, as stored or as read, with the secrets replaced."""
        return masked(args, kwargs, self._places)

    @cached_property
    def _scrub(self) -> Scrub:
        return scrubber(*self._call, self._places) if self._call and self._places else as_it_is

    def has_arguments(self, wanted: Iterable[Argument]) -> bool:
        """Whether the call has all of these arguments, as far as they may be shown."""
        wanted = tuple(wanted)
        if not wanted or self._call is None:
            return not wanted
        args, kwargs = self.arguments(*self._call)
        return all(one.is_in(args, kwargs) for one in wanted)

    def hides(self, place: int | str) -> bool:
        """Whether the argument at this position, or of this name, is a secret; `RESULT` is what was returned."""
        return place in self._places

    def text(self, text: str | None) -> str | None:
        """Return an error, a traceback or a progress with the values of the secrets replaced."""
        return None if text is None else self._scrub(text)

    def result(self, text: str | None) -> str | None:
        """Return a stored result, masked where it is a secret or holds one. JSON stays JSON."""
        if text is None or RESULT in self._places:
            return None if text is None else json.dumps(MASK)
        scrubbed = self._scrub(text)
        try:
            json.loads(scrubbed if scrubbed != text else "null")
            return scrubbed
        except (ValueError, RecursionError):  # a number in it was replaced, and what is left is no JSON
            return json.dumps(MASK)


def shown_job(job: Job, registry: TaskRegistry) -> Job:
    """Return a job whose error, progress and result may be shown; its arguments stand in the payload as before."""
    shown = Shown(job.task, job.payload, registry)
    if not shown.has_secrets:
        return job
    return replace(job, error=shown.text(job.error), progress=shown.text(job.progress), result=shown.result(job.result))


def shown_attempts(job: Job, attempts: Sequence[Attempt], registry: TaskRegistry) -> list[Attempt]:
    """Return a job's attempts with the values of its secrets replaced in what they say."""
    text = Shown(job.task, job.payload, registry).text
    return [replace(one, error=text(one.error), traceback=text(one.traceback)) for one in attempts]
