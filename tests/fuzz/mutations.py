"""Hypothesis strategies for bytes near the valid ones."""

from hypothesis import strategies as st

EDITS_MAX = 6
PIECE_BYTES_MAX = 24


def near(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Return a seed with some edits, or any bytes at all."""
    edited = st.tuples(st.sampled_from(seeds), st.lists(_edit, max_size=EDITS_MAX)).map(_applied)
    return st.one_of(edited, edited, st.binary(max_size=200))


_Edit = tuple[str, int, int, bytes]
_edit: st.SearchStrategy[_Edit] = st.tuples(
    st.sampled_from(["flip", "replace", "insert", "delete", "repeat", "cut"]),
    st.integers(0, 1 << 16),
    st.integers(1, 64),
    st.one_of(
        st.binary(max_size=PIECE_BYTES_MAX),
        st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\n\n", b"\r", b"null", b"[" * 24, b'"', b"{"]),
    ),
)


def _applied(chosen: tuple[bytes, list[_Edit]]) -> bytes:
    data = bytearray(chosen[0])
    for what, place, length, piece in chosen[1]:
        at = place % (len(data) + 1)
        if what == "flip" and at < len(data):
            data[at] ^= 1 << length % 8
        elif what == "replace":
            data[at : at + len(piece)] = piece
        elif what == "insert":
            data[at:at] = piece
        elif what == "delete":
            del data[at : at + length]
        elif what == "repeat":
            data[at:at] = data[at : at + length]
        elif what == "cut":
            del data[at:]
    return bytes(data)
