"""What siblings ask to recognise the SDK's retries, whichever process accepted the try before.

What continues a conversation, and what has an Idempotency-Key, meets in one process anyway. The
rest is asked for among the siblings, once it says that it is a retry: a first try costs nothing.
"""

import msgspec

from axon.gateway.door import Door
from axon.turns import Try

_try = msgspec.msgpack.Decoder(Try)


async def known_try(door: Door, body: bytes) -> bytes:
    """Answer with the turn that an earlier try has become here, or with nothing."""
    return door.turns.known_try(_try.decode(body)).encode()
