"""Who changes something, as the triggers of `deeds` are told."""

from typing import Literal

import asyncpg
import msgspec

from axon.stores import ACTOR_SETTING


class Actor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whoever changed something, and from where."""

    origin: Literal["api", "command", "database", "axon"] = "axon"
    """A route, a command of this machine, a statement that nobody of us made, or Axon itself."""
    name: str = ""
    """Of a command, the account of the operating system; of a statement, PostgreSQL's."""
    place: str = ""
    """The address of a route's client, the host of a command."""
    org_id: str = ""
    user: int = -1
    credential_id: str = ""
    """Of a route: whose key asked, and which; else empty, and -1."""


def actor_text(actor: Actor) -> str:
    """Return what ACTOR_SETTING is set to."""
    return msgspec.json.encode(actor).decode()


async def acting(connection: asyncpg.Connection, actor: Actor) -> None:
    """Say who makes the changes of the open transaction."""
    await connection.execute("SELECT set_config($1, $2, true)", ACTOR_SETTING, actor_text(actor))


def read_actor(text: str) -> Actor:
    """Return whom a row names; one that nobody can read is nobody's."""
    try:
        return msgspec.json.decode(text, type=Actor)
    except msgspec.MsgspecError:
        return Actor(origin="database", name=text[:200])
