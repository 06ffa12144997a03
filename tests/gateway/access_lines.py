"""Reads access_matrix.txt: who may use each route, and what everybody else is answered."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.access_scene import OWNERS, ROLES, UNKNOWN

MATRIX = Path(__file__).with_name("access_matrix.txt")
PLACEHOLDER = re.compile(r"<(new )?([a-z ']+)>")
FORBIDDEN = 403

NAMED = {"/v1/models/fake-model": "/v1/models/{id}", "/tokens": "/{id}", "/assistant/": "/{id}/"}
"""What lines of the matrix say for what a route takes as an id."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the matrix."""

    method: str
    path: str
    may: dict[str, int]
    """Who may, and what they are answered; 0 for what succeeds."""
    readers: frozenset[str]
    """Who of them reads what people said."""
    otherwise: int
    """What everybody else with a key is answered."""
    theirs: str
    asked: str

    @property
    def route(self) -> tuple[str, str]:
        """Return the route as the gateway's tables call it."""
        path = PLACEHOLDER.sub("{id}", self.path)
        for said, known in NAMED.items():
            path = path.replace(said, known)
        return self.method, path

    @property
    def shown(self) -> str:
        return f"{self.method} {self.path} {self.asked}"

    def expected(self, role: str, own: bool) -> int:
        """Return the status; 0 for any that says it was done."""
        if role not in self.may:
            return 401 if role in UNKNOWN else self.otherwise
        if own or self.theirs in ("200", "shared", "-"):
            return self.may[role]
        return int(self.theirs)


def read_matrix() -> list[Line]:
    lines = (line for line in MATRIX.read_text().splitlines() if line and line[0] != "#")
    return [read_line(line) for line in lines]


def read_line(text: str) -> Line:
    route, who, theirs, asked = (part.strip() for part in f"{text} ".split("|"))
    method, path = route.split(" ", 1)
    may: dict[str, int] = {}
    readers = set(OWNERS)
    otherwise = FORBIDDEN
    for word in who.split():
        name, _, status = word.partition(":")
        if name.endswith("*"):
            name = name[:-1]
            readers.add(name)
        names: tuple[str, ...] = (name,)
        if name == "all":
            names, otherwise = tuple(role for role in ROLES if role not in UNKNOWN), 401
        elif name == "everyone":
            names, otherwise = ROLES, 401
        elif name == "owner":
            names, otherwise = OWNERS, 404
        elif name == "signed":
            names, otherwise = ROLES, 401
        elif name == "else":
            names, otherwise = (), int(status)
        may.update(dict.fromkeys(names, int(status or 0)))
    return Line(method, path, may, frozenset(readers), otherwise, theirs, asked)
