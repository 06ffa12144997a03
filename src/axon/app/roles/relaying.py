"""Builds the relay between the serving processes of a node, where there are several."""

from axon.app.folders import DataFolder
from axon.app.instances import instances, own_instance, private_socket_path
from axon.app.roles.sibling_journals import SiblingJournals
from axon.app.settings import Settings
from axon.base import Clock, IdMint, TaskOwner
from axon.gateway import Owners, Relay, RelayOptions, Siblings

_ANSWER_MARGIN_S = 30.0
"""Beyond the longest turn: its owner has given it up by then, and said so."""


def relay_between(
    settings: Settings, folder: DataFolder, mint: IdMint, clock: Clock, tasks: TaskOwner
) -> Relay | None:
    """Return the relay of this process; None where it is the only one."""
    names, own = instances(settings), own_instance(settings)
    others = [name for name in names if name != own]
    if not others:
        return None
    sockets = {name: private_socket_path(folder.root, name) for name in others}
    return Relay(
        Owners(names, own, mint),
        Siblings(sockets, clock),
        SiblingJournals(folder, others, clock).settled,
        tasks,
        RelayOptions(
            body_bytes_max=settings.http.body_bytes_max,
            answer_s=settings.turns.timeout_s + _ANSWER_MARGIN_S,
            slow_client_s=settings.http.slow_client_s,
        ),
    )
