"""What a check is, the four ways it can end, and the list of all of them."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from conformance.server import Server

CheckFunction = Callable[[Server], Awaitable[str]]
"""Returns what was seen, in one short clause; raises Failed, Refused or Skipped otherwise."""

BUDGET_S = 60.0
"""What one check may take unless it says otherwise, so that a hanging server costs little."""


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILS = "fails"
    REFUSED = "refused"
    """The server says plainly that it does not offer this; nothing was promised and broken."""
    NO_HOOK = "skipped-no-hook"
    NO_KEY = "skipped-no-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise, and the function that tries it."""

    group: str
    name: str
    function: CheckFunction
    budget_s: float

    @property
    def promise(self) -> str:
        """Return the check's docstring: what is promised, why, and where it is documented."""
        return inspect.getdoc(self.function) or ""


GROUPS = (
    "models", "auth", "chat", "stored chat", "responses", "response events", "response history",
    "function calls", "conversations", "items", "retries", "resume", "background", "order",
    "disconnects", "durability",
)  # fmt: skip
"""The groups in the order they are run; the last one hurts the server."""

CHECKS: list[Check] = []
"""Every check; filled when `conformance.groups` is imported."""


def chosen(groups: Iterable[str]) -> list[Check]:
    """Return the checks of these groups, or all of them, in the order they are run."""
    wanted = set(groups) or set(GROUPS)
    checks = [one for one in CHECKS if one.group in wanted]
    return sorted(checks, key=lambda one: GROUPS.index(one.group))


def check(
    group: str, name: str, budget_s: float = BUDGET_S
) -> Callable[[CheckFunction], CheckFunction]:
    """Return a decorator that adds a function to the suite."""

    if group not in GROUPS:
        raise ValueError(f"no group {group}")

    def register(function: CheckFunction) -> CheckFunction:
        CHECKS.append(Check(group=group, name=name, function=function, budget_s=budget_s))
        return function

    return register
