"""Server-sent events read by the letter of the specification, slowly: what our readers must match.

https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6.
"""

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")


def events_of(stream: bytes) -> list[bytes]:
    """Return the data of each complete event that has any."""
    events: list[bytes] = []
    data: list[bytes] = []
    for line in _LINE_END.split(stream)[:-1]:
        name, _, value = line.partition(b":")
        if not line and data:
            events.append(b"\n".join(data))
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" "))
    return events
