"""A part of a vendor's document, which knows where it stands."""

import json
import math
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from axon.base import AxonError
from axon.flags import JsonValue

_PLAIN = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)


class Unkept(AxonError):
    """A flag cannot be kept as it is."""

    def __init__(self, path: str, why: str) -> None:
        """`path` is where in the vendor's document, and `why` a sentence without its end."""
        self.path, self.why = path, why
        super().__init__(f"{path}: {why}")


@dataclass(frozen=True, slots=True)
class Part:
    """A value, read by what it should be; every method raises Unkept when it is not that."""

    path: str
    value: JsonValue

    def at(self, name: str) -> "Part":
        """Return a member of an object; null where there is none."""
        found = self._object().get(name)
        return Part(self.path + _step(name), found)

    def only(self, known: Container[str], ignored: Container[str] = ()) -> None:
        """Refuse an object that has members nobody knows: they may decide something."""
        for name, value in self._object().items():
            if name not in known and name not in ignored and value is not None:
                raise Unkept(self.path + _step(name), "it is not known what this means")

    def members(self) -> Iterator[tuple[str, "Part"]]:
        """Return the members of an object, with their names; none of null."""
        for name in {} if self.value is None else self._object():
            yield name, self.at(name)

    def items(self) -> list["Part"]:
        """Return the items of a list; none of null."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise Unkept(self.path, "not a list")
        return [Part(f"{self.path}[{index}]", one) for index, one in enumerate(self.value)]

    def text(self, otherwise: str | None = None) -> str:
        """Return a text; what it is otherwise stands for null."""
        value = otherwise if self.value is None else self.value
        if not isinstance(value, str):
            raise Unkept(self.path, "not a text")
        return value

    def texts(self) -> list[str]:
        """Return a list of texts; an empty one of null."""
        return [one.text() for one in self.items()]

    def truth(self, otherwise: bool) -> bool:
        """Return true or false; what it is otherwise stands for null."""
        value = otherwise if self.value is None else self.value
        if not isinstance(value, bool):
            raise Unkept(self.path, "neither true nor false")
        return value

    def number(self) -> float:
        """Return a number; Unleash writes them as texts."""
        value = self.value
        try:
            found = float(value) if isinstance(value, int | float | str) else math.nan
        except (ValueError, OverflowError):
            found = math.nan
        if isinstance(value, bool) or not math.isfinite(found):
            raise Unkept(self.path, "not a number")
        return int(found) if found.is_integer() else found

    def _object(self) -> dict[str, JsonValue]:
        if not isinstance(self.value, dict):
            raise Unkept(self.path, "not an object")
        return self.value


def _step(name: str) -> str:
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name)}]"
