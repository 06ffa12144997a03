"""How the stand-in for Stripe refuses, and lists."""

from typing import Any

PAGE = 3
"""Fewer than are asked for, so that pages are followed."""

Body = dict[str, Any]


class Refused(Exception):
    """A 4xx as Stripe answers it."""

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def page(found: list[Body], values: Body, path: str) -> Body:
    """Return a page of a list."""
    if not 1 <= int(values.get("limit", 10)) <= 100:
        raise Refused("The limit is not within 1 and 100.")
    ids = [one["id"] for one in found]
    first = ids.index(values["starting_after"]) + 1 if "starting_after" in values else 0
    data = found[first : first + PAGE]
    return {"object": "list", "data": data, "url": path, "has_more": first + PAGE < len(found)}
