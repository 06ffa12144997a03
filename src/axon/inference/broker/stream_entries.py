"""Entries of Valkey's streams, as its replies hold them."""

from axon.stores import ValkeyReply


def streams_of(reply: ValkeyReply) -> list[tuple[str, list[ValkeyReply]]]:
    """Return each stream's key and entries as XREADGROUP answered; none after a timeout."""
    found: list[tuple[str, list[ValkeyReply]]] = []
    if reply is None:
        return found
    assert isinstance(reply, list)
    for stream in reply:
        assert isinstance(stream, list)
        key, entries = stream
        assert isinstance(key, bytes) and isinstance(entries, list)
        found.append((key.decode(), entries))
    return found


def entries_of(reply: ValkeyReply) -> list[ValkeyReply]:
    """Return the entries that XREAD of one stream answered; none after a timeout."""
    return [entry for _, entries in streams_of(reply) for entry in entries]


def entry_id(entry: ValkeyReply) -> bytes:
    """Return the id of an entry."""
    assert isinstance(entry, list)
    found = entry[0]
    assert isinstance(found, bytes)
    return found


def place(found: bytes) -> tuple[int, int]:
    """Return an entry's id as numbers that compare as the ids do."""
    first, _, second = found.partition(b"-")
    return int(first), int(second or 0)


def fields_of(entry: ValkeyReply) -> dict[bytes, bytes]:
    """Return the fields of an entry; a deleted entry that is still pending has none."""
    assert isinstance(entry, list)
    flat = entry[1]
    if not isinstance(flat, list):
        return {}
    names, values = flat[::2], flat[1::2]
    pairs = zip(names, values, strict=False)
    return {
        name: value for name, value in pairs if isinstance(name, bytes) and isinstance(value, bytes)
    }
