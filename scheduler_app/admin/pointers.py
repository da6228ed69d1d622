"""JSON pointers of what errors of arguments name as Python would: `kwargs['user']['id']`."""

from __future__ import annotations

import re

from ..shapes import step

_ROOT = re.compile(r"\b(args|kwargs)\b")
_STEP = re.compile(r"\[(?:(\d+)|'([^']*)')\]")


def pointer_of(path: str) -> str:
    """Return the JSON pointer to where a path leads, as far as it can be told; "" for one that leads nowhere."""
    root = _ROOT.search(path)
    if root is None:
        return ""
    pointer, place = step("", root[1]), root.end()
    while (found := _STEP.match(path, place)) and not (found[2] or "").endswith("..."):
        pointer, place = step(pointer, found[1] or found[2]), found.end()
    return pointer
