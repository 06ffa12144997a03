"""Everything that is kept of a person, in one archive: JSON Lines, and a page to read."""

import asyncio
import html
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

import asyncpg
import msgspec

from axon.archive import Thawing
from axon.audit import open_kept
from axon.base import MIB
from axon.conversations import ColdItem, HistoryUnavailable, Opener, Owner
from axon.feedback import FeedbackQuestion, FeedbackRoom
from axon.stores import Postgres, PostgresAway
from axon.subjects.errors import ExportTooLarge, SubjectsUnavailable

QUERY_TIMEOUT_S = 30.0

EXPORT_BYTES_MAX = 1024 * MIB
"""Of the lines, before they are compressed."""

EXPORTS_AT_ONCE = 2
"""Of one process: each opens seals and compresses, beside other people's turns."""

PIECE_BYTES = MIB

_PAGE = 200
_TITLE_PLACE = ("", "title")
"""What a conversation's title is sealed for."""

_CONVERSATIONS = """
SELECT id, created_us, updated_us, metadata::text AS metadata, title, archived, implicit,
    deleted_us
FROM conversations.conversations WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3
"""

_ITEMS = """
SELECT conversation_id, sequence, index, item_id, turn_id, output, kind, author, status, blob,
    created_us
FROM conversations.items WHERE user_id = $1 AND (conversation_id, sequence, index) > ($2, $3, $4)
ORDER BY conversation_id, sequence, index LIMIT $5
"""

_TURNS = """
SELECT turn_id, conversation_id, surface, model, status, variants, accepted_us, completed_us,
    input_tokens, output_tokens, currency, cost_nano, request, content
FROM audit.turns WHERE user_id = $1 AND turn_id > $2 ORDER BY turn_id LIMIT $3
"""

