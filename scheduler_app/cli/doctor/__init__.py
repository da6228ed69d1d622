"""`flask scheduler doctor`: `gather` takes the facts, each rule judges them purely, the command tells what was found.

A rule looks at nothing but the facts, so a table of cases is its whole test; the rules stand by what they judge in
`database`, `process` and `work`. Gathering changes nothing, and makes neither a file, nor a table, nor a key.
"""

from .command import RULES, examine_all, examined
from .facts import Facts
from .finding import Finding, Level

__all__ = ["RULES", "Facts", "Finding", "Level", "examine_all", "examined"]
