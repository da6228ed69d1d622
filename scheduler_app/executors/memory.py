"""A limit on the memory that one job takes, on top of what its process held before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEGABYTE = 1_000_000

CAN_LIMIT = sys.platform == "linux"
"""Whether there is such a limit: elsewhere the kernel counts no private memory, or does not mind its limit."""


@contextmanager
def limited(megabytes: int | None) -> Iterator[None]:
    """Let the block take so much more memory than this process has now; beyond it, Python raises MemoryError.

    The kernel counts what is private and writable (RLIMIT_DATA): heap and anonymous mappings, not files or libraries
    that are mapped, nor what a child of this process takes, for whom the limit holds anew. None: no limit.
    """
    if megabytes is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _private_bytes() + megabytes * MEGABYTE
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _private_bytes() -> int:
    """Return what the kernel counts now, as proc(5) tells it in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
