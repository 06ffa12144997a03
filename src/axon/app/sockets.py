"""Listening sockets: bound once, handed to the process that serves."""

import hashlib
import socket
from pathlib import Path

from axon.app.settings import HttpSettings
from axon.base import AxonError

BACKLOG = 1024
"""Connections that wait in the kernel while the serving process restarts."""

_INTERNAL_PORTS = range(20_000, 30_000)
"""Below the ports the kernel gives to outgoing connections, which could take ours meanwhile."""


class PortTaken(AxonError):
    """Another program listens on this port."""


def listening_socket(http: HttpSettings, shared: bool = False) -> socket.socket:
    """Return the inherited listening socket, or a new one; raises PortTaken or OSError.

    A `shared` port may be bound by several processes of this user; the kernel then spreads the
    connections over them, and those waiting for one that ends are lost with it.
    """
    if http.fd >= 0:
        return socket.socket(fileno=http.fd)
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((http.host, http.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if isinstance(error, PermissionError) or error.errno is None:
            raise
        raise PortTaken(f"{http.host}:{http.port}: {error.strerror}") from error
    return listener


def private_socket(path: Path) -> socket.socket:
    """Return a listening unix socket at `path`, in the place of one a dead process left there.

    The folder is private, and so is the socket; raises OSError.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def free_port(data: Path) -> int:
    """Return a free local port for an internal server, the same one for a data folder if it can.

    Nothing reserves it; the caller's server takes it a moment later.
    """
    digest = hashlib.blake2s(bytes(data), digest_size=4).digest()
    first = int.from_bytes(digest, "big") % len(_INTERNAL_PORTS)
    for step in range(len(_INTERNAL_PORTS)):
        port = _INTERNAL_PORTS[(first + step) % len(_INTERNAL_PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise PortTaken("every internal port")
