"""Whatever is done to a journal's bytes, following its chain finds it."""

import random
from pathlib import Path

import pytest

from axon.journal import ChainWalk, JournalCorrupt, verify_chain
from axon.journal.format import (
    ENTRY_HEADER_BYTES,
    NO_HASH,
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    encode_entry_header,
    encode_segment_header,
    entry_hash,
    entry_length,
)
from axon.journal.marks import DURABLE_FILE, write_mark
from axon.journal.segments import segment_path

ENTRIES = 10_000
A_SEGMENT = 2_500
CHECKPOINT_EVERY = 1_000


def write_journal(directory: Path, entries: int, name: str) -> dict[int, bytes]:
    """Write a journal of several segments; return the hashes that a signer would sign."""
    directory.mkdir()
    previous, signed = NO_HASH, {}
    for first in range(1, entries + 1, A_SEGMENT):
        parts = [encode_segment_header(SegmentHeader(first, 1, previous, name))]
        for sequence in range(first, min(first + A_SEGMENT, entries + 1)):
            payload = f"{name} says {sequence}".encode() * 3
            header = encode_entry_header(3, payload, sequence, sequence - 1, previous)
            previous = entry_hash(header, payload)
            parts += [header, payload]
            if sequence % CHECKPOINT_EVERY == 0 or sequence == entries:
                signed[sequence] = previous
        segment_path(directory, first).write_bytes(b"".join(parts))
    write_mark(directory / DURABLE_FILE, entries)
    return signed


def places(data: bytes) -> list[tuple[int, int]]:
    """Return where each entry of a segment begins and ends."""
    found, offset = [], SEGMENT_HEADER_BYTES
    while offset < len(data):
        found.append((offset, offset + entry_length(data, offset)))
        offset = found[-1][1]
    return found


def damage(directory: Path, signed: dict[int, bytes]) -> str:
    """Return what following the chain finds; empty when all is as it was."""
    findings = verify_chain(directory, signed, lambda done, total: None).findings
    return findings[0].finding if findings else ""


@pytest.fixture
def journal(tmp_path: Path) -> tuple[Path, dict[int, bytes]]:
    directory = tmp_path / "mine"
    return directory, write_journal(directory, ENTRIES, "mine")


def test_a_journal_that_nobody_touched_is_what_it_was(
    journal: tuple[Path, dict[int, bytes]],
) -> None:
    directory, signed = journal
    report = verify_chain(directory, signed, lambda done, total: None)
    assert (report.entries, report.through, report.findings) == (ENTRIES, ENTRIES, ())
    assert damage(directory, {}) == "", "the chain alone says so too"


def test_every_way_to_tamper_with_any_entry_is_found(
    journal: tuple[Path, dict[int, bytes]], tmp_path: Path
) -> None:
    """Flip, delete, insert, reorder, transplant, truncate: 100 percent, wherever it is done."""
    directory, signed = journal
    write_journal(tmp_path / "other", ENTRIES, "other")
    chance = random.Random(7)
    tried = found = 0
    for first in range(1, ENTRIES + 1, A_SEGMENT):
        path = segment_path(directory, first)
        whole = path.read_bytes()
        other = segment_path(tmp_path / "other", first).read_bytes()
        entries, others = places(whole), places(other)
        for number in {
            0,
            1,
            len(entries) - 2,
            len(entries) - 1,
            *chance.sample(range(A_SEGMENT), 4),
        }:
            start, end = entries[number]
            flipped = bytearray(whole)
            flipped[chance.randrange(start, end)] ^= 1 << chance.randrange(8)
            transplanted = other[others[number][0] : others[number][1]]
            attempts = [
                bytes(flipped),
                whole[:start] + whole[end:],
                whole[:end] + whole[start:end] + whole[end:],
                whole[:start] + transplanted + whole[end:],
                whole[:start],
                whole[: end - 1],
            ]
            if number:
                before = entries[number - 1][0]
                attempts.append(
                    whole[:before] + whole[start:end] + whole[before:start] + whole[end:]
                )
            for attempt in attempts:
                path.write_bytes(attempt)
                tried += 1
                found += damage(directory, signed) != ""
        path.write_bytes(whole)
    print(f"{found} of {tried} found")
    assert found == tried > 200
    assert damage(directory, signed) == ""


def test_a_forged_chain_is_not_the_one_that_was_signed(tmp_path: Path) -> None:
    """All hashes made anew: only what was signed tells."""
    signed = write_journal(tmp_path / "mine", ENTRIES, "mine")
    write_journal(tmp_path / "forged", ENTRIES, "forged")
    assert damage(tmp_path / "forged", {}) == ""
    assert "not the one that was signed" in damage(tmp_path / "forged", signed)


def test_whole_segments_that_go_are_missed(journal: tuple[Path, dict[int, bytes]]) -> None:
    directory, signed = journal
    last = segment_path(directory, ENTRIES - A_SEGMENT + 1)
    kept = last.read_bytes()
    last.unlink()
    assert f"there was entry {ENTRIES}" in damage(directory, signed)
    write_mark(directory / DURABLE_FILE, 1)
    assert f"there was entry {ENTRIES}" in damage(directory, signed), "whatever the mark says"
    last.write_bytes(kept)
    segment_path(directory, A_SEGMENT + 1).unlink()
    assert "the segment before ends with" in damage(directory, signed)
    segment_path(directory, 1).unlink()
    assert damage(directory, signed) == "", "what was retired at the beginning is no damage"


def test_a_walk_follows_what_becomes_durable_and_no_more(
    journal: tuple[Path, dict[int, bytes]],
) -> None:
    directory, signed = journal
    write_mark(directory / DURABLE_FILE, 2_100)
    walk = ChainWalk(directory)
    points = walk.advance(CHECKPOINT_EVERY)
    assert [one.sequence for one in points] == [1_000, 2_000, 2_100]
    assert points[0].hash == signed[1_000]
    assert walk.advance(CHECKPOINT_EVERY) == []
    write_mark(directory / DURABLE_FILE, ENTRIES)
    again = ChainWalk(directory, points[-1])
    seen = []
    while again.place is not None and again.place.sequence < ENTRIES:
        seen += again.advance(CHECKPOINT_EVERY)
    assert {one.sequence: one.hash for one in seen}.items() >= {
        sequence: signed_hash for sequence, signed_hash in signed.items() if sequence > 2_100
    }.items()
    path = segment_path(directory, 1)
    data = bytearray(path.read_bytes())
    data[SEGMENT_HEADER_BYTES + ENTRY_HEADER_BYTES] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalCorrupt, match="chain"):
        ChainWalk(directory).advance(CHECKPOINT_EVERY)
