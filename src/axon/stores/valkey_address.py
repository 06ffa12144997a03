"""Reads a Valkey address: redis://, rediss:// (TLS) or unix://."""

import ssl
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from axon.stores.errors import BadAddress

DEFAULT_PORT = 6379
_OPTIONS = {"db", "password", "username", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "owner"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyAddress:
    """Where a Valkey server is and how to log in; `path` is set for a Unix socket, else `host`."""

    host: str
    port: int
    path: str
    username: str
    password: str
    database: int
    tls: ssl.SSLContext | None
    owner: str
    """Whose server it has to be; empty for anybody's."""


def read_address(url: str) -> ValkeyAddress:
    """Return the parts of `url`; raise BadAddress, never showing the password.

    The forms are those of redis-py: `redis://user:password@host:port/db`, `rediss://` for TLS with
    the options ssl_ca_certs, ssl_certfile and ssl_keyfile (files in PEM form; the system's
    authorities otherwise), `unix:///path/to/socket?db=0&username=...&password=...`. Of our own is
    `owner`: a server that has another one is refused.
    Blocks while certificate files are read.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise BadAddress(f"unknown options: {', '.join(unknown)}")
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise BadAddress("it must begin with redis://, rediss:// or unix://")
    local = parts.scheme == "unix"
    try:
        port = parts.port or DEFAULT_PORT
        database = int(options.get("db") or ("" if local else parts.path.strip("/")) or 0)
    except ValueError:
        raise BadAddress("the port and the database must be numbers") from None
    return ValkeyAddress(
        host="" if local else parts.hostname or "localhost",
        port=port,
        path=unquote(parts.path) if local else "",
        username=unquote(parts.username or "") or options.get("username", ""),
        password=unquote(parts.password or "") or options.get("password", ""),
        database=database,
        tls=_tls(options) if parts.scheme == "rediss" else None,
        owner=options.get("owner", ""),
    )


def address_of_owner(url: str, owner: str) -> str:
    """Return `url` for a server that is the owner's, or becomes it when it was nobody's."""
    return f"{url}{'&' if urlsplit(url).query else '?'}owner={quote(owner)}"


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    except OSError as error:
        raise BadAddress(f"its certificate files cannot be used: {error}") from error
    return context
