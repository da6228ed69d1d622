"""What this process is: one that serves requests, the parent of such ones, or neither; and what a fork made of it.

A scheduler starts by itself only in a process that serves. No server is imported or asked for that: each runs a known
function for as long as it serves, and that function is on the stack of one of the threads. Only uWSGI, which serves and
forks from C, is asked itself. Those functions were read in gunicorn 27, waitress 3.0, werkzeug 3.1 and uWSGI 2.0.30.
"""

from .forks import around_forks, catch_up, forked_by_server, in_child, is_copy_of_server
from .handed import be_handed_jobs, is_handed_jobs
from .requests import comes_from_server
from .stacks import Serving, Sight, look
from .threadless import refuse_green_sockets, refuse_without_threads
from .watch import Watch

__all__ = [
    "Serving",
    "Sight",
    "Watch",
    "around_forks",
    "be_handed_jobs",
    "catch_up",
    "comes_from_server",
    "forked_by_server",
    "in_child",
    "is_copy_of_server",
    "is_handed_jobs",
    "look",
    "refuse_green_sockets",
    "refuse_without_threads",
]
