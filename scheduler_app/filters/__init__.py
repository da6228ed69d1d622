"""One language for every door that says which jobs are meant: ``state=failed task=mail.* created>=2026-01-01``.

The same words stand in a terminal, in one text, and as parameters of an address. All conditions hold at once. A
filter is told by its canonical text, `str(filter)`, which reads back to the same filter.
"""

from .conditions import TIMES, Pattern, Span, is_filter
from .job_filter import JobFilter, Sort, check_sort
from .reading import NAMES, filter_of_parameters, filter_of_words, parse_filter

__all__ = [
    "NAMES",
    "TIMES",
    "JobFilter",
    "Pattern",
    "Sort",
    "Span",
    "check_sort",
    "filter_of_parameters",
    "filter_of_words",
    "is_filter",
    "parse_filter",
]
