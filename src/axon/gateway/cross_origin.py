"""Letting scripts of chosen web pages ask, as browsers want it (CORS, Fetch standard).

Clients of OpenFeature have a list of pages of their own; what a person's pass opens has another.
No page is ever let in with what a browser keeps for it: callers are known by a header.
"""

import re

from axon.gateway.call import OFREP_PREFIX, Call, Headers

ANY_ORIGIN = "*"

_API_PREFIX = "/v1/"

_EXPOSED = (b"access-control-expose-headers", b"etag, retry-after, x-request-id")
_ALL_EXPOSED = (b"access-control-expose-headers", b"*")

_LASTS = (b"access-control-max-age", b"600")
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type, if-none-match, x-api-key"),
    _LASTS,
)
_API_METHODS = (b"access-control-allow-methods", b"GET, POST, PUT, DELETE")
_NAMES = re.compile(rb"[A-Za-z0-9, -]{1,2000}")
"""The headers a script may send are all: SDKs have some twenty of their own, and none of them opens
anything. The answer repeats what was asked, for `*` leaves out `authorization`."""


def origin_headers(
    call: Call, flag_origins: frozenset[str], api_origins: frozenset[str]
) -> Headers:
    """Return what lets the page that asks read the answer; nothing for a page that may not."""
    of_flags = call.path.startswith(OFREP_PREFIX)
    origins = flag_origins if of_flags else api_origins
    if not origins or not (of_flags or call.path.startswith(_API_PREFIX)):
        return []
    origin = call.header(b"origin") or ""
    if not origin or not {origin, ANY_ORIGIN} & origins:
        return []
    named = (b"access-control-allow-origin", origin.encode("latin-1"))
    return [named, (b"vary", b"origin"), _EXPOSED if of_flags else _ALL_EXPOSED]


async def answered_preflight(call: Call) -> bool:
    """Return whether a browser asked what it may send for a page, and was told."""
    asked = call.method == "OPTIONS" and b"access-control-request-method" in call.headers
    if not asked or not call.extra:
        return False
    if call.path.startswith(OFREP_PREFIX):
        await call.reply(204, b"", _PREFLIGHT)
        return True
    names = call.headers.get(b"access-control-request-headers", b"")
    told = [_API_METHODS, _LASTS]
    if _NAMES.fullmatch(names):
        told.append((b"access-control-allow-headers", names))
    await call.reply(204, b"", told)
    return True
