"""A target with a bug in it: shows that the engine finds one, and that a finding is told."""

from tests.fuzz.targets import Target, sse

STREAM = b"\x00data: a\n\ndata: b\n\n"
"""Cut nowhere, so the seed itself is read well: the engine has to find where to cut."""


class _Careless:
    """Passes on whatever arrives, events cut in two included."""

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self, certain: bool) -> bytes:
        return b""


def _read(data: bytes) -> None:
    sse(data, _Careless)


PLANTED = Target(read=_read, seeds=(STREAM,))
