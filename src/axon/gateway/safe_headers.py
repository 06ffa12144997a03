"""What every answer tells a browser, made once: bytes that a request only refers to."""

Pairs = tuple[tuple[bytes, bytes], ...]

_HSTS = (b"strict-transport-security", b"max-age=31536000")
"""A year. Not of subdomains: they may be another's."""

_ALWAYS: Pairs = ((b"x-content-type-options", b"nosniff"),)
"""Each costs the server half a microsecond an answer, so what speaks to pages is with pages."""

_ALWAYS_WITH_TLS: Pairs = (*_ALWAYS, _HSTS)

NOT_KEPT = (b"cache-control", b"no-store")
"""Of every answer that says nothing else: what people said is in no cache."""

PAGE: Pairs = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
            b" frame-ancestors 'none'"
        ),
    ),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of our pages, which are text, drawings and their own style: a browser need not believe in
anything else, nor show them within another page."""


def always(tls: bool) -> Pairs:
    """Return the headers of every answer; with TLS the browser is to insist on it from now on."""
    return _ALWAYS_WITH_TLS if tls else _ALWAYS
