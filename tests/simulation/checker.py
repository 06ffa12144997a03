"""The invariants: what PostgreSQL holds in the end, against what clients were promised.

The set of acknowledged things (each there once, whole, with the content that was told), their
order (what was asked after an acknowledgement stands behind it), and what every engine was told:
all that stood before its turn, in order, and nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.journal import read_cursor, read_durable, verify
from axon.sealing import DataKey, Keyring, item_context, open_sealed
from axon.sealing.kek_table import KekTable
from axon.sealing.key_file import KeyFile
from axon.sealing.key_table import KeyTable
from axon.sealing.local_root import LocalRoot
from axon.sealing.open_keks import OpenKek
from tests.simulation.engine import MARK
from tests.simulation.ledger import Added, Asked, Ledger
from tests.simulation.machine import INSTANCE, Machine
from tests.simulation.requests import ORG
from tests.simulation.world import WorldRandomness

_ITEMS = """
SELECT user_id, conversation_id, sequence, turn_id, item_id, output, blob
FROM conversations.items ORDER BY user_id, conversation_id, sequence, index
"""


@dataclass(slots=True)
class Place:
    """What stands at one place of a conversation, as marks."""

    origin: str
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    said: str = ""
    """The answer's items as they are stored."""


@dataclass(slots=True)
class Stored:
    """What PostgreSQL holds."""

    conversations: dict[str, dict[int, Place]] = field(default_factory=dict)
    heads: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """The last place of each conversation, and whether it is deleted."""
    turns: dict[str, str] = field(default_factory=dict)
    """The status of each."""
    questions: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Where each mark stands as what its turn, or change, is about."""


def check(machine: Machine, ledger: Ledger) -> list[str]:
    """Return every promise that was broken, in words."""
    stored = _read(machine)
    broken = [*machine.problems, *ledger.contradictions]
    for process in machine.processes.values():
        broken += process.errors
    broken += _journal(machine)
    broken += _conversations(stored, ledger)
    for asked in ledger.asked:
        broken += _turn(stored, asked, asked.conversation_id in ledger.deleting)
    for added in ledger.added:
        broken += _item(stored, added, ledger)
    broken += _whole(machine, stored)
    broken += _order(stored, ledger)
    broken += _histories(machine, stored, ledger)
    return broken


def _read(machine: Machine) -> Stored:
    real, stored = machine.postgres.real, Stored()
    keys = _Keys(machine.folder / "keys", machine.keyring)
    connection = real.take()
    for row in real.ask(connection.fetch("SELECT * FROM conversations.places")):
        places = stored.conversations.setdefault(row["conversation_id"], {})
        places[row["sequence"]] = Place(row["origin_id"])
    for row in real.ask(connection.fetch("SELECT * FROM conversations.conversations")):
        stored.heads[row["id"]] = (row["head_sequence"], row["deleted_us"] is not None)
    for row in real.ask(connection.fetch("SELECT id, status FROM conversations.turns")):
        stored.turns[row["id"]] = row["status"]
    for row in real.ask(connection.fetch(_ITEMS)):
        place = stored.conversations[row["conversation_id"]][row["sequence"]]
        where = (row["conversation_id"], row["turn_id"], row["item_id"])
        content = keys.open(row["user_id"], where, row["blob"])
        (place.answered if row["output"] else place.asked).extend(MARK.findall(content))
        place.said += content if row["output"] else ""
    real.give_back(connection)
    for name, places in stored.conversations.items():
        for sequence, place in places.items():
            if place.asked:
                stored.questions.setdefault(place.asked[-1], []).append((name, sequence))
    return stored


class _Keys:
    """Opens what was sealed, with the machine's own keys."""

    def __init__(self, path: Path, keyring: Keyring) -> None:
        file = KeyFile(path, WorldRandomness(0))
        self._table, self._keks = KeyTable(file), KekTable(file)
        self._root = LocalRoot(keyring, WorldRandomness(0))

    def open(self, user: int, where: tuple[str, str, str], blob: bytes) -> str:
        wrapped = self._table.by_id(blob[2:18])
        assert wrapped is not None, "a key is lost"
        kek = self._keks.by_id(wrapped.kek_id)
        assert kek is not None, "an organization's key is lost"
        cipher = AESGCM(self._root.opened(kek.by_root, kek.context))
        opened = OpenKek(wrapped=kek, cipher=cipher, opened_s=0.0)
        secret = opened.unwrap(wrapped.wrapped, wrapped.bound_to)
        key = DataKey(key_id=wrapped.key_id, org_id=ORG, user=user, cipher=AESGCM(secret))
        return open_sealed(key, item_context(ORG, user, *where), blob).decode()


def _journal(machine: Machine) -> list[str]:
    real = machine.postgres.real
    connection = real.take()
    sql = "SELECT coalesce(max(sequence), 0) FROM projection.cursors WHERE instance = $1"
    cursor = real.ask(connection.fetchval(sql, INSTANCE))
    parked = real.ask(connection.fetch("SELECT sequence, error FROM projection.parked"))
    real.give_back(connection)
    durable = read_durable(machine.journal)
    broken = [f"record {row['sequence']} is parked: {row['error']}" for row in parked]
    broken += [f"the journal: {finding}" for finding in verify(machine.journal, lambda *_: None)]
    if not cursor == durable == read_cursor(machine.journal):
        broken.append(f"PostgreSQL is at {cursor}, the journal at {durable}")
    return broken


