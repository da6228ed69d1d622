"""A page of the guide as files, commands and tables: a block of Python says in its first line of which file it is."""

from __future__ import annotations

import html
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.processes import ROOT

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w.]+\.py)\n")
CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Guide:
    """One page."""

    text: str

    @classmethod
    def read(cls, name: str) -> Guide:
        """Read a page of docs/guide."""
        return cls((ROOT / "docs" / "guide" / name).read_text())

    def blocks(self, language: str) -> list[str]:
        """Return the blocks of a language."""
        return [block for found, block in BLOCK.findall(self.text) if found == language]

    def files(self) -> dict[str, str]:
        """Return the text of each file that the page spells; one block may go on with the file of an earlier one."""
        files: dict[str, str] = {}
        for block in self.blocks("python"):
            head = FILE.match(block)
            assert head is not None, f"This block does not say which file it is of:\n{block}"
            files[head[1]] = files.get(head[1], "") + block.removeprefix(head[0])
        return files

    def write(self, folder: Path) -> None:
        """Write every file of the page into a folder."""
        for name, text in self.files().items():
            (folder / name).write_text(text)

    def commands(self) -> list[list[str]]:
        """Return the words of each command that the page tells to type."""
        lines = [line for block in self.blocks("console") for line in block.splitlines()]
        return [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if line.startswith("$ ")]

    def table(self, heading: str) -> list[list[str]]:
        """Return the rows of the first table under a heading, cell by cell."""
        _, _, section = self.text.partition(f"## {heading}\n")
        lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]


def code(cell: str) -> str:
    """Return the code that a cell shows, or nothing."""
    found = CODE.search(cell)
    return found[1] if found else ""


def words(cell: str) -> str:
    """Return what a cell says, as it is shown."""
    return html.unescape(cell)
