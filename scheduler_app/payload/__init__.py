"""Arguments and results as signed JSON: what can be carried, what is refused and why, what is believed.

Data never becomes code here. A value that JSON knows is stored as it is; the types of `tags` are stored as
`{"$": tag, "v": value}`; everything else is refused with its path and what to pass instead. At most a payload
names a member of an Enum, in a module that the app allows. Pure: no I/O but the import of such a module.
"""

from scheduler_app.payload.masking import MASK, Scrub, as_it_is, masked, scrubber
from scheduler_app.payload.reading import Call, decode_call, decode_result
from scheduler_app.payload.signing import Signer, Verdict, derive_key
from scheduler_app.payload.tags import Allowed
from scheduler_app.payload.writing import encode_call, encode_result

__all__ = [
    "MASK",
    "Allowed",
    "Call",
    "Scrub",
    "Signer",
    "Verdict",
    "as_it_is",
    "decode_call",
    "decode_result",
    "derive_key",
    "encode_call",
    "encode_result",
    "masked",
    "scrubber",
]
