"""What the line at the start of a process says of it, so that whoever reads its log knows which process runs jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import signals

BY_HAND = "scheduler.start() was called in it"
RUN_COMMAND = "it is 'flask scheduler run'"
EMBEDDED = "SCHEDULER_ROLE=embedded"
CLIENT = "SCHEDULER_ROLE=client; 'flask scheduler run' runs them, or a process of another role"
BY_REQUEST = "it has served its first request"


def serves(server: str) -> str:
    """Return the reason that a known server gives."""
    return f"{server} serves requests in it"


@dataclass
class Boot:
    """The facts of one app in one process that do not come from its loop."""

    app: str
    role: str
    store: str
    admin: str
    because: str = BY_HAND
    """Why jobs run here, or why not."""
    serving: bool = False
    """Whether this process serves requests."""

    def facts(self) -> dict[str, Any]:
        """Return them, for the loop's own line."""
        return {
            "app": self.app,
            "role": self.role,
            "admin": self.admin,
            "because": self.because,
            "serving": self.serving,
        }

    def tell_client(self, because: str, *, warning: bool = False) -> None:
        """Tell that this process serves, stores jobs and runs none; as a `warning` where nobody asked for that."""
        self.because, self.serving = because, True
        signals.client_started.send(self, store=self.store, warning=warning, **self.facts())
