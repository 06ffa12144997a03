"""Several serving processes: their names, their sockets, and who knows what of whom."""

import asyncio
import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from axon.app.embedded.folders import SOCKET_PATH_BYTES_MAX
from axon.app.folders import DataFolder
from axon.app.instances import (
    MarksCollide,
    PlaceWrong,
    instances,
    own_instance,
    private_socket_path,
)
from axon.app.roles.relaying import relay_between
from axon.app.roles.sibling_journals import _IMPATIENT_S, SiblingJournals
from axon.app.settings import HttpSettings, Settings
from axon.app.sockets import PortTaken, listening_socket, private_socket
from axon.app.up.handing_over import note_serving, served_last_time, until_projected
from axon.app.up.listeners import listeners
from axon.app.up.plan import Plan
from axon.base import IdMint, SystemClock, SystemRandomness, TaskOwner, instance_mark
from axon.journal import write_cursor
from axon.journal.marks import DURABLE_FILE, write_mark

PROCESSES_MAX = 16


def several(processes: int, place: int = 1, instance: str = "serving") -> Settings:
    http = HttpSettings(processes=processes, place=place, port=0)
    return Settings(http=http, instance=instance)


def test_the_first_process_keeps_the_name_of_the_only_one() -> None:
    assert instances(several(1)) == ("serving",)
    assert instances(several(3)) == ("serving", "serving-2", "serving-3")
    assert own_instance(several(3, place=2)) == "serving-2"
    assert own_instance(Settings()) == "serving"


def test_a_place_beyond_the_last_is_refused() -> None:
    with pytest.raises(PlaceWrong):
        own_instance(several(2, place=3))


def test_no_two_processes_have_one_mark() -> None:
    names = instances(several(PROCESSES_MAX))
    assert len({instance_mark(name) for name in names}) == PROCESSES_MAX


def test_names_that_would_share_a_mark_are_refused() -> None:
    collides = next(filter(_collides, (f"s{number}" for number in range(100_000))))
    with pytest.raises(MarksCollide):
        instances(several(PROCESSES_MAX, instance=collides))


def _collides(name: str) -> bool:
    names = [name, *(f"{name}-{place}" for place in range(2, PROCESSES_MAX + 1))]
    return len({instance_mark(one) for one in names}) < PROCESSES_MAX


def test_every_process_has_a_journal_of_its_own(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    made = [folder.journal_instance(several(3, place), SystemRandomness()) for place in range(1, 4)]
    assert [name.split("-", 1)[1] for name in made] == ["serving", "serving-2", "serving-3"]


def test_a_private_socket_takes_the_place_of_one_left_behind(tmp_path: Path) -> None:
    path = private_socket_path(tmp_path, "serving")
    assert path == tmp_path / "run" / "serving.http.sock"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    private_socket(path).close()
    with private_socket(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_long_data_path_gets_a_short_private_socket(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    path = private_socket_path(long, "s" * 32)
    assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX
    assert path == private_socket_path(long, "s" * 32)
    assert path != private_socket_path(tmp_path / ("y" * 90), "s" * 32)
    private_socket(path).close()
    shutil.rmtree(path.parent)


def test_a_port_is_shared_only_by_those_who_say_so() -> None:
    with listening_socket(HttpSettings(port=0), shared=True) as first:
        settings = HttpSettings(port=first.getsockname()[1])
        listening_socket(settings, shared=True).close()
        with pytest.raises(PortTaken):
            listening_socket(settings)


def test_axon_up_holds_one_public_and_a_private_socket_for_each(tmp_path: Path) -> None:
    with listeners(several(2), DataFolder(tmp_path)) as opened:
        assert list(opened.private) == ["serving", "serving-2"]
        for one in (opened.public, *opened.private.values()):
            with socket.socket(one.family) as client:
                client.connect(one.getsockname())
    assert opened.public.fileno() == -1


def journal(folder: DataFolder, name: str, durable: int, projected: int) -> Path:
    made = folder.journals / f"0123456789ab-{name}"
    made.mkdir(parents=True)
    write_mark(made / DURABLE_FILE, durable)
    write_cursor(made, projected)
    return made


class SetClock(SystemClock):
    """A clock whose monotonic time is set."""

    def __init__(self) -> None:
        self.now_s = 1.0

    def monotonic(self) -> float:
        return self.now_s


async def test_siblings_are_settled_once_postgres_has_what_they_had_made_durable(
    tmp_path: Path,
) -> None:
    folder = DataFolder(tmp_path)
    clock = SetClock()
    siblings = SiblingJournals(folder, ["two", "three"], clock)
    assert await siblings.settled(0.0), "no journal yet"
    journal(folder, "one", durable=9, projected=0)
    two = journal(folder, "two", durable=5, projected=5)
    assert await siblings.settled(0.0)
    three = journal(folder, "three", durable=5, projected=4)
    assert not await siblings.settled(0.0)
    for _ in range(3):
        clock.now_s += _IMPATIENT_S / 4
        assert not await siblings.settled(60.0), "nobody waits again so soon"
    clock.now_s += _IMPATIENT_S / 4
    waiting = asyncio.create_task(siblings.settled(60.0))
    await asyncio.sleep(0)
    write_mark(two / DURABLE_FILE, 6)  # after it was asked: not waited for
    write_cursor(three, 5)
    assert await waiting


async def test_other_processes_serve_only_once_everything_is_projected(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    plan = Plan(settings=several(3), folder=folder)
    assert served_last_time(plan) == ()
    one = journal(folder, "serving", durable=3, projected=3)
    assert served_last_time(plan) == ("serving",), "as it was before there could be several"
    note_serving(folder, ["serving", "serving-2"])
    assert served_last_time(plan) == ("serving", "serving-2")
    await until_projected(folder)
    (folder.journals / "projector.json").touch()
    await until_projected(folder)
    write_mark(one / DURABLE_FILE, 4)
    waiting = asyncio.create_task(until_projected(folder))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    write_cursor(one, 4)
    await waiting


def test_one_process_alone_has_no_relay(tmp_path: Path) -> None:
    clock = SystemClock()
    mint = IdMint(bytes(32), clock, SystemRandomness())
    tasks = TaskOwner(lambda name, error: None)
    folder = DataFolder(tmp_path)
    assert relay_between(several(1), folder, mint, clock, tasks) is None
    assert relay_between(several(2), folder, mint, clock, tasks) is not None
