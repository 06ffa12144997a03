"""How much memory the bodies of requests may take, all together."""

from axon.base import MIB
from axon.gateway.problem import RequestRefused, unavailable
from axon.telemetry import gauge

BODIES_BYTES_MAX = 512 * MIB
"""Sixty-four of the longest that are allowed by default."""

_held = gauge("axon_http_bodies_bytes", "Bodies of the requests that are being answered.")


class Bodies:
    """The bodies held by one process, from their first byte until their request is answered."""

    __slots__ = ("_bytes_max", "held_bytes")

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
        """Hold none yet."""
        self._bytes_max = bytes_max
        self.held_bytes = 0
        _held.set_function(lambda: self.held_bytes)

    def take(self, size: int) -> None:
        """Count `size` bytes more; raise RequestRefused, and count nothing, where none are left."""
        if self.held_bytes + size > self._bytes_max:
            message = "The bodies of other requests take all the memory there is for them."
            raise RequestRefused(unavailable(message, "server_overloaded"))
        self.held_bytes += size

    def give_back(self, size: int) -> None:
        """Forget `size` bytes that were counted."""
        self.held_bytes -= size
