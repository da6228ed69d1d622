"""A request to the admin cannot be answered."""

from __future__ import annotations

from collections.abc import Mapping

from .base import SchedulerError


class CursorError(SchedulerError, ValueError):
    """The cursor of a list was not made by this app for this list."""

    def __init__(self) -> None:
        super().__init__(
            "The cursor cannot be used: it was cut, changed, made for another filter or order, or made before the"
            " signing key changed. Ask again without a cursor, and follow the next one from there."
        )


class RequestError(SchedulerError, ValueError):
    """A request names parameters that do not exist or cannot be used; `problems` has a sentence for each, by name."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(self.problems.values()))


class BodyError(RequestError):
    """The body of a request cannot be used; `problems` has a sentence for each place, by its JSON pointer."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(problems)
        told = [f"{pointer or 'The body'}: {sentence}" for pointer, sentence in self.problems.items()]
        self.args = (" ".join(told),)


class FilterError(SchedulerError, ValueError):
    """A filter has unknown names or values that cannot be used; `problems` has a sentence for each, by name."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(self.problems.values()))


class AuthorizeError(SchedulerError, TypeError):
    """The app's own `authorize` function answered neither an `Actor` with a known role nor None."""

    def __init__(self, answer: str) -> None:
        super().__init__(
            f"The function given to @scheduler.authorize returned {answer}, so the request was refused."
            " Return Actor(name, role) with the role 'viewer', 'operator' or 'admin', or None."
        )
