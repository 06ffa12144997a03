"""The serving processes of one installation: their names, and the sockets they talk by."""

from pathlib import Path

from axon.app.embedded.folders import socket_folder
from axon.app.settings import Settings
from axon.base import AxonError, instance_mark


class PlaceWrong(AxonError):
    """There are fewer serving processes than this one's place: raise http.processes."""


class MarksCollide(AxonError):
    """Two serving processes would own the same conversations: change `instance` a little."""


def instances(settings: Settings) -> tuple[str, ...]:
    """Return the names of all serving processes, by their place; raises MarksCollide.

    The first is called as `instance` says, so that one process becoming several keeps its journal.
    """
    name, processes = settings.instance, settings.http.processes
    names = (name, *(f"{name}-{place}" for place in range(2, processes + 1)))
    if len({instance_mark(one) for one in names}) < len(names):
        raise MarksCollide(name)
    return names


def own_instance(settings: Settings) -> str:
    """Return the name of this serving process; raises PlaceWrong."""
    names = instances(settings)
    if settings.http.place > len(names):
        raise PlaceWrong(f"http.place is {settings.http.place}, http.processes {len(names)}")
    return names[settings.http.place - 1]


def private_socket_path(data: Path, instance: str) -> Path:
    """Return where the siblings of a serving process reach it; makes the private folder."""
    name = f"{instance}.http.sock"
    return socket_folder(data, f"/{name}") / name