_PLAIN = {
    "account": "SELECT id AS user, name, permissions, created_us FROM accounts.users"
    " WHERE id = $1 AND org_id = $2",
    "usage": "SELECT date::text, model, currency, requests_count, input_tokens, output_tokens,"
    " cost_nano FROM metering.usage WHERE user_id = $1 AND org_id = $2 ORDER BY date, model",
    "assignments": "SELECT turn_id, flag, variant, reason, unit, accepted_us FROM flags.assignments"
    " WHERE user_id = $1 AND org_id = $2 ORDER BY accepted_us, turn_id, flag",
}
"""What needs no key: one statement a file, of a number and an organization."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportingParts:
    """What exporting works with; opened and closed by their owner."""

    postgres: Postgres
    opener: Opener
    feedback: FeedbackRoom
    archive: Thawing


@dataclass(slots=True)
class Archive:
    """A finished archive in a file without a name; read it once."""

    file: IO[bytes]
    size: int
    counts: dict[str, int]

    def pieces(self) -> Iterator[bytes]:
        """Yield the archive; each step blocks for one read."""
        self.file.seek(0)
        while piece := self.file.read(PIECE_BYTES):
            yield piece


class Exporting:
    """One for each serving process."""

    def __init__(self, parts: ExportingParts) -> None:
        """Nothing is exported yet."""
        self._parts = parts
        self._free = asyncio.Semaphore(EXPORTS_AT_ONCE)

    @asynccontextmanager
    async def export(self, owner: Owner) -> AsyncIterator[Archive]:
        """Lend everything that is kept of a person as one zip archive.

        Raises SubjectsUnavailable, ExportTooLarge.
        """
        async with self._free:
            with tempfile.TemporaryFile() as file:
                try:
                    counts = await self._fill(owner, file)
                except PostgresAway as error:
                    raise SubjectsUnavailable(error.detail) from error
                except HistoryUnavailable as error:
                    raise SubjectsUnavailable(str(error)) from error
                yield Archive(file, file.tell(), counts)

    async def _fill(self, owner: Owner, file: IO[bytes]) -> dict[str, int]:
        counts: dict[str, int] = {}
        size = 0
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            tempfile.TemporaryFile() as said,
        ):
            page = _ReadablePage(said)
            for name, lines in self._files(owner):
                with archive.open(f"{name}.jsonl", "w") as member:
                    counts[name] = 0
                    async for some in lines:
                        data = b"".join(b"%b\n" % msgspec.json.encode(line) for line in some)
                        size += len(data)
                        if size > EXPORT_BYTES_MAX:
                            raise ExportTooLarge(f"{EXPORT_BYTES_MAX} bytes")
                        counts[name] += len(some)
                        await asyncio.to_thread(member.write, data)
                        if name == "items":
                            page.add(some)
            with archive.open("index.html", "w") as member:
                await asyncio.to_thread(page.write_to, member, owner, counts)
        return counts

    def _files(self, owner: Owner) -> Iterator[tuple[str, AsyncIterator[list[dict[str, object]]]]]:
        yield "conversations", self._conversations(owner)
        yield "items", self._items(owner)
        yield "turns", self._turns(owner)
        yield "feedback", self._feedback(owner)
        for name, statement in _PLAIN.items():
            yield name, self._plain(owner, statement)

    async def _conversations(self, owner: Owner) -> AsyncIterator[list[dict[str, object]]]:
        after = ""
        while rows := await self._fetch(_CONVERSATIONS, owner.user, after, _PAGE):
            after = rows[-1]["id"]
            yield [
                {
                    **row,
                    "metadata": msgspec.Raw(row["metadata"].encode()),
                    "title": await self._text(owner, (row["id"], *_TITLE_PLACE), row["title"]),
                }
                for row in map(dict, rows)
            ]

    async def _items(self, owner: Owner) -> AsyncIterator[list[dict[str, object]]]:
        told: set[str] = set()
        async for cold in self._cold_items(owner, told):
            yield cold
        after = ("", 0, 0)
        while rows := await self._fetch(_ITEMS, owner.user, *after, _PAGE):
            after = (rows[-1]["conversation_id"], rows[-1]["sequence"], rows[-1]["index"])
            yield await self._opened(owner, map(dict, rows), told)
        async for cold in self._cold_items(owner, told):  # what went there in between
            yield cold

    async def _cold_items(
        self, owner: Owner, told: set[str]
    ) -> AsyncIterator[list[dict[str, object]]]:
        """Yield the items that are in the archive, which stay there, but those that were told."""
        async for conversation_id, content in self._parts.archive.contents(owner.user):
            for items in _runs(content.items, _PAGE):
                rows = [
                    {"conversation_id": conversation_id, **msgspec.structs.asdict(item)}
                    for item in items
                ]
                yield await self._opened(owner, rows, told)

    async def _opened(
        self, owner: Owner, rows: Iterable[dict[str, Any]], told: set[str]
    ) -> list[dict[str, object]]:
        """Return the items opened, without those that were told; note that they are."""
        page: list[dict[str, object]] = []
        for row in rows:
            if row["item_id"] in told:
                continue
            told.add(row["item_id"])
            place = (row["conversation_id"], row["turn_id"], row["item_id"])
            content = await self._parts.opener.open(owner, place, row.pop("blob"))
            page.append({**row, "content": None if content is None else msgspec.Raw(content)})
        return page

    async def _turns(self, owner: Owner) -> AsyncIterator[list[dict[str, object]]]:
        after = ""
        while rows := await self._fetch(_TURNS, owner.user, after, _PAGE):
            after = rows[-1]["turn_id"]
            page = []
            for row in map(dict, rows):
                kept = (row.pop("request"), row.pop("content"))
                opened = await open_kept(self._parts.opener, owner, row["turn_id"], *kept)
                page.append({**row, "content": opened})
            yield page

    async def _feedback(self, owner: Owner) -> AsyncIterator[list[dict[str, object]]]:
        before: tuple[int, str] | None = None
        while True:
            asked = FeedbackQuestion(
                org_id=owner.org_id, user=owner.user, before=before, limit=_PAGE
            )
            found = await self._parts.feedback.page(asked)
            if not found:
                return
            before = (found[-1].at_us, found[-1].turn_id)
            yield [msgspec.to_builtins(one) for one in found]

    async def _plain(self, owner: Owner, statement: str) -> AsyncIterator[list[dict[str, object]]]:
        yield [dict(row) for row in await self._fetch(statement, owner.user, owner.org_id)]

    async def _text(self, owner: Owner, place: tuple[str, str, str], blob: bytes | None) -> object:
        if not blob:
            return None
        content = await self._parts.opener.open(owner, place, blob)
        return None if content is None else content.decode()

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
            return list(await connection.fetch(statement, *arguments))


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    content: str | list[_Part] = ""


class _ReadablePage:
    """What was said, as a page for a browser; it waits in a file without a name."""

    def __init__(self, said: IO[bytes]) -> None:
        self._said = said
        self._conversation = ""

    def add(self, items: list[dict[str, object]]) -> None:
        """Add items, in the order of their conversations."""
        for item in items:
            if item["conversation_id"] != self._conversation:
                self._conversation = str(item["conversation_id"])
                self._said.write(f"<h2>{html.escape(self._conversation)}</h2>".encode())
            author = html.escape(str(item["author"] or item["kind"]))
            text = html.escape(_words(item["content"]))
            self._said.write(f"<p><b>{author}</b> {text}</p>".encode())

    def write_to(self, member: IO[bytes], owner: Owner, counts: dict[str, int]) -> None:
        """Write the page; blocks."""
        files = "".join(
            f"<li><a href='{name}.jsonl'>{name}.jsonl</a>: {count} lines</li>"
            for name, count in counts.items()
        )
        head = "<!doctype html><meta charset='utf-8'><title>Your data</title>"
        member.write(f"{head}<h1>What is kept of person {owner.user}</h1>".encode())
        member.write(f"<ul>{files}</ul>".encode())
        self._said.seek(0)
        while piece := self._said.read(PIECE_BYTES):
            member.write(piece)


def _runs(items: Sequence[ColdItem], size: int) -> Iterator[Sequence[ColdItem]]:
    """Yield the items in runs of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _words(content: object) -> str:
    """Return the text of a message; of what is none, its JSON."""
    if not isinstance(content, msgspec.Raw):
        return "(erased)"
    try:
        said = msgspec.json.decode(content, type=_Message).content
    except msgspec.DecodeError:
        return bytes(content).decode(errors="replace")
    return said if isinstance(said, str) else " ".join(part.text for part in said)
