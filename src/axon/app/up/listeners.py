"""The sockets of `axon up`, kept open: connections wait there while a process restarts."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from axon.app.folders import DataFolder
from axon.app.instances import instances, private_socket_path
from axon.app.settings import Settings
from axon.app.sockets import listening_socket, private_socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """One public socket for all serving processes, and a private one for each."""

    public: socket.socket
    private: Mapping[str, socket.socket]
    """By the process's name, in the order of their places."""


@contextmanager
def listeners(settings: Settings, folder: DataFolder) -> Iterator[Listeners]:
    """Lend the sockets, listening; raises PortTaken, MarksCollide or OSError."""
    with ExitStack() as opened:
        public = opened.enter_context(listening_socket(settings.http))
        private = {
            name: opened.enter_context(private_socket(private_socket_path(folder.root, name)))
            for name in instances(settings)
        }
        yield Listeners(public=public, private=private)
