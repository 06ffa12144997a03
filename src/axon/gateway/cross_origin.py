"""Letting scripts of chosen web pages ask for flags, as browsers want it (CORS, Fetch standard)."""

from axon.gateway.call import OFREP_PREFIX, Call, Headers

ANY_ORIGIN = "*"

_EXPOSED = (b"access-control-expose-headers", b"etag, retry-after, x-request-id")
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type, if-none-match, x-api-key"),
    (b"access-control-max-age", b"600"),
)


def origin_headers(call: Call, origins: frozenset[str]) -> Headers:
    """Return what lets the page that asks read the answer; nothing for a page that may not.

    No page is ever let in with what a browser keeps for it: callers are known by a header.
    """
    if not origins or not call.path.startswith(OFREP_PREFIX):
        return []
    origin = call.header(b"origin") or ""
    if not origin or not {origin, ANY_ORIGIN} & origins:
        return []
    named = (b"access-control-allow-origin", origin.encode("latin-1"))
    return [named, (b"vary", b"origin"), _EXPOSED]


async def answered_preflight(call: Call) -> bool:
    """Return whether a browser asked what it may send for a page, and was told."""
    asked = call.method == "OPTIONS" and b"access-control-request-method" in call.headers
    if not asked or not call.extra:
        return False
    await call.reply(204, b"", _PREFLIGHT)
    return True
