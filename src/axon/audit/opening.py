"""Opening what the audit keeps of a turn."""

import msgspec

from axon.audit.sealed_parts import Asked, Said, read_asked, read_said
from axon.conversations import Opener, Owner
from axon.records import SealedItem

REQUEST_ITEM = "request"
ANSWER_ITEM = "answer"
STEERING_ITEM = "steering"
"""The names under which a turn's own parts are sealed (turns/request.py)."""


class OpenedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a turn; null where its key was erased."""

    id: str
    type: str
    role: str
    content: msgspec.Raw


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked and said in a turn, each as JSON; null for what there is none of."""

    erased: bool
    """Whether any of it can be read by nobody again."""
    request: msgspec.Raw
    """The client's body with every parameter."""
    steering: msgspec.Raw
    """What flags' variants did to it."""
    input: list[OpenedItem]
    output: list[OpenedItem]
    answer: msgspec.Raw
    """The answer as the API shows it; of a response without its output items."""


_NULL = msgspec.Raw(b"null")


async def open_kept(
    opener: Opener, owner: Owner, turn_id: str, asked: bytes | None, said: bytes | None
) -> Opened:
    """Return the parts opened; raises SealBroken or HistoryUnavailable as the opener does."""
    opening = _Opening(opener, owner, turn_id)
    first = Asked("", b"", b"") if asked is None else read_asked(asked)
    last = Said("", [], [], b"") if said is None else read_said(said)
    request = await opening.part(first.conversation_id, REQUEST_ITEM, first.request)
    steering = await opening.part(first.conversation_id, STEERING_ITEM, first.steering)
    given = [await opening.item(last.conversation_id, item) for item in last.input]
    output = [await opening.item(last.conversation_id, item) for item in last.output]
    answer = await opening.part(last.conversation_id, ANSWER_ITEM, last.answer)
    return Opened(
        erased=opening.gone or (asked is None and said is None),
        request=request,
        steering=steering,
        input=given,
        output=output,
        answer=answer,
    )


class _Opening:
    """Opens the parts of one turn, and remembers whether a key was gone."""

    def __init__(self, opener: Opener, owner: Owner, turn_id: str) -> None:
        self._opener = opener
        self._owner = owner
        self._turn_id = turn_id
        self.gone = False

    async def part(self, conversation_id: str, name: str, blob: bytes) -> msgspec.Raw:
        if not blob:
            return _NULL
        place = (conversation_id, self._turn_id, name)
        content = await self._opener.open(self._owner, place, blob)
        if content is None:
            self.gone = True
            return _NULL
        try:
            msgspec.json.decode(content, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError):  # what is kept packed, or cut short
            return msgspec.Raw(msgspec.json.encode(content.decode(errors="replace")))
        return msgspec.Raw(content)

    async def item(self, conversation_id: str, item: SealedItem) -> OpenedItem:
        content = await self.part(conversation_id, item.item_id, item.blob)
        return OpenedItem(id=item.item_id, type=item.kind, role=item.author, content=content)
