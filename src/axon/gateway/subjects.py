"""`/v1/privacy`: all of a person's data for them, or none of it any more."""

import asyncio
from collections.abc import Mapping
from typing import Literal

import msgspec

from axon.accounts import NotPermitted
from axon.conversations import Owner
from axon.gateway.access import OFFICERS
from axon.gateway.audit import auditor_of, known_person, person_named
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import member
from axon.subjects import SignedReceipt
from axon.turns import Fields

_ZIP = (b"content-type", b"application/zip")
_NAME = (b"content-disposition", b'attachment; filename="axon-export.zip"')
_NOT_KEPT = (b"cache-control", b"no-store")


class ReceiptShown(msgspec.Struct):
    """A signed receipt: the signature is Ed25519, over the bytes of `document`."""

    object: Literal["erasure.receipt"]
    receipt: msgspec.Raw
    document: str
    """What was signed: the receipt, byte for byte."""
    signature: str
    """As hex, like the key."""
    public_key: str


class ReceiptPage(msgspec.Struct):
    """The newest receipts."""

    object: Literal["list"]
    data: list[ReceiptShown]


async def erase_person(door: Door, call: Call) -> None:
    """Forget a person: destroy the keys of all they said; answers with a signed receipt.

    The caller's own person, or whom `user` or `user_id` names for a key that acts for users or has
    the permission `privacy_officer`. A legal hold refuses it with a 409.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    names = _named(fields)
    owner = await whom(door, call, names)
    officer = auditor_of(call, member(fields, "reason", str) or "")
    receipt = await door.people.erasing.erase(officer, owner, names.get("user", ""))
    await call.reply_value(receipt_shown(receipt))


async def export_person(door: Door, call: Call) -> None:
    """Answer with everything that is kept of a person: a zip archive of JSON Lines and a page.

    Whom, is said as for erasing; that it was done, and why, is written down.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    owner = await whom(door, call, _named(fields))
    officer = auditor_of(call, member(fields, "reason", str) or "")
    await door.people.audit.log(officer, "exported", owner.user, [])
    async with door.people.exporting.export(owner) as archive:
        await call.begin_stream([_ZIP, _NAME, _NOT_KEPT])
        pieces = archive.pieces()
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            await call.send_piece(piece, last=False)
        await call.send_piece(b"", last=True)


async def list_receipts(door: Door, call: Call) -> None:
    """Answer with the newest receipts of people who were forgotten; wants `privacy_officer`."""
    found = await door.people.erasing.receipts(call.caller.org_id)
    data = [receipt_shown(one) for one in found]
    await call.reply_value(ReceiptPage(object="list", data=data))


def receipt_shown(receipt: SignedReceipt) -> ReceiptShown:
    """Return a receipt as it is shown."""
    return ReceiptShown(
        object="erasure.receipt",
        receipt=msgspec.Raw(receipt.document.encode()),
        document=receipt.document,
        signature=receipt.signature.hex(),
        public_key=receipt.public_key.hex(),
    )


def _named(fields: Fields) -> dict[str, str]:
    return {name: text for name in ("user", "user_id") if (text := member(fields, name, str))}


async def whom(door: Door, call: Call, names: Mapping[str, str]) -> Owner:
    """Return the person whose data it is, as `user` or `user_id` names them; raises NotPermitted.

    A person may decide about themself, and a key that acts for users about whom it names.
    """
    caller = call.caller
    named = person_named(door, call, names)
    if named is None or named == caller.user:
        return Owner(org_id=caller.org_id, user=caller.user)
    if not (caller.acts_for_users or OFFICERS.admits(caller)):
        raise NotPermitted
    await known_person(door, call, names)
    return Owner(org_id=caller.org_id, user=named)
