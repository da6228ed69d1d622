"""The keeper of a test: no thread writes for it, and what was answered is released when the test says so."""

from __future__ import annotations

from .keeper import Keeper, Open
from .middleware import Served


class HandKeeper(Keeper):
    """Releases what waits for the responses that the app has made, in the thread that calls `end_served`.

    A test that goes on has its response, whether its client has closed that, kept it or dropped it; and so no moment
    is waited for, either.
    """

    def _forget(self) -> None:
        super()._forget()
        self._delay_seconds = 0.0
        self._held: list[Open] = []

    def watch(self, response: Open) -> None:
        """Know a response whose jobs wait, also when nobody else holds it any more."""
        super().watch(response)
        self._held.append(response)

    def _start_thread(self) -> None:
        """There is none."""

    def end_served(self) -> None:
        """Release what waits for each response that was handed over, and write it. Raises what the store raises."""
        with self.lock:
            served = [one for one in self._held if isinstance(one, Served) and hasattr(one, "body")]
            self._held = [one for one in self._held if one not in served]
        for response in served:
            response.end()
        self._write_ended()
