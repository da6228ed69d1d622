"""Jobs that start after the response: collected while a request is handled, released when its response is closed.

They are stored in one transaction before the server has the first byte, as `scheduled` with a fallback `run_at`. The
WSGI middleware sees the server close the response; a thread, the keeper, writes what follows from that, and puts the
fallback off for as long as a response stays open. The thread that serves the request writes nothing after its insert.
If the close never comes, the fallback does, in whichever process is alive then.
"""

from .by_hand import HandKeeper
from .keeper import Keeper
from .responses import Responses

__all__ = ["HandKeeper", "Keeper", "Responses"]
