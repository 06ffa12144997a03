"""CSV that a spreadsheet may open: what begins like a formula is text."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the table as RFC 4180 has it, its names first.

    Models are named by clients, and spreadsheets run what begins with `=`: such text gets an
    apostrophe before it. Numbers are not text.
    """
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerow(columns)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return held.getvalue()


class Number(str):
    """A number written out, which is never a formula."""

    __slots__ = ()


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and not isinstance(cell, Number) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return cell
