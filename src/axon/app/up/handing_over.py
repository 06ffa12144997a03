"""What has to happen when other serving processes start than ran the last time.

Some conversations then have another owner, and an owner knows its own journal and PostgreSQL. So
who is not to serve any more first ends the turns it had begun, and PostgreSQL gets everything the
journals hold.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import msgspec

from axon.app.folders import DataFolder
from axon.app.instances import private_socket_path
from axon.app.settings import HttpSettings
from axon.app.sockets import listening_socket, private_socket
from axon.app.supervisor import Change, Supervisor
from axon.app.up.listeners import Listeners
from axon.app.up.plan import Plan
from axon.base import SystemClock
from axon.journal import read_cursor, read_durable

_LOOK_EVERY_S = 0.05


def served_last_time(plan: Plan) -> tuple[str, ...]:
    """Return the names of the processes that served last, by their place; none in a new folder."""
    try:
        return tuple(plan.folder.serving_note.read_text().split())
    except FileNotFoundError:
        alone = plan.settings.instance
        return (alone,) if plan.folder.journals_named(alone) else ()


def note_serving(folder: DataFolder, names: Sequence[str]) -> None:
    """Remember who serves from now on; call it before they start."""
    fresh = folder.serving_note.with_suffix(".new")
    fresh.write_text("\n".join([*names, ""]))
    fresh.rename(folder.serving_note)


async def end_what_was_begun(
    plan: Plan,
    names: Sequence[str],
    engine_url: str,
    key: str,
    on_change: Callable[[Change], None],
) -> None:
    """Run those that served last and are not among `names` until their turns have ended.

    They recover their journals, serve nobody, and drain. Raises RoleFailed when one cannot start.
    """
    before = served_last_time(plan)
    retired = [name for name in before if name not in names and plan.folder.journals_named(name)]
    http = msgspec.structs.replace(plan.settings.http, processes=len(before))
    old = Plan(
        settings=msgspec.structs.replace(plan.settings, instance=before[0], http=http),
        folder=plan.folder,
        environment={
            **plan.environment,
            "AXON_INSTANCE": before[0],
            "AXON_HTTP_PROCESSES": str(len(before)),
        },
    )
    supervisor = Supervisor(SystemClock(), on_change)
    with ExitStack() as opened:
        opened.callback(supervisor.kill)  # when this is cancelled
        nobody = opened.enter_context(listening_socket(HttpSettings(port=0)))
        private = {
            name: opened.enter_context(private_socket(private_socket_path(plan.folder.root, name)))
            for name in retired
        }
        programs = old.serving(Listeners(public=nobody, private=private), engine_url, key)
        await asyncio.gather(*(supervisor.start(program) for program in programs))
        await supervisor.stop()


async def until_projected(folder: DataFolder) -> None:
    """Return once PostgreSQL has every entry of every journal of this node; none may be written.

    It takes as long as the projector takes: the caller says so, and may cancel.
    """
    for journal in folder.journals.glob("*/"):
        while read_cursor(journal) < read_durable(journal):
            await asyncio.sleep(_LOOK_EVERY_S)