def _conversations(stored: Stored, ledger: Ledger) -> list[str]:
    heads = stored.heads
    lost = [name for name in ledger.created if name not in heads]
    back = [name for name in ledger.deleted if name in heads and not heads[name][1]]
    broken = [f"conversation {name} is lost" for name in lost]
    broken += [f"conversation {name} came back" for name in back]
    for name, places in stored.conversations.items():
        head, deleted = stored.heads.get(name, (-1, False))
        if deleted and name not in ledger.deleting:
            broken.append(f"conversation {name} is deleted")
        if sorted(places) != list(range(1, head + 1)):
            broken.append(f"{name} has the places {sorted(places)}, its head is {head}")
        marks = [mark for _, place in sorted(places.items()) for mark in _marks([place])]
        if len(set(marks)) < len(marks):
            broken.append(f"{name} says something twice: {marks}")
    broken += [
        f"{name} is in progress" for name, status in stored.turns.items() if status == "in_progress"
    ]
    return broken


def _turn(stored: Stored, asked: Asked, deleted: bool) -> list[str]:
    broken = [
        f"{asked.mark}: {one} is lost" for one in asked.accepted_ids if one not in stored.turns
    ]
    found = stored.questions.get(asked.mark, [])
    if len(found) > 1:
        broken.append(f"{asked.mark} became {len(found)} turns")
    for name, sequence in found:
        place = stored.conversations[name][sequence]
        if stored.turns.get(place.origin) == "completed" and len(place.answered) != 1:
            broken.append(f"{asked.mark} is completed and has the answers {place.answered}")
    if asked.acknowledged_s < 0 or deleted:
        return broken
    if not found:
        return [*broken, f"{asked.mark} was acknowledged and is lost"]
    name, sequence = found[0]
    place = stored.conversations[name][sequence]
    if place.origin not in asked.turn_ids or place.answered != [asked.answer]:
        broken.append(f"{asked.mark} was told {asked.answer}, stored is {place}")
    if asked.conversation_id not in ("", name):
        broken.append(f"{asked.mark} is in another conversation")
    return broken


def _item(stored: Stored, added: Added, ledger: Ledger) -> list[str]:
    found = stored.questions.get(added.mark, [])
    if len(found) > 1:
        return [f"{added.mark} was added {len(found)} times"]
    if added.mark in ledger.removed and found:
        return [f"{added.mark} came back"]
    excused = added.mark in ledger.removing or added.conversation_id in ledger.deleting
    if added.acknowledged_s >= 0 and not found and not excused:
        return [f"{added.mark} was acknowledged and is lost"]
    return []


def _whole(machine: Machine, stored: Stored) -> list[str]:
    """What completed says all that its engine said, to the last word."""
    broken = []
    for places in stored.conversations.values():
        for place in places.values():
            said = [machine.engine.said.get(mark, "") for mark in place.answered]
            completed = stored.turns.get(place.origin) == "completed"
            if completed and not all(f'"{text}"' in place.said for text in said):
                broken.append(f"{place.origin} said {said}, stored is {place.said}")
    return broken


def _order(stored: Stored, ledger: Ledger) -> list[str]:
    """What was asked after another's acknowledgement stands behind it."""
    placed: dict[str, list[tuple[int, Asked | Added]]] = {}
    everything: list[Asked | Added] = [*ledger.asked, *ledger.added]
    for one in everything:
        for name, sequence in stored.questions.get(one.mark, []):
            placed.setdefault(name, []).append((sequence, one))
    broken = []
    for entries in placed.values():
        entries.sort(key=lambda entry: entry[0])
        sent_s = -1.0
        latest = ""
        for _, one in entries:
            if 0 <= one.acknowledged_s < sent_s:
                broken.append(f"{one.mark} was acknowledged before {latest}, and stands behind it")
            if one.sent_s > sent_s:
                sent_s, latest = one.sent_s, one.mark
    return broken


def _histories(machine: Machine, stored: Stored, ledger: Ledger) -> list[str]:
    """Every answer that is stored was made from exactly what stands before it."""
    sure = {one.answer for one in ledger.asked if one.acknowledged_s >= 0 and not one.degraded}
    broken = []
    for name, places in stored.conversations.items():
        before: list[Place] = []
        for _, place in sorted(places.items()):
            for answer in place.answered:
                expected = _without(ledger.removing, [*_marks(before), *place.asked])
                told = _without(ledger.removing, machine.engine.told[answer])
                strict = answer in sure or not machine.answers_without_history
                if told != expected if strict else not _is_part(told, expected):
                    broken.append(f"{name}: {answer} was made from {told}, before it is {expected}")
            before.append(place)
    return broken


def _marks(places: Iterable[Place]) -> list[str]:
    return [mark for place in places for mark in (*place.asked, *place.answered)]


def _without(gone: set[str], marks: Iterable[str]) -> list[str]:
    return [mark for mark in marks if mark not in gone]


def _is_part(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Return whether `part` is `whole` with some left out."""
    places = [whole.index(mark) if mark in whole else -1 for mark in part]
    return -1 not in places and all(one < other for one, other in pairwise(places))
