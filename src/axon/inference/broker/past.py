"""What an inbox held when its process began: the output of turns that the one before it ran."""

from axon.base import MIB
from axon.inference.broker import wire
from axon.inference.ports import Reply

PAST_BYTES_MAX = 64 * MIB
"""More than this is not kept: the turns whose output is cut end as interrupted."""


class PastTurn:
    """What the inbox says of one turn, in order."""

    __slots__ = ("_superseded", "complete", "entries", "sent")

    def __init__(self) -> None:
        """Start with nothing."""
        self.entries: list[wire.Entry] = []
        self.complete = True
        """False when entries were dropped for their number."""
        self.sent = ""
        """The attempt that was sent last, as far as its sender came to note it."""
        self._superseded: set[str] = set()

    def add(self, entry: wire.Entry) -> None:
        """Take the next entry."""
        self.entries.append(entry)
        if entry.kind == wire.SENT:
            self.sent = entry.attempt_id
        elif entry.kind == wire.SUPERSEDED:
            self._superseded.add(entry.attempt_id)

    def attempts(self) -> set[str]:
        """Return every attempt that is spoken of."""
        return {entry.attempt_id for entry in self.entries}

    def unfinished(self) -> set[str]:
        """Return the attempts that have not ended."""
        return self.attempts() - {entry.attempt_id for entry in self.entries if entry.is_end}

    def whereabouts(self, attempt_id: str) -> tuple[bytes, str]:
        """Return the data of an attempt's SENT event and its worker's id; empty when not known."""
        sent, worker_id = b"", ""
        for entry in self.entries:
            if entry.attempt_id == attempt_id:
                if entry.kind == wire.SENT:
                    sent = entry.data
                elif entry.kind == wire.TAKEN:
                    worker_id = entry.data.decode(errors="replace")
        return sent, worker_id

    def to_follow(self) -> list[wire.Entry] | None:
        """Return all entries of the attempt that the dead process listened to.

        None when there is no telling which one that was, when it had turned away from it, and when
        the beginning of its output is gone: what a client saw could not be made again.
        """
        attempts = self.attempts()
        attempt = self.sent or (next(iter(attempts)) if len(attempts) == 1 else "")
        if not attempt or attempt in self._superseded or not self.complete:
            return None
        entries = [entry for entry in self.entries if entry.attempt_id == attempt]
        first = next((entry for entry in entries if entry.is_output), None)
        return None if first is not None and first.number != 0 else entries


class Past:
    """All turns of the past, until they are taken up or given up."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._turns: dict[str, PastTurn] = {}
        self._bytes = 0
        self.over = False
        """True when nothing more belongs to it."""

    def add(self, entry: wire.Entry) -> None:
        """Take an entry that belongs to no job of this process."""
        turn = self._turns.get(entry.turn_id)
        if turn is None:
            turn = self._turns[entry.turn_id] = PastTurn()
        self._bytes += len(entry.data)
        if self._bytes > PAST_BYTES_MAX and entry.is_output:
            turn.complete = False
        else:
            turn.add(entry)

    def to_follow(self, turn_id: str) -> list[wire.Entry] | None:
        """Return what a turn's output can be made of again, and forget it; None if it cannot."""
        turn = self._turns.get(turn_id)
        entries = turn.to_follow() if turn is not None else None
        if entries is not None:
            self._pop(turn_id)
        return entries

    def dismissal(self, turn_id: str, instance: str) -> list[wire.Command]:
        """Return what stops all that was begun for a turn, and forget it; most often it has ended.

        `instance` is whose inbox this is.
        """
        turn = self._pop(turn_id) or PastTurn()
        commands: list[wire.Command] = []
        for attempt_id in turn.unfinished():
            sent, worker_id = turn.whereabouts(attempt_id)
            commands += wire.dismissal(Reply(instance, attempt_id), worker_id, sent)
        return commands

    def _pop(self, turn_id: str) -> PastTurn | None:
        turn = self._turns.pop(turn_id, None)
        if turn is not None:
            self._bytes -= sum(len(entry.data) for entry in turn.entries)
        return turn

    def turn_ids(self) -> list[str]:
        """Return the turns nobody has taken up."""
        return list(self._turns)
