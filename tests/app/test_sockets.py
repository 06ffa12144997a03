"""Listening sockets: bound once, inherited, and a taken port is named."""

import socket
from pathlib import Path

import pytest

from axon.app.settings import HttpSettings
from axon.app.sockets import PortTaken, free_port, listening_socket


def test_an_inherited_socket_is_used_as_it_is() -> None:
    with listening_socket(HttpSettings(port=0)) as first:
        inherited = listening_socket(HttpSettings(fd=first.fileno()))
        assert inherited.getsockname() == first.getsockname()
        inherited.detach()


def test_connections_wait_in_the_backlog_before_anybody_accepts() -> None:
    with (
        listening_socket(HttpSettings(port=0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=5) as client,
    ):
        client.sendall(b"x")


def test_a_taken_port_is_named() -> None:
    with listening_socket(HttpSettings(port=0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            listening_socket(HttpSettings(port=port))


def test_an_internal_port_is_the_same_every_time_unless_it_is_taken(tmp_path: Path) -> None:
    port = free_port(tmp_path)
    assert free_port(tmp_path) == port
    with listening_socket(HttpSettings(port=port)):
        assert free_port(tmp_path) != port
