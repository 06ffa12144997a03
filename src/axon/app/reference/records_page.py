"""docs/records.md, from the records' classes and what stands beside their fields."""

import ast
import inspect
from typing import get_args

import msgspec

from axon.records import KINDS

_HEAD = """# Records

Made by `python -m axon.app.reference`; do not edit.

The payload of each journal entry is one of these, as a MessagePack array in the order of the
fields. A kind is never reused and a record that was written never changes: a new version is a new
kind. Instants (`_us`) are microseconds since 1970, in UTC. What a person or a model wrote is in
`blob`, `request` and `answer` only, and those are sealed; a conversation's `metadata` is not.
"""


def records_page() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD]
    for kind, record in sorted(KINDS.items()):
        parts += _described(f"{kind}: {record.__name__}", record)
    for part in _parts():
        parts += _described(part.__name__, part)
    return "\n".join(parts).rstrip("\n") + "\n"


def _described(title: str, struct: type[msgspec.Struct]) -> list[str]:
    lines = [f"## {title}\n", f"{inspect.cleandoc(struct.__doc__ or '')}\n"]
    lines += ["| field | type | meaning |", "|---|---|---|"]
    return [*lines, *_rows(struct), ""]


def _rows(struct: type[msgspec.Struct]) -> list[str]:
    """Return a row for each field; its meaning is the text below it in the source."""
    (definition,) = ast.parse(inspect.getsource(struct)).body
    rows: list[str] = []
    for node in definition.body if isinstance(definition, ast.ClassDef) else []:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind):
                rows.append(f"| `{name}` | `{ast.unparse(kind)}` | ")
            case ast.Expr(value=ast.Constant(value=str(text))) if rows:
                rows[-1] += " ".join(text.split())
    return [row + " |" for row in rows]


def _parts() -> list[type[msgspec.Struct]]:
    """Return the structs that records hold, each once, in the order they are met."""
    met: dict[type[msgspec.Struct], None] = {}
    waiting: list[object] = [*KINDS.values()]
    while waiting:
        found = waiting.pop(0)
        waiting += get_args(found)
        if isinstance(found, type) and issubclass(found, msgspec.Struct):
            waiting += [field.type for field in msgspec.structs.fields(found)]
            if found not in KINDS.values():
                met[found] = None
    return list(met)
