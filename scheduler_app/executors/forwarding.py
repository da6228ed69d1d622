"""Log records of a child: written where the app's own handlers put them, else by the parent as if they were its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .wire import Message, pack

_FACTS = ("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName", "created", "msecs",
          "relativeCreated", "thread", "threadName", "process", "processName")  # fmt: skip
_OWN = frozenset(vars(logging.makeLogRecord({})))
_PLAIN = (str, int, float, bool, type(None))


class ForwardingHandler(logging.Handler):
    """In a child, on the root logger: hands records to the parent that no other handler takes."""

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it on; in a process that a job forked, which has no parent to hand it to, write it to stderr."""
        try:
            if self._is_taken(record) or self._send(pack({"kind": "log", "record": self._facts(record)})):
                return
        except Exception:
            self.handleError(record)
        else:
            if logging.lastResort is not None:
                logging.lastResort.handle(record)

    def _is_taken(self, record: logging.LogRecord) -> bool:
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False

    @staticmethod
    def _facts(record: logging.LogRecord) -> dict[str, Any]:
        facts = {name: getattr(record, name) for name in _FACTS}
        facts["msg"] = record.getMessage()
        if record.exc_info:
            facts["exc_text"] = logging.Formatter().formatException(record.exc_info)
        extra = {n: v for n, v in vars(record).items() if n not in _OWN and isinstance(v, _PLAIN)}
        return extra | facts


def log_here(message: Message) -> None:
    """In the parent: have its handlers take a child's record, if its loggers' levels let it through."""
    record = logging.makeLogRecord(dict(message["record"]))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
